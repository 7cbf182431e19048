import type { LogReader } from './log-reader.ts';
import { LogReadError } from './log-errors.ts';

/**
 * Reads many records in the order in which they stand in the log: a stretch at a time instead of one by one. The
 * records it gives are views that the next one may overwrite.
 */
const WINDOW_BYTES = 128 * 1024;
const NOTHING = Buffer.alloc(0);

export class RecordWindow {
  readonly #log: LogReader;
  readonly #isRecent: boolean;
  /** Made for the first stretch: what is read may all be in memory. */
  #bytes: Buffer = NOTHING;
  #from = 0;
  #to = 0;

  /** `isRecent`: records are looked for in memory before a stretch is read. */
  constructor(log: LogReader, isRecent: boolean) {
    this.#log = log;
    this.#isRecent = isRecent;
  }

  /** How far beyond a position one stretch reaches. */
  static readonly reach = WINDOW_BYTES;

  /**
   * One record by the position of its LSN field; where it is not in memory yet, everything up to `until()` is read with
   * it. Its LSN and CRC are checked. Throws LogReadError, LogGoneError.
   */
  record(position: number, recordBytes: number, lsn: bigint, until: () => number): Buffer {
    const end = position + 8 + recordBytes;
    if (position < this.#from || end > this.#to) {
      const recent = this.#isRecent ? this.#log.recent(position, recordBytes) : undefined;
      if (recent !== undefined) return recent;
      if (end - position > WINDOW_BYTES) return this.#log.record(position, recordBytes, lsn);
      if (this.#bytes === NOTHING) this.#bytes = Buffer.allocUnsafe(WINDOW_BYTES);
      this.#from = position;
      this.#to = position + this.#log.readInto(this.#bytes, position, () => Math.max(end, until()), lsn);
    }
    if (end > this.#to) throw new LogReadError(lsn, 'the log ends before the record does');
    const at = position - this.#from;
    const raw = this.#bytes.subarray(at + 8, at + 8 + recordBytes);
    if (this.#bytes.readBigUInt64LE(at) !== lsn || raw.readUInt32LE(0) !== recordBytes || !this.#log.isRecordSound(raw)) {
      throw new LogReadError(lsn, 'the stored record fails its CRC');
    }
    return raw;
  }
}
