import type { LogReader } from './log-reader.ts';
import { LogReadError } from './log-errors.ts';

/**
 * Reads many records in the order in which they stand in the log: a stretch at a time instead of one by one. The
 * stretches it gives are views that the next one may overwrite.
 */
const WINDOW_BYTES = 128 * 1024;
/** Longer records are read by themselves. One that has the images of 33 pages, the most that PostgreSQL puts into one, is not among them. */
const RECORD_BYTES_MAX = 512 * 1024;
const NOTHING = Buffer.alloc(0);

/** Memory that windows read into, one after another. It grows to the longest record that they meet. */
export interface WindowRoom {
  bytes: Buffer;
}

export function windowRoom(): WindowRoom {
  return { bytes: NOTHING };
}

/** Bytes of the log from `position` on, unchecked. */
export interface LogStretch {
  readonly bytes: Buffer;
  readonly position: number;
}

export class RecordWindow {
  readonly #log: LogReader;
  readonly #isRecent: boolean;
  /** Made for the first stretch: what is read may all be in memory. */
  readonly #room: WindowRoom;
  #from = 0;
  #to = 0;

  /** `isRecent`: records are looked for in memory before a stretch is read. `room`: of nobody else's use meanwhile. */
  constructor(log: LogReader, isRecent: boolean, room = windowRoom()) {
    this.#log = log;
    this.#isRecent = isRecent;
    this.#room = room;
  }

  /** How far beyond a position one stretch reaches. */
  static readonly reach = WINDOW_BYTES;

  /**
   * The stretch from a record's LSN field on, with the record where the log has it; where it is not in memory yet, everything up to `until()`
   * is read with it. Undefined of a record that is too long for one. Throws LogReadError, LogGoneError.
   */
  stretch(position: number, recordBytes: number, lsn: bigint, until: () => number): LogStretch | undefined {
    const end = position + 8 + recordBytes;
    if (position < this.#from || end > this.#to) {
      const recent = this.#isRecent ? this.#log.recent(position, recordBytes, WINDOW_BYTES) : undefined;
      if (recent !== undefined) return { bytes: recent, position };
      if (end - position > RECORD_BYTES_MAX) return undefined;
      if (end - position > this.#room.bytes.length) this.#room.bytes = Buffer.allocUnsafeSlow(Math.max(WINDOW_BYTES, end - position));
      this.#from = position;
      this.#to = position + this.#log.readInto(this.#room.bytes, position, () => Math.max(end, until()), lsn);
    }
    return { bytes: this.#room.bytes.subarray(position - this.#from, this.#to - this.#from), position };
  }

  /** One record by the position of its LSN field. Its LSN and CRC are checked. Throws LogReadError, LogGoneError. */
  record(position: number, recordBytes: number, lsn: bigint, until: () => number): Buffer {
    const stretch = this.stretch(position, recordBytes, lsn, until);
    if (stretch === undefined) return this.#log.record(position, recordBytes, lsn);
    const { bytes } = stretch;
    if (8 + recordBytes > bytes.length) throw new LogReadError(lsn, 'the log ends before the record does');
    const raw = bytes.subarray(8, 8 + recordBytes);
    if (bytes.readBigUInt64LE(0) !== lsn || raw.readUInt32LE(0) !== recordBytes || !this.#log.isRecordSound(raw)) {
      throw new LogReadError(lsn, 'the stored record fails its CRC');
    }
    return raw;
  }
}
