/** PostgreSQL 18's on-disk formats: WAL, pages, pg_control. Pure: bytes in, values out. */
export { BinaryReader, ShortReadError } from './binary-reader.ts';
export { restoreBlockImage } from './block-image.ts';
export { buildRecord, recordCrc, recordCrcIsValid, type RecordFields } from './build-record.ts';
export { buildCheckpointRecord, CHECKPOINT, CHECKPOINT_BYTES, type CheckPoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
export { crc32c, crc32cRange } from './crc32c.ts';
export { decodeRecord, isSwitchRecord } from './decode-record.ts';
export {
  FIRST_COMMAND_ID,
  HEAP_INFOMASK,
  HEAP_INFOMASK2,
  HEAP_TUPLE_HEADER,
  HEAP_TUPLE_HEADER_BYTES,
  INVALID_BLOCK_NUMBER,
} from './heap-tuple.ts';
export { compareLsn, formatLsn, INVALID_LSN, lsn, type Lsn, maxLsn, minLsn, parseLsn } from './lsn.ts';
export {
  initPage,
  ITEM_ID_BYTES,
  ITEM_ID_FLAG,
  itemCount,
  itemIdAt,
  itemIdFlags,
  itemIdLength,
  itemIdOffset,
  packItemId,
  PAGE_BYTES,
  PAGE_FLAG,
  PAGE_HEADER,
  PAGE_HEADER_BYTES,
  PAGE_SIZE_AND_VERSION,
  pageIsNew,
  pageLsn,
  setPageLsn,
} from './page.ts';
export {
  controlFileLayout,
  type ControlFileLayout,
  DB_STATE,
  decodePgControl,
  encodePgControl,
  PG_CONTROL,
  PG_CONTROL_FILE_BYTES,
  type PgControl,
} from './pg-control.ts';
export { decompressPglz } from './pglz.ts';
export { recordOnTimeline } from './record-timeline.ts';
export { RecordWalk } from './record-walk.ts';
export {
  INFO_INIT_PAGE,
  INFO_XACT_HAS_INFO,
  OPCODE,
  RMGR,
  RMGR_BUILTIN_MAX,
  RMGR_CUSTOM_MIN,
  type ResourceManagers,
  resourceManagers,
  type RmgrName,
} from './rmgr.ts';
export { decodeStruct, encodeStruct, type Field, type Layout, type StructOf } from './struct.ts';
export { StructFormatError, WalFormatError } from './wal-format-error.ts';
export {
  BLOCK_FLAG,
  BLOCK_ID,
  IMAGE_FLAG,
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAX_BYTES,
  WAL_LONG_HEADER_BYTES,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER,
  WAL_PAGE_INFO,
  WAL_PAGE_MAGIC,
  WAL_SEGMENT_BYTES,
  WAL_SHORT_HEADER_BYTES,
} from './wal-layout.ts';
export { emptyWalPage, WalPageWriter, type WalPageWriterOptions, type WalPiece } from './wal-page-writer.ts';
export {
  fromBytePosition,
  offsetInSegment,
  pageHeaderBytes,
  parseWalSegmentFileName,
  recordEndLsn,
  recordEndOffset,
  recordStart,
  segmentStart,
  toBytePosition,
  walSegmentFileName,
} from './wal-position.ts';
export type { BlockImage, BlockRef, RelFork, WalRecord } from './wal-record.ts';
export { type BegunRecord, type RecordInPlace, type StreamRecord, WalStreamDecoder, type WalStreamOptions } from './wal-stream-decoder.ts';
