import { isSwitchRecord } from './decode-record.ts';
import { formatLsn, type Lsn } from './lsn.ts';
import {
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAX_BYTES,
  WAL_LONG_HEADER_BYTES,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER,
  WAL_PAGE_INFO,
  WAL_PAGE_MAGIC,
  WAL_SEGMENT_BYTES,
} from './wal-layout.ts';
import { offsetInSegment, pageHeaderBytes, recordEndOffset } from './wal-position.ts';

export interface WalPageWriterOptions {
  readonly systemIdentifier: bigint;
  readonly timeline: number;
  /** Where the first record goes: the end of the record before it, or a page's start. */
  readonly startLsn: Lsn;
  /** The page that startLsn is in, as it stands. Without it the part before startLsn is zeros after a page header. */
  readonly firstPage?: Buffer;
  /** Sets XLP_BKP_REMOVABLE, as PostgreSQL does on pages begun while no base backup runs. Default true. */
  readonly removableBlocks?: boolean;
}

/**
 * A WAL page with its header and nothing else. A segment's first page must be there for PostgreSQL to open the segment
 * (it carries the system identifier), even when reading starts further on.
 */
export function emptyWalPage(fields: {
  readonly systemIdentifier: bigint;
  readonly timeline: number;
  readonly pageLsn: Lsn;
  /** Bytes still to come of the record that continues from the page before; 0 or left out when none does. */
  readonly remainingLength?: number;
  readonly removableBlocks?: boolean;
}): Buffer {
  const page = Buffer.alloc(WAL_PAGE_BYTES);
  const isLong = pageHeaderBytes(offsetInSegment(fields.pageLsn)) === WAL_LONG_HEADER_BYTES;
  const remaining = fields.remainingLength ?? 0;
  const info =
    (remaining > 0 ? WAL_PAGE_INFO.FIRST_IS_CONTRECORD : 0) |
    (isLong ? WAL_PAGE_INFO.LONG_HEADER : 0) |
    (fields.removableBlocks === false ? 0 : WAL_PAGE_INFO.BKP_REMOVABLE);
  page.writeUInt16LE(WAL_PAGE_MAGIC, WAL_PAGE_HEADER.magic.at);
  page.writeUInt16LE(info, WAL_PAGE_HEADER.info.at);
  page.writeUInt32LE(fields.timeline, WAL_PAGE_HEADER.timeline.at);
  page.writeBigUInt64LE(fields.pageLsn, WAL_PAGE_HEADER.pageAddress.at);
  page.writeUInt32LE(remaining, WAL_PAGE_HEADER.remainingLength.at);
  if (isLong) {
    page.writeBigUInt64LE(fields.systemIdentifier, WAL_PAGE_HEADER.systemIdentifier.at);
    page.writeUInt32LE(WAL_SEGMENT_BYTES, WAL_PAGE_HEADER.segmentBytes.at);
    page.writeUInt32LE(WAL_PAGE_BYTES, WAL_PAGE_HEADER.blockBytes.at);
  }
  return page;
}

/** A WAL page (or, from `read`, part of one) and the position of its first byte. */
export interface WalPiece {
  readonly lsn: Lsn;
  readonly bytes: Buffer;
}

/**
 * Lays records out as WAL pages, byte for byte as PostgreSQL does (xlog.c, CopyXLogRecordToWAL and
 * AdvanceXLInsertBuffer). The inverse of WalStreamDecoder. Pages are held until {@link release}.
 *
 * Pages that an XLOG_SWITCH leaves unused are zeros, without a header; they are not held.
 */
export class WalPageWriter {
  readonly #options: WalPageWriterOptions;
  /** Start of the segment that startLsn is in; offsets below count from it. */
  readonly #base: bigint;
  /** Pages held, by offset, in order. */
  readonly #pages = new Map<number, Buffer>();
  /** Pages that end at or before this offset were released. */
  #releasedTo: number;
  #at: number;

  /** Throws RangeError when startLsn can be neither a record's end nor a page's start. */
  constructor(options: WalPageWriterOptions) {
    const offset = offsetInSegment(options.startLsn);
    const inPage = offset % WAL_PAGE_BYTES;
    if (offset % 8 !== 0 || (inPage !== 0 && inPage < pageHeaderBytes(offset - inPage))) {
      throw new RangeError(`${formatLsn(options.startLsn)} is not where a WAL record can start or end`);
    }
    if (options.firstPage !== undefined && options.firstPage.length !== WAL_PAGE_BYTES) {
      throw new RangeError(`first page has ${options.firstPage.length} bytes, expected ${WAL_PAGE_BYTES}`);
    }
    this.#options = options;
    this.#base = options.startLsn - BigInt(offset);
    this.#at = offset;
    this.#releasedTo = offset - inPage;
    if (inPage !== 0) {
      const page = this.#beginPage(offset - inPage, 0);
      if (options.firstPage !== undefined) options.firstPage.copy(page, 0, 0, inPage);
    }
  }

