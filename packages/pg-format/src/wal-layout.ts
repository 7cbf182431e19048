import type { Layout } from './struct.ts';

/**
 * Layout of WAL pages and record headers (access/xlog_internal.h, access/xlogrecord.h). All numbers little-endian.
 *
 *   segment 16 MiB = 2048 pages of 8 KiB; page = header (40 bytes on a segment's first page, else 24), then records.
 *   record  = header 24, block headers, [origin], [top xid], main data header; then per block image and data; main
 *           data.
 *   Records start at multiples of 8 and run on over pages, after the header of each.
 */
export const WAL_PAGE_BYTES = 8192;
/** Stock default of initdb; the volume is always initialised with it. */
export const WAL_SEGMENT_BYTES = 16 * 1024 * 1024;
export const WAL_SHORT_HEADER_BYTES = 24;
export const WAL_LONG_HEADER_BYTES = 40;
/** XLOG_PAGE_MAGIC of PostgreSQL 18. */
export const WAL_PAGE_MAGIC = 0xd118;

/** XLogPageHeaderData; the last three fields only where LONG_HEADER is set (XLogLongPageHeaderData). */
export const WAL_PAGE_HEADER = {
  magic: { type: 'u16', at: 0 },
  info: { type: 'u16', at: 2 },
  timeline: { type: 'u32', at: 4 },
  pageAddress: { type: 'lsn', at: 8 },
  /** Bytes of the record that continues from the page before, still to come. */
  remainingLength: { type: 'u32', at: 16 },
  systemIdentifier: { type: 'u64', at: 24 },
  segmentBytes: { type: 'u32', at: 32 },
  blockBytes: { type: 'u32', at: 36 },
} as const satisfies Layout;

/** Bits of the page header's info. */
export const WAL_PAGE_INFO = {
  FIRST_IS_CONTRECORD: 0x0001,
  LONG_HEADER: 0x0002,
  /** No base backup was running when the page was begun. The one thing in a page that its records do not tell. */
  BKP_REMOVABLE: 0x0004,
  /** The record that ran into this page was never finished; recovery wrote on after it. */
  FIRST_IS_OVERWRITE_CONTRECORD: 0x0008,
} as const;
export const WAL_PAGE_INFO_ALL = 0x000f;

/** XLogRecord. */
export const RECORD_HEADER = {
  totalLength: { type: 'u32', at: 0 },
  xid: { type: 'u32', at: 4 },
  prev: { type: 'lsn', at: 8 },
  info: { type: 'u8', at: 16 },
  rmid: { type: 'u8', at: 17 },
  crc: { type: 'u32', at: 20 },
} as const satisfies Layout;
export const RECORD_HEADER_BYTES = 24;
/** XLogRecordMaxSize. */
export const RECORD_MAX_BYTES = 1020 * 1024 * 1024;

/** Ids that stand where a block id would. */
export const BLOCK_ID = { MAX: 32, TOPLEVEL_XID: 252, ORIGIN: 253, DATA_LONG: 254, DATA_SHORT: 255 } as const;
/** fork_flags of XLogRecordBlockHeader; the low nibble is the fork number. */
export const BLOCK_FLAG = { FORK_MASK: 0x0f, HAS_IMAGE: 0x10, HAS_DATA: 0x20, WILL_INIT: 0x40, SAME_REL: 0x80 } as const;
/** bimg_info of XLogRecordBlockImageHeader. */
export const IMAGE_FLAG = { HAS_HOLE: 0x01, APPLY: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10, COMPRESSED: 0x1c } as const;
