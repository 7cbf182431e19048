/**
 * The writer's recent redo, bounded in bytes: what six append streams read from, each at its own cursor. Nothing is
 * queued per segment, so a segment that is slow or gone costs no memory; when its cursor falls off the ring, its peers
 * feed it.
 *
 * Invariant: a batch is dropped only when it is durable on a write quorum (its end is at or below `durable`). When what
 * is not yet durable fills the ring, `hasRoom` says no and the writer stops reading WAL: PostgreSQL waits.
 */
export interface RingEntry {
  /** End of the batch before. */
  readonly backlink: bigint;
  readonly endLsn: bigint;
  /** Ready to send; shared by all streams, never changed. */
  readonly message: Buffer;
}

/** Dropped entries are cut from the array's front only after this many, so that dropping one is O(1). */
const COMPACT_AFTER = 1024;

export class RedoRing {
  readonly capacityBytes: number;
  #entries: (RingEntry | undefined)[] = [];
  /** Index in #entries of the oldest entry kept. */
  #head = 0;
  /** Sequence number of #entries[0]. */
  #base = 0;
  #bytes = 0;
  #end: bigint;

  /** Empty, for redo that follows `startLsn`. */
  constructor(startLsn: bigint, capacityBytes: number) {
    this.#end = startLsn;
    this.capacityBytes = capacityBytes;
  }

  /** End of the newest batch (of the start, when none was pushed). */
  get endLsn(): bigint {
    return this.#end;
  }

  /** Backlink of the oldest batch kept: a segment with an SCL below it cannot be served from here. */
  get startLsn(): bigint {
    return this.#entries[this.#head]?.backlink ?? this.#end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** Sequence number that the next pushed batch will get. */
  get nextSequence(): number {
    return this.#base + this.#entries.length;
  }

  /** Can a message of `bytes` be pushed, when all up to `durable` may be dropped for it? A lone batch always fits. */
  hasRoom(bytes: number, durable: bigint): boolean {
    this.#drop(bytes, durable);
    return this.length === 0 || this.#bytes + bytes <= this.capacityBytes;
  }

  /** Adds the batch that follows the newest. Throws RangeError on a gap: the caller's mistake. */
  push(entry: RingEntry): void {
    if (entry.backlink !== this.#end)
      throw new RangeError(`a batch with backlink ${entry.backlink} cannot follow redo that ends at ${this.#end}`);
    this.#entries.push(entry);
    this.#bytes += entry.message.length;
    this.#end = entry.endLsn;
  }

  /** The batch with that sequence number; undefined when it is not there yet or no longer. */
  get(sequence: number): RingEntry | undefined {
    const index = sequence - this.#base;
    return index < this.#head ? undefined : this.#entries[index];
  }

  /**
   * Where a segment with this SCL goes on: the sequence of the batch whose backlink it is, `nextSequence` when it has
   * all. Undefined when that batch was dropped, or when no batch starts there.
   */
  sequenceAfter(scl: bigint): number | undefined {
    if (scl === this.#end) return this.nextSequence;
    let low = this.#head;
    let high = this.#entries.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const backlink = this.#entries[middle]?.backlink ?? 0n;
      if (backlink === scl) return this.#base + middle;
      if (backlink < scl) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  #drop(needed: number, durable: bigint): void {
    while (this.#bytes + needed > this.capacityBytes) {
      const oldest = this.#entries[this.#head];
      if (oldest === undefined || oldest.endLsn > durable) return;
      this.#entries[this.#head] = undefined;
      this.#head++;
      this.#bytes -= oldest.message.length;
      if (this.#head >= COMPACT_AFTER) {
        this.#entries = this.#entries.slice(this.#head);
        this.#base += this.#head;
        this.#head = 0;
      }
    }
  }
}
