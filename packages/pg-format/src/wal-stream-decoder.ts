import { recordCrcIsValid } from './build-record.ts';
import { isSwitchRecord } from './decode-record.ts';
import { formatLsn, lsn as toLsn, type Lsn } from './lsn.ts';
import { RMGR_BUILTIN_MAX, RMGR_CUSTOM_MIN } from './rmgr.ts';
import { WalFormatError } from './wal-format-error.ts';
import { RECORD_HEADER, RECORD_HEADER_BYTES, RECORD_MAX_BYTES, WAL_PAGE_BYTES, WAL_PAGE_INFO } from './wal-layout.ts';
import { readPageHeader } from './wal-page-header.ts';
import { offsetInSegment, pageHeaderBytes, recordEndOffset } from './wal-position.ts';

/** One record as it stands in the stream: start, EndRecPtr, and its bytes without page headers. */
export interface StreamRecord {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
  readonly raw: Buffer;
}

/**
 * A record where it stands: its bytes are [start, start + length) of `bytes`, which holds until the decoder moves on.
 * LSNs are numbers, exact below 2^53 (eight petabytes of WAL).
 */
export interface RecordInPlace {
  readonly lsn: number;
  readonly endLsn: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly length: number;
}

/** A record of which not all bytes have come. */
export interface BegunRecord {
  readonly lsn: Lsn;
  /** Where it ends, if its length is what it will be. */
  readonly endLsn: Lsn;
}

/** Bytes that were received and not looked at, of which the first is where a record begins, or the header of its page. */
export interface UncutStretch {
  readonly bytes: Buffer;
  readonly start: number;
  readonly lsn: number;
  /** Start of the last complete record. */
  readonly prev: number;
}

/** Records that lie in more than one piece are put together here; what a long one needed is given back. */
const GATHER_BYTES = 16 * 1024;
const GATHER_BYTES_KEPT = 1024 * 1024;

const EMPTY = Buffer.alloc(0);

export interface WalStreamOptions {
  /** Checked against the header of each segment's first page. */
  readonly systemIdentifier?: bigint;
  /** Start of the record that ends at `startLsn`; the first record's xl_prev must be it. */
  readonly prev?: Lsn;
}

/**
 * Cuts a stream of WAL bytes, given in chunks of any size, into records. Page headers, continuation over pages,
 * records that recovery abandoned (XLP_FIRST_IS_OVERWRITE_CONTRECORD) and the rest of a segment after XLOG_SWITCH are
 * dealt with; lengths, CRC, xl_prev, page addresses, timelines and system identifier are checked.
 *
 * Zeros where a record or page header should begin are the end of what has been written: `next` gives undefined and
 * `reachedZeros` is true. The tail of a log that is still being written may also hold half a record, which shows as a
 * WalFormatError. After either call {@link rewind} and push again from `position`.
 *
 * There are two ways to take records: `next` gives each as values of its own, `advance` only moves on to it, which
 * costs no allocation: `record` is then where it stands. Pushed chunks belong to the decoder until it was moved past
 * them; records that `next` gives and that lie within one page are views into them.
 */
export class WalStreamDecoder {
  /** Start of the segment that startLsn is in. Positions below are offsets from it, which stay exact as numbers. */
  readonly #base: bigint;
  readonly #baseNumber: number;
  readonly #systemIdentifier: bigint | undefined;

  #queue: Buffer[] = [];
  /** Next unread byte of queue[0]. */
  #head = 0;
  /** Offset in the stream of that byte, and of the byte after the last one pushed. */
  #at: number;
  #received: number;
  /** End of the last complete record. */
  #position: number;
  #timeline = 0;
  /** Start of the last complete record, or what was given for it; -1 when neither is known. */
  #last: number;
  /** A page header is due once `#at` reaches this offset. */
  #nextPage: number;

  /** The record being put together: its start (-1: none), length, and how much of it has been gathered. */
  #recordAt = -1;
  #recordLength = 0;
  #gathered = 0;
  #gather: Buffer = EMPTY;
  /** End of what was looked at last: a header, or a whole record. */
  #unitEnd = 0;
  readonly #record: { -readonly [K in keyof RecordInPlace]: RecordInPlace[K] } = { lsn: 0, endLsn: 0, bytes: EMPTY, start: 0, length: 0 };

