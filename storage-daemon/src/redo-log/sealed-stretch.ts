import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, type RedoBatchHeader } from '@kube-aurora/volume';
import type { BatchForm, StoredBatch } from './batch-form.ts';
import { checkedAt } from './find-batch.ts';
import { LogReadError } from './log-errors.ts';
import type { LogFile } from './log-file.ts';

/** Read at once, at most: from a place that is looked up to the end of a reader's window. */
const STRETCH_BYTES = 192 * 1024;
const NOTHING = Buffer.alloc(0);

/** A batch that was opened, and where it stands in the log. */
export interface OpenedBatch {
  readonly position: number;
  /** As it stands on disk. */
  readonly diskBytes: number;
  readonly stored: StoredBatch;
}

/**
 * Finds and opens sealed batches by positions in them. Records are asked for one after the other, close to one another: so a stretch
 * of the log is read at once, headers are followed in memory from the batch that was opened last, and a batch is opened when something
 * in it is asked for, and once.
 *
 * Invariant: what is held was durable when it was read, so what stands there changes only where the log says so (`forget`).
 */
export class SealedStretch {
  readonly #form: BatchForm;
  /** Made for the first one that is read. */
  #bytes: Buffer = NOTHING;
  /** Position of its first byte, and how many there are. */
  #from = 0;
  #length = 0;
  #opened: OpenedBatch | undefined;

  constructor(form: BatchForm) {
    this.#form = form;
  }

  /** What stands at a position is another from now on. */
  forget(): void {
    this.#opened = undefined;
    this.#length = 0;
  }

  /**
   * The batch around `position`, which has the record at `lsn`. What is not in memory is read up to `until()`, which is no further than
   * what is durable. Throws LogReadError.
   */
  around(file: LogFile, position: number, lsn: bigint, until: () => number): OpenedBatch {
    const last = this.#opened;
    const lastEnd = last === undefined ? -1 : last.position + last.diskBytes;
    if (last !== undefined && last.position <= position && position < lastEnd) return last;
    const lookedUp = file.base + file.lookup(lsn);
    // The nearest place before it where a batch is known to begin.
    let at = lastEnd > lookedUp && lastEnd <= position ? lastEnd : lookedUp;
    if (!this.#holds(at, position + REDO_BATCH_HEADER_BYTES - at)) this.#read(file, at, until());
    for (const end = file.base + file.used; at < end;) {
      const { totalBytes } = this.#headerAt(file, at, lsn);
      if (position < at + totalBytes) return (this.#opened = this.#open(file, at, totalBytes, lsn));
      at += totalBytes;
    }
    throw new LogReadError(lsn, `no batch stands around byte ${position - file.base}`);
  }

  #holds(position: number, bytes: number): boolean {
    return position >= this.#from && position + bytes <= this.#from + this.#length;
  }

  #read(file: LogFile, position: number, until: number): void {
    if (this.#bytes === NOTHING) this.#bytes = Buffer.allocUnsafe(STRETCH_BYTES);
    const offset = position - file.base;
    const bytes = Math.min(STRETCH_BYTES, Math.max(REDO_BATCH_HEADER_BYTES, until - position), file.used - offset);
    this.#from = position;
    this.#length = file.readHere(this.#bytes, 0, bytes, offset);
  }

  /** Bytes that are held, or read for this alone. */
  #bytesAt(file: LogFile, position: number, bytes: number): Buffer {
    if (this.#holds(position, bytes)) return this.#bytes.subarray(position - this.#from, position - this.#from + bytes);
    const own = Buffer.allocUnsafe(bytes);
    return own.subarray(0, file.readHere(own, 0, bytes, position - file.base));
  }

  #headerAt(file: LogFile, position: number, lsn: bigint): RedoBatchHeader {
    return checkedAt(lsn, () => decodeRedoBatchHeader(this.#bytesAt(file, position, REDO_BATCH_HEADER_BYTES)));
  }

  #open(file: LogFile, position: number, diskBytes: number, lsn: bigint): OpenedBatch {
    return { position, diskBytes, stored: checkedAt(lsn, () => this.#form.fromDisk(this.#bytesAt(file, position, diskBytes), 0)) };
  }
}
