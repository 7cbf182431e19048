import { formatLsn, type Lsn } from './lsn.ts';
import { WalFormatError } from './wal-format-error.ts';
import {
  WAL_LONG_HEADER_BYTES,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER,
  WAL_PAGE_INFO,
  WAL_PAGE_INFO_ALL,
  WAL_PAGE_MAGIC,
  WAL_SEGMENT_BYTES,
} from './wal-layout.ts';
import { offsetInSegment, pageHeaderBytes } from './wal-position.ts';

/** Reads the header of a WAL page, and checks all of it that does not depend on the records around. */

export interface WalPageHeader {
  /** xlp_info. */
  readonly info: number;
  readonly timeline: number;
  /** xlp_rem_len: bytes of a record begun before, from this page on. */
  readonly remaining: number;
}

/** What is known from the pages before, and of the database. */
export interface ExpectedOfPage {
  /** The last one seen, 0 before the first. */
  readonly timeline: number;
  readonly systemIdentifier: bigint | undefined;
}

/**
 * The header at `offset` of `bytes`, all of it there, of the page that begins at `page`; undefined where there are
 * zeros instead: the end of what was written. Throws WalFormatError.
 */
export function readPageHeader(bytes: Buffer, offset: number, page: Lsn, expected: ExpectedOfPage): WalPageHeader | undefined {
  const magic = bytes.readUInt16LE(offset + WAL_PAGE_HEADER.magic.at);
  if (magic === 0) return undefined;
  const info = bytes.readUInt16LE(offset + WAL_PAGE_HEADER.info.at);
  const timeline = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.timeline.at);
  const address = bytes.readBigUInt64LE(offset + WAL_PAGE_HEADER.pageAddress.at);
  if (magic !== WAL_PAGE_MAGIC) throw new WalFormatError(page, 'xlp_magic', `0x${magic.toString(16)} is not PostgreSQL 18's`);
  const isLong = pageHeaderBytes(offsetInSegment(page)) === WAL_LONG_HEADER_BYTES;
  if ((info & ~WAL_PAGE_INFO_ALL) !== 0 || (info & WAL_PAGE_INFO.LONG_HEADER) !== (isLong ? WAL_PAGE_INFO.LONG_HEADER : 0)) {
    throw new WalFormatError(page, 'xlp_info', `bits 0x${info.toString(16)} are wrong for this page`);
  }
  if (address !== page) throw new WalFormatError(page, 'xlp_pageaddr', `page says it is ${formatLsn(address)}`);
  if (timeline < expected.timeline || timeline === 0) {
    throw new WalFormatError(page, 'xlp_tli', `timeline ${timeline} after ${expected.timeline}`);
  }
  if (isLong) checkLongHeader(bytes, offset, page, expected.systemIdentifier);
  return { info, timeline, remaining: bytes.readUInt32LE(offset + WAL_PAGE_HEADER.remainingLength.at) };
}

function checkLongHeader(bytes: Buffer, offset: number, page: Lsn, expected: bigint | undefined): void {
  const systemIdentifier = bytes.readBigUInt64LE(offset + WAL_PAGE_HEADER.systemIdentifier.at);
  if (expected !== undefined && systemIdentifier !== expected) {
    throw new WalFormatError(page, 'xlp_sysid', `${systemIdentifier} is another database, expected ${expected}`);
  }
  const segmentBytes = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.segmentBytes.at);
  const blockBytes = bytes.readUInt32LE(offset + WAL_PAGE_HEADER.blockBytes.at);
  if (segmentBytes !== WAL_SEGMENT_BYTES) throw new WalFormatError(page, 'xlp_seg_size', `${segmentBytes}, expected ${WAL_SEGMENT_BYTES}`);
  if (blockBytes !== WAL_PAGE_BYTES) throw new WalFormatError(page, 'xlp_xlog_blcksz', `${blockBytes}, expected ${WAL_PAGE_BYTES}`);
}