  readonly #stretch: { -readonly [K in keyof UncutStretch]: UncutStretch[K] } = { bytes: EMPTY, start: 0, lsn: 0, prev: 0 };

  #reachedZeros = false;
  #failure: WalFormatError | undefined;

  /** `startLsn` is the end of a record or the start of a page. Throws RangeError when it can be neither. */
  constructor(startLsn: Lsn, options: WalStreamOptions = {}) {
    const offset = offsetInSegment(startLsn);
    const inPage = offset % WAL_PAGE_BYTES;
    if (offset % 8 !== 0 || (inPage !== 0 && inPage < pageHeaderBytes(offset - inPage))) {
      throw new RangeError(`${formatLsn(startLsn)} is not where a WAL record can start or end`);
    }
    if (startLsn > BigInt(Number.MAX_SAFE_INTEGER))
      throw new RangeError(`${formatLsn(startLsn)} is past the eight petabytes that are counted`);
    this.#base = startLsn - BigInt(offset);
    this.#baseNumber = Number(this.#base);
    this.#systemIdentifier = options.systemIdentifier;
    this.#at = this.#received = this.#position = offset;
    this.#nextPage = Math.ceil(offset / WAL_PAGE_BYTES) * WAL_PAGE_BYTES;
    this.#last = options.prev === undefined ? -1 : Number(options.prev);
  }

  /** End of the last complete record; at first the start position. */
  get position(): Lsn {
    return this.#lsn(this.#position);
  }

  /** Where the next pushed byte belongs. */
  get receivedLsn(): Lsn {
    return this.#lsn(this.#received);
  }

  /** Start of the last complete record, the xl_prev of the one to come; undefined when none is known. */
  get lastRecordLsn(): Lsn | undefined {
    return this.#last < 0 ? undefined : toLsn(BigInt(this.#last));
  }

  /** Timeline of the last page header seen, 0 before the first. */
  get timeline(): number {
    return this.#timeline;
  }

  /** True when the log ends in zeros here; see the class. */
  get reachedZeros(): boolean {
    return this.#reachedZeros;
  }

  /** The record that `advance` has moved to. One object for all of them. */
  get record(): RecordInPlace {
    return this.#record;
  }

