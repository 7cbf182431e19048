import { formatLsn, WAL_PAGE_BYTES, WalPageWriter, type Lsn } from '@kube-aurora/pg-format';
import { recordsIn } from '@kube-aurora/volume';
import type { DurableRedo } from './durable-redo.ts';

/** As PostgreSQL's own walsender cuts it (MAX_SEND_SIZE). */
const MESSAGE_BYTES_MAX = 16 * WAL_PAGE_BYTES;

/** WAL for one message: bytes that start at `lsn`, in pieces. */
export interface WalMessage {
  readonly lsn: Lsn;
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
}

/**
 * The WAL that a standby has been given and has not said to have written out, and what is to be given next, as the
 * pages that PostgreSQL itself would have written.
 *
 * Invariants:
 * - redo is taken where the redo before it ended, and each record at its own place: neither a gap nor an overlap gets
 *   in;
 * - a message ends where a record or a page does: a standby takes a record that is cut elsewhere for damaged;
 * - what a standby has not written out can be given again.
 */
export class HeldWal {
  readonly startLsn: Lsn;
  readonly #writer: WalPageWriter;
  #writtenLsn: Lsn;

  /** Throws RangeError when no record can start at `startLsn`. */
  constructor(options: { readonly systemIdentifier: bigint; readonly timeline: number; readonly startLsn: Lsn }) {
    this.startLsn = options.startLsn;
    this.#writtenLsn = options.startLsn;
    this.#writer = new WalPageWriter(options);
  }

  /** End of the last record that was taken. */
  get endLsn(): Lsn {
    return this.#writer.position;
  }

  /** The standby has written everything before it out. */
  get writtenLsn(): Lsn {
    return this.#writtenLsn;
  }

  get heldBytes(): number {
    return Number(this.endLsn - this.#writtenLsn);
  }

  /** Where a standby that comes anew goes on: the page that it may have in part. */
  get resumeLsn(): Lsn {
    const page = this.#writtenLsn - (this.#writtenLsn % BigInt(WAL_PAGE_BYTES));
    return page > this.startLsn ? (page as Lsn) : this.startLsn;
  }

  /**
   * Throws RangeError for redo that does not follow, before any of it is taken, and for a record that is not at its
   * place.
   */
  append(redo: DurableRedo): void {
    if (redo.startLsn !== this.endLsn) {
      throw new RangeError(`redo from ${formatLsn(redo.startLsn)} does not follow what ends at ${formatLsn(this.endLsn)}`);
    }
    for (const { lsn, raw } of recordsIn(redo.records)) {
      const placed = this.#writer.append(raw);
      if (placed.lsn !== lsn) throw new RangeError(`the record of ${formatLsn(lsn)} would stand at ${formatLsn(placed.lsn)}`);
    }
    if (this.endLsn !== redo.endLsn) {
      throw new RangeError(`redo that is said to end at ${formatLsn(redo.endLsn)} ends at ${formatLsn(this.endLsn)}`);
    }
  }

  /** What follows `from`, as much as goes in one message; undefined when nothing does. */
  messageFrom(from: Lsn): WalMessage | undefined {
    if (from >= this.endLsn) return undefined;
    const room = MESSAGE_BYTES_MAX - Number(from % BigInt(WAL_PAGE_BYTES));
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (const piece of this.#writer.read(from)) {
      pieces.push(piece.bytes);
      bytes += piece.bytes.length;
      if (bytes >= room) break;
    }
    return { lsn: from, pieces, bytes };
  }

  /** The standby has written out everything before `lsn`. */
  written(lsn: Lsn): void {
    if (lsn <= this.#writtenLsn) return;
    this.#writtenLsn = lsn;
    this.#writer.release(lsn);
  }
}