  /** End of the last record; the next one goes here, or past the page header when this is a page's start. */
  get position(): Lsn {
    return this.#lsn(this.#at);
  }

  /**
   * Adds a record, which must be whole and have its CRC. Gives its start and EndRecPtr. The caller checks them against
   * the places it knows, and sees to xl_prev. Throws RangeError when `raw` is not one record by its length.
   */
  append(raw: Buffer): { lsn: Lsn; endLsn: Lsn } {
    const totalLength = raw.length < RECORD_HEADER_BYTES ? 0 : raw.readUInt32LE(RECORD_HEADER.totalLength.at);
    if (totalLength !== raw.length || totalLength > RECORD_MAX_BYTES) {
      throw new RangeError(`record of ${raw.length} bytes has tot_len ${totalLength}`);
    }
    let at = this.#at;
    let page: Buffer;
    if (at % WAL_PAGE_BYTES === 0) {
      page = this.#beginPage(at, 0);
      at += pageHeaderBytes(at);
    } else {
      page = this.#page(at - (at % WAL_PAGE_BYTES));
    }
    const start = at;
    let written = 0;
    for (;;) {
      const inPage = at % WAL_PAGE_BYTES;
      const length = Math.min(raw.length - written, WAL_PAGE_BYTES - inPage);
      raw.copy(page, inPage, written, written + length);
      written += length;
      at += length;
      if (written === raw.length) break;
      page = this.#beginPage(at, raw.length - written);
      at += pageHeaderBytes(at);
    }
    const isSwitch = isSwitchRecord(raw.readUInt8(RECORD_HEADER.rmid.at), raw.readUInt8(RECORD_HEADER.info.at));
    this.#at = recordEndOffset(start, raw.length, isSwitch);
    return { lsn: this.#lsn(start), endLsn: this.position };
  }

  /**
   * The pages held, in order, each whole: the last is zeros after `position`. The buffers change with later appends.
   */
  pages(): WalPiece[] {
    return [...this.#pages].map(([offset, bytes]) => ({ lsn: this.#lsn(offset), bytes }));
  }

  /**
   * The stream's bytes [from, position), page by page, zeros after an XLOG_SWITCH included, for sending on.
   * Throws RangeError when `from` was released or lies outside.
   */
  *read(from: Lsn): Generator<WalPiece> {
    let at = Number(from - this.#base);
    const first = this.#releasedTo;
    const end = this.#at;
    if (at > end || at < first) {
      throw new RangeError(`WAL from ${formatLsn(from)} is not held; have ${formatLsn(this.#lsn(first))} to ${formatLsn(this.position)}`);
    }
    while (at < end) {
      const inPage = at % WAL_PAGE_BYTES;
      const page = this.#pages.get(at - inPage) ?? ZERO_PAGE;
      const length = Math.min(WAL_PAGE_BYTES - inPage, end - at);
      yield { lsn: this.#lsn(at), bytes: page.subarray(inPage, inPage + length) };
      at += length;
    }
  }

  /** Forgets pages that end at or before `upTo`. The page that the next record starts in is kept. */
  release(upTo: Lsn): void {
    const keepFrom = this.#at - (this.#at % WAL_PAGE_BYTES);
    const limit = Number(upTo - this.#base);
    this.#releasedTo = Math.max(this.#releasedTo, Math.min(keepFrom, limit - (limit % WAL_PAGE_BYTES)));
    for (const offset of this.#pages.keys()) {
      if (offset >= this.#releasedTo) break;
      this.#pages.delete(offset);
    }
  }

  #beginPage(offset: number, remainingLength: number): Buffer {
    const page = emptyWalPage({ ...this.#options, pageLsn: this.#lsn(offset), remainingLength });
    this.#pages.set(offset, page);
    return page;
  }

  #page(offset: number): Buffer {
    const page = this.#pages.get(offset);
    if (page === undefined) throw new Error(`WAL page ${formatLsn(this.#lsn(offset))} should be held: records go into it`);
    return page;
  }

  #lsn(offset: number): Lsn {
    return (this.#base + BigInt(offset)) as Lsn;
  }
}

const ZERO_PAGE = Buffer.alloc(WAL_PAGE_BYTES);