  /** The record that was begun after `position` and is not complete. */
  get begun(): BegunRecord | undefined {
    if (this.#recordAt < 0) return undefined;
    const lsn = this.#lsn(this.#recordAt);
    return { lsn, endLsn: this.#lsn(recordEndOffset(this.#recordAt, this.#recordLength, false)) };
  }

  /**
   * When `advance` or `next` stopped at zeros or threw: end of the bytes that made it stop. Where they are final, the
   * log ends there or is damaged; where they may still be written, it just ends before them.
   */
  get stoppedLsn(): Lsn {
    return this.#lsn(this.#unitEnd);
  }

  /** Takes the next bytes of the stream, those that belong at `receivedLsn`. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#received += bytes.length;
  }

  /**
   * Forgets what was received after `position`, which becomes the place of the next push. Used at a log's tail, and to
   * pass over the unused rest of a segment.
   */
  rewind(): Lsn {
    this.#queue = [];
    this.#head = 0;
    this.#at = this.#received = this.#position;
    this.#nextPage = Math.ceil(this.#position / WAL_PAGE_BYTES) * WAL_PAGE_BYTES;
    this.#dropPartialRecord();
    this.#reachedZeros = false;
    this.#failure = undefined;
    return this.position;
  }

  /**
   * The next complete record, or undefined when more bytes are needed. Throws WalFormatError on bytes that are not WAL;
   * `position` stays at the last good record and the error comes again until {@link rewind}.
   */
  next(): StreamRecord | undefined {
    if (!this.advance()) return undefined;
    const { lsn, bytes, start, length } = this.#record;
    const raw = bytes === this.#gather ? Buffer.from(bytes.subarray(start, start + length)) : bytes.subarray(start, start + length);
    return { lsn: toLsn(BigInt(lsn)), endLsn: this.position, raw };
  }

  /**
   * What somebody else may cut records from, who then says so by {@link pass}. Undefined while a record is under way, the one before is not
   * known, or nothing more can come. One object for all.
   */
  stretch(): UncutStretch | undefined {
    if (this.#recordAt >= 0 || this.#last < 0 || this.#reachedZeros || this.#failure !== undefined) return undefined;
    // What fills up the record before.
    if (this.#at < this.#position && !this.#discardTo(this.#position)) return undefined;
    const [bytes] = this.#queue;
    if (bytes === undefined) return undefined;
    const stretch = this.#stretch;
    stretch.bytes = bytes;
    stretch.start = this.#head;
    stretch.lsn = this.#baseNumber + this.#at;
    stretch.prev = this.#last;
    return stretch;
  }

  /**
   * The first `length` bytes of the stretch were whole records of this timeline, with all that lies between them, checked as they are checked
   * here; the last one began at `lastRecord` and ended, filled up, with them. None was a switch.
   */
  pass(length: number, lastRecord: number): void {
    this.#advance(length);
    this.#position = this.#unitEnd = this.#at;
    this.#nextPage = Math.ceil(this.#at / WAL_PAGE_BYTES) * WAL_PAGE_BYTES;
    this.#last = lastRecord;
  }

  /** As {@link next}, but the record is to be had from `record`. False when more bytes are needed. */
  advance(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#reachedZeros) return false;
    try {
      return this.#advanceRecord();
    } catch (error) {
      if (error instanceof WalFormatError) this.#failure = error;
      throw error;
    }
  }

  #advanceRecord(): boolean {
    for (;;) {
      // Padding after a record, or the rest of a segment after XLOG_SWITCH.
      if (this.#at < this.#position && !this.#discardTo(this.#position)) return false;
      if (this.#at === this.#nextPage && !this.#readPageHeader()) return false;
      if (this.#recordAt < 0 && !this.#beginRecord()) return false;
      if (this.#gatherRecord()) return true;
      if (this.#at !== this.#nextPage) return false;
    }
  }

  /** False when its bytes are not all there yet, or are zeros. */
  #readPageHeader(): boolean {
    const length = pageHeaderBytes(this.#at);
    const header = this.#peek(length);
    if (header === undefined) return false;
    const { bytes, offset } = header;
    this.#unitEnd = this.#at + length;
    const page = this.#lsn(this.#at);
    const seen = readPageHeader(bytes, offset, page, { timeline: this.#timeline, systemIdentifier: this.#systemIdentifier });
    if (seen === undefined) {
      this.#reachedZeros = true;
      return false;
    }
    this.#continueRecord(page, seen.info, seen.remaining);
    this.#timeline = seen.timeline;
    this.#advance(length);
    this.#nextPage += WAL_PAGE_BYTES;
    return true;
  }

  /** Checks that the page goes on with the record being gathered, exactly when there is one. */
  #continueRecord(page: Lsn, info: number, remaining: number): void {
    const continues = (info & WAL_PAGE_INFO.FIRST_IS_CONTRECORD) !== 0;
    if (this.#recordAt < 0) {
      if (continues) throw new WalFormatError(page, 'xlp_info', 'page continues a record that did not begin before it');
      return;
    }
    if ((info & WAL_PAGE_INFO.FIRST_IS_OVERWRITE_CONTRECORD) !== 0) {
      this.#dropPartialRecord();
      return;
    }
    if (!continues)
      throw new WalFormatError(page, 'xlp_info', `page does not continue the record at ${formatLsn(this.#lsn(this.#recordAt))}`);
    if (remaining !== this.#recordLength - this.#gathered) {
      throw new WalFormatError(page, 'xlp_rem_len', `${remaining}, record has ${this.#recordLength - this.#gathered} bytes to come`);
    }
  }

  /** Reads tot_len, which never crosses a page. False when it is not there yet, or is zero. */
  #beginRecord(): boolean {
    const header = this.#peek(4);
    if (header === undefined) return false;
    const totalLength = header.bytes.readUInt32LE(header.offset);
    this.#unitEnd = this.#at + 4;
    if (totalLength === 0) {
      this.#reachedZeros = true;
      return false;
    }
    if (totalLength < RECORD_HEADER_BYTES || totalLength > RECORD_MAX_BYTES) {
      throw new WalFormatError(this.#lsn(this.#at), 'xl_tot_len', `${totalLength} is not a record's length`);
    }
    this.#recordAt = this.#at;
    this.#recordLength = totalLength;
    return true;
  }

  /** Takes the record's bytes that this page has. True once it is whole. */
  #gatherRecord(): boolean {
    for (;;) {
      const wanted = Math.min(this.#recordLength - this.#gathered, this.#nextPage - this.#at);
      if (wanted === 0) return false;
      const chunk = this.#queue[0];
      if (chunk === undefined) return false;
      const head = this.#head;
      const taken = Math.min(wanted, chunk.length - head);
      this.#advance(taken);
      if (taken === this.#recordLength) {
        this.#finish(chunk, head);
        return true;
      }
      this.#makeRoom(this.#gathered + taken);
      chunk.copy(this.#gather, this.#gathered, head, head + taken);
      this.#gathered += taken;
      if (this.#gathered === this.#recordLength) {
        this.#finish(this.#gather, 0);
        return true;
      }
    }
  }

  /** Grows with the bytes that have come, not with the length that a record claims. */
  #makeRoom(bytes: number): void {
    if (this.#gathered === 0 && this.#gather.length > GATHER_BYTES_KEPT) this.#gather = EMPTY;
    if (bytes <= this.#gather.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(GATHER_BYTES, 2 * this.#gather.length, bytes));
    this.#gather.copy(larger, 0, 0, this.#gathered);
    this.#gather = larger;
  }

  #finish(bytes: Buffer, start: number): void {
    const at = this.#recordAt;
    const length = this.#recordLength;
    this.#unitEnd = this.#at;
    const rmid = bytes.readUInt8(start + RECORD_HEADER.rmid.at);
    const prev = bytes.readUInt32LE(start + RECORD_HEADER.prev.at) + bytes.readUInt32LE(start + RECORD_HEADER.prev.at + 4) * 2 ** 32;
    if (rmid > RMGR_BUILTIN_MAX && rmid < RMGR_CUSTOM_MIN) {
      throw new WalFormatError(this.#lsn(at), 'xl_rmid', `${rmid} is not a resource manager`);
    }
    if (this.#last < 0 ? prev >= this.#baseNumber + at : prev !== this.#last) {
      const expected = this.lastRecordLsn;
      const found = bytes.readBigUInt64LE(start + RECORD_HEADER.prev.at);
      const wanted = expected === undefined ? 'one before it' : formatLsn(expected);
      throw new WalFormatError(this.#lsn(at), 'xl_prev', `${formatLsn(toLsn(found))}, expected ${wanted}`);
    }
    if (!recordCrcIsValid(bytes, start, start + length)) throw new WalFormatError(this.#lsn(at), 'xl_crc', 'checksum does not match');
    const isSwitch = isSwitchRecord(rmid, bytes.readUInt8(start + RECORD_HEADER.info.at));
    this.#position = recordEndOffset(at, length, isSwitch);
    if (isSwitch) this.#nextPage = this.#position;
    this.#last = this.#baseNumber + at;
    const record = this.#record;
    record.lsn = this.#last;
    record.endLsn = this.#baseNumber + this.#position;
    record.bytes = bytes;
    record.start = start;
    record.length = length;
    this.#dropPartialRecord();
  }

  #dropPartialRecord(): void {
    this.#recordAt = -1;
    this.#recordLength = 0;
    this.#gathered = 0;
  }

  /** Where the next `length` bytes stand in one buffer, joining chunks if need be; undefined when fewer have come. */
  #peek(length: number): { bytes: Buffer; offset: number } | undefined {
    let chunk = this.#queue[0];
    if (chunk === undefined || this.#received - this.#at < length) return undefined;
    while (chunk.length - this.#head < length) {
      const second: Buffer | undefined = this.#queue[1];
      if (second === undefined) return undefined;
      chunk = Buffer.concat([chunk.subarray(this.#head), second]);
      this.#queue.splice(0, 2, chunk);
      this.#head = 0;
    }
    return { bytes: chunk, offset: this.#head };
  }

  /** Moves on by bytes that are within the first chunk. */
  #advance(length: number): void {
    this.#head += length;
    this.#at += length;
    if (this.#head === this.#queue[0]?.length) {
      this.#queue.shift();
      this.#head = 0;
    }
  }

  /** Throws bytes away up to the offset; false when they have not all come. */
  #discardTo(offset: number): boolean {
    while (this.#at < offset) {
      const chunk = this.#queue[0];
      if (chunk === undefined) return false;
      this.#advance(Math.min(offset - this.#at, chunk.length - this.#head));
    }
    return true;
  }

  #lsn(offset: number): Lsn {
    return toLsn(this.#base + BigInt(offset));
  }
}
