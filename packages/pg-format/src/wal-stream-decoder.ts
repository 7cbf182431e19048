import { recordCrcIsValid } from './build-record.ts';
import { isSwitchRecord } from './decode-record.ts';
import { formatLsn, lsn as toLsn, type Lsn } from './lsn.ts';
import { RMGR_BUILTIN_MAX, RMGR_CUSTOM_MIN } from './rmgr.ts';
import { WalFormatError } from './wal-format-error.ts';
import {
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAX_BYTES,
  WAL_LONG_HEADER_BYTES,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER,
  WAL_PAGE_INFO,
  WAL_PAGE_INFO_ALL,
  WAL_PAGE_MAGIC,
  WAL_SEGMENT_BYTES,
} from './wal-layout.ts';
import { offsetInSegment, pageHeaderBytes, recordEndOffset } from './wal-position.ts';

/** One record as it stands in the stream: start, EndRecPtr, and its bytes without page headers. */
export interface StreamRecord {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
  readonly raw: Buffer;
}

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
 * Pushed chunks belong to the decoder: records that lie within one page are views into them.
 */
export class WalStreamDecoder {
  /** Start of the segment that startLsn is in. Positions below are offsets from it, which stay exact as numbers. */
  readonly #base: bigint;
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
  #prev: Lsn | undefined;
  #last: Lsn | undefined;
  /** A page header is due once `#at` reaches this offset. */
  #nextPage: number;

  /** The record being put together: its start (-1: none), length, and the pieces had so far. */
  #recordAt = -1;
  #recordLength = 0;
  #pieces: Buffer[] = [];
  #gathered = 0;

  #reachedZeros = false;
  #failure: WalFormatError | undefined;

  /** `startLsn` is the end of a record or the start of a page. Throws RangeError when it can be neither. */
  constructor(startLsn: Lsn, options: WalStreamOptions = {}) {
    const offset = offsetInSegment(startLsn);
    const inPage = offset % WAL_PAGE_BYTES;
    if (offset % 8 !== 0 || (inPage !== 0 && inPage < pageHeaderBytes(offset - inPage))) {
      throw new RangeError(`${formatLsn(startLsn)} is not where a WAL record can start or end`);
    }
    this.#base = startLsn - BigInt(offset);
    this.#systemIdentifier = options.systemIdentifier;
    this.#at = this.#received = this.#position = offset;
    this.#nextPage = Math.ceil(offset / WAL_PAGE_BYTES) * WAL_PAGE_BYTES;
    this.#prev = options.prev;
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
    return this.#last ?? this.#prev;
  }

  /** Timeline of the last page header seen, 0 before the first. */
  get timeline(): number {
    return this.#timeline;
  }

  /** True when the log ends in zeros here; see the class. */
  get reachedZeros(): boolean {
    return this.#reachedZeros;
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
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#reachedZeros) return undefined;
    try {
      return this.#next();
    } catch (error) {
      if (error instanceof WalFormatError) this.#failure = error;
      throw error;
    }
  }

