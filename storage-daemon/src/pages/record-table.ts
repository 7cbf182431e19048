import type { RecordPlaces } from '@kube-aurora/redo-engine';

/**
 * Where each record past the checkpoint stands in the log, by a running number (`seq`), so that an index entry is one
 * small number.
 */

const CHUNK = 4096;

/** The last record of its batch: the log may be read from here on. */
const LAST_OF_BATCH = 1;

interface Chunk {
  readonly lsns: BigUint64Array;
  /** The same, in halves: the low one first, as on all hosts that this runs on. */
  readonly words: Uint32Array;
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  readonly flags: Uint8Array;
}

export class RecordTable {
  /** Chunk i holds seqs from #firstChunk*CHUNK + i*CHUNK on. */
  readonly #chunks: Chunk[] = [];
  #firstChunk = 0;
  #first = 0;
  #next = 0;

  /** Lowest seq that is held. */
  get first(): number {
    return this.#first;
  }

  /** The seq that the next record gets. */
  get next(): number {
    return this.#next;
  }

  get size(): number {
    return this.#next - this.#first;
  }

  #chunkOf(seq: number): Chunk {
    const chunk = this.#chunks[Math.floor(seq / CHUNK) - this.#firstChunk];
    if (chunk === undefined || seq < this.#first || seq >= this.#next) {
      throw new RangeError(`record ${seq} is not among ${this.#first}..${this.#next}`);
    }
    return chunk;
  }

  /** The chunk that the next record goes into. */
  #chunkOfNext(): Chunk {
    const index = Math.floor(this.#next / CHUNK) - this.#firstChunk;
    let chunk = this.#chunks[index];
    if (chunk === undefined) {
      const lsns = new BigUint64Array(CHUNK);
      chunk = {
        lsns,
        words: new Uint32Array(lsns.buffer),
        positions: new Float64Array(CHUNK),
        lengths: new Uint32Array(CHUNK),
        flags: new Uint8Array(CHUNK),
      };
      this.#chunks[index] = chunk;
    }
    return chunk;
  }

  /** Places for the next records, one at least and `most` at most: whoever fills them in calls `filled`. */
  places(most: number): RecordPlaces {
    const { lsns, positions, lengths } = this.#chunkOfNext();
    const first = this.#next % CHUNK;
    return { lsns, positions, lengths, first, count: Math.min(most, CHUNK - first) };
  }

  /** `count` of them, one at least, are filled in: of one batch, which may end with the last of them. */
  filled(count: number, lastOfBatch: boolean): void {
    const { flags } = this.#chunkOfNext();
    const first = this.#next % CHUNK;
    flags.fill(0, first, first + count);
    if (lastOfBatch) flags[first + count - 1] = LAST_OF_BATCH;
    this.#next += count;
  }

  /** `lsn` is exact: below 2^53. Gives the record's seq. */
  push(lsn: number, position: number, length: number, lastOfBatch: boolean): number {
    const chunk = this.#chunkOfNext();
    const seq = this.#next++;
    const at = seq % CHUNK;
    chunk.words[2 * at] = lsn;
    chunk.words[2 * at + 1] = lsn / 0x1_0000_0000;
    chunk.positions[at] = position;
    chunk.lengths[at] = length;
    chunk.flags[at] = lastOfBatch ? LAST_OF_BATCH : 0;
    return seq;
  }

  lsn(seq: number): bigint {
    return this.#chunkOf(seq).lsns[seq % CHUNK] ?? 0n;
  }

  /** Position of the record's LSN field in the log. */
  position(seq: number): number {
    return this.#chunkOf(seq).positions[seq % CHUNK] ?? 0;
  }

  /** tot_len. */
  recordBytes(seq: number): number {
    return this.#chunkOf(seq).lengths[seq % CHUNK] ?? 0;
  }

  /** Writes what it has of a record to place `at` of the arrays. */
  describe(
    seq: number,
    at: number,
    to: { readonly positions: Float64Array; readonly lengths: Uint32Array; readonly lsns: BigUint64Array },
  ): void {
    const { positions, lengths, lsns } = this.#chunkOf(seq);
    const from = seq % CHUNK;
    to.positions[at] = positions[from] ?? 0;
    to.lengths[at] = lengths[from] ?? 0;
    to.lsns[at] = lsns[from] ?? 0n;
  }

  isLastOfBatch(seq: number): boolean {
    return this.#chunkOf(seq).flags[seq % CHUNK] === LAST_OF_BATCH;
  }

  /** First seq whose record starts at or past `lsn`; `next` when there is none. */
  lowerBound(lsn: bigint): number {
    let low = this.#first;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.lsn(middle) < lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Forgets records below `seq`. */
  dropBelow(seq: number): void {
    this.#first = Math.max(this.#first, Math.min(seq, this.#next));
    while ((this.#firstChunk + 1) * CHUNK <= this.#first) {
      this.#chunks.shift();
      this.#firstChunk++;
    }
  }
}