  #next(): StreamRecord | undefined {
    for (;;) {
      // Padding after a record, or the rest of a segment after XLOG_SWITCH.
      if (this.#at < this.#position && !this.#discardTo(this.#position)) return undefined;
      if (this.#at === this.#nextPage && !this.#readPageHeader()) return undefined;
      if (this.#recordAt < 0 && !this.#beginRecord()) return undefined;
      const record = this.#gather();
      if (record !== undefined) return record;
      if (this.#at !== this.#nextPage) return undefined;
    }
  }

  /** False when its bytes are not all there yet, or are zeros. */
  #readPageHeader(): boolean {
    const length = pageHeaderBytes(this.#at);
    const header = this.#peek(length);
    if (header === undefined) return false;
    const { bytes, offset } = header;
    const magic = bytes.readUInt16LE(offset + WAL_PAGE_HEADER.magic.at);
    if (magic === 0) {
      this.#reachedZeros = true;
      return false;
    }
    const page = this.#lsn(this.#at);
    const info = bytes.readUInt16LE(offset + WAL_PAGE_HEADER.info.at);
    const timeline = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.timeline.at);
    const address = bytes.readBigUInt64LE(offset + WAL_PAGE_HEADER.pageAddress.at);
    if (magic !== WAL_PAGE_MAGIC) throw new WalFormatError(page, 'xlp_magic', `0x${magic.toString(16)} is not PostgreSQL 18's`);
    const longFlag = length === WAL_LONG_HEADER_BYTES ? WAL_PAGE_INFO.LONG_HEADER : 0;
    if ((info & ~WAL_PAGE_INFO_ALL) !== 0 || (info & WAL_PAGE_INFO.LONG_HEADER) !== longFlag) {
      throw new WalFormatError(page, 'xlp_info', `bits 0x${info.toString(16)} are wrong for this page`);
    }
    if (address !== page) throw new WalFormatError(page, 'xlp_pageaddr', `page says it is ${formatLsn(address)}`);
    if (timeline < this.#timeline || timeline === 0) {
      throw new WalFormatError(page, 'xlp_tli', `timeline ${timeline} after ${this.#timeline}`);
    }
    if (length === WAL_LONG_HEADER_BYTES) this.#checkLongHeader(bytes, offset, page);
    this.#continueRecord(page, info, bytes.readUInt32LE(offset + WAL_PAGE_HEADER.remainingLength.at));
    this.#timeline = timeline;
    this.#advance(length);
    this.#nextPage += WAL_PAGE_BYTES;
    return true;
  }

  #checkLongHeader(bytes: Buffer, offset: number, page: Lsn): void {
    const systemIdentifier = bytes.readBigUInt64LE(offset + WAL_PAGE_HEADER.systemIdentifier.at);
    if (this.#systemIdentifier !== undefined && systemIdentifier !== this.#systemIdentifier) {
      throw new WalFormatError(page, 'xlp_sysid', `${systemIdentifier} is another database, expected ${this.#systemIdentifier}`);
    }
    const segmentBytes = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.segmentBytes.at);
    const blockBytes = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.blockBytes.at);
    if (segmentBytes !== WAL_SEGMENT_BYTES)
      throw new WalFormatError(page, 'xlp_seg_size', `${segmentBytes}, expected ${WAL_SEGMENT_BYTES}`);
    if (blockBytes !== WAL_PAGE_BYTES) throw new WalFormatError(page, 'xlp_xlog_blcksz', `${blockBytes}, expected ${WAL_PAGE_BYTES}`);
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

  /** Takes the record's bytes that this page has. Gives the record once it is whole. */
  #gather(): StreamRecord | undefined {
    for (;;) {
      const wanted = Math.min(this.#recordLength - this.#gathered, this.#nextPage - this.#at);
      if (wanted === 0) return undefined;
      const chunk = this.#queue[0];
      if (chunk === undefined) return undefined;
      const taken = Math.min(wanted, chunk.length - this.#head);
      const piece = chunk.subarray(this.#head, this.#head + taken);
      this.#advance(taken);
      if (taken === this.#recordLength) return this.#finish(piece);
      this.#pieces.push(piece);
      this.#gathered += taken;
      if (this.#gathered === this.#recordLength) return this.#finish(Buffer.concat(this.#pieces, this.#recordLength));
    }
  }

  #finish(raw: Buffer): StreamRecord {
    const lsn = this.#lsn(this.#recordAt);
    const rmid = raw.readUInt8(RECORD_HEADER.rmid.at);
    const prev = raw.readBigUInt64LE(RECORD_HEADER.prev.at);
    if (rmid > RMGR_BUILTIN_MAX && rmid < RMGR_CUSTOM_MIN) throw new WalFormatError(lsn, 'xl_rmid', `${rmid} is not a resource manager`);
    const expected = this.lastRecordLsn;
    if (expected === undefined ? prev >= lsn : prev !== expected) {
      throw new WalFormatError(
        lsn,
        'xl_prev',
        `${formatLsn(prev)}, expected ${expected === undefined ? 'one before it' : formatLsn(expected)}`,
      );
    }
    if (!recordCrcIsValid(raw)) throw new WalFormatError(lsn, 'xl_crc', 'checksum does not match');
    const isSwitch = isSwitchRecord(rmid, raw.readUInt8(RECORD_HEADER.info.at));
    this.#position = recordEndOffset(this.#recordAt, raw.length, isSwitch);
    if (isSwitch) this.#nextPage = this.#position;
    this.#last = lsn;
    this.#dropPartialRecord();
    return { lsn, endLsn: this.position, raw };
  }

  #dropPartialRecord(): void {
    this.#recordAt = -1;
    this.#recordLength = 0;
    this.#pieces = [];
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
