/*
 * Layouts of PostgreSQL 18's WAL that records are cut by, and what of a batch is written. A row is name, byte offset; sizes are the enums below.
 * All numbers little-endian. Held against the tables in packages/pg-format and packages/volume by src/wal-cut.test.ts.
 */
#ifndef WAL_CUT_LAYOUT_H
#define WAL_CUT_LAYOUT_H

/* XLogPageHeaderData (access/xlog_internal.h); the last three only on a segment's first page. */
#define PAGE_ROWS(row) \
  row(magic, 0) row(info, 2) row(timeline, 4) row(pageAddress, 8) row(remainingLength, 16) row(systemIdentifier, 24) row(segmentBytes, 32) row(blockBytes, 36)
/* XLogRecord (access/xlogrecord.h). */
#define RECORD_ROWS(row) row(totalLength, 0) row(xid, 4) row(prev, 8) row(info, 16) row(rmid, 17) row(crc, 20)

enum {
#define ROW_PAGE(field, offset) PAGE_##field = offset,
  PAGE_ROWS(ROW_PAGE)
#define ROW_RECORD(field, offset) RECORD_##field = offset,
  RECORD_ROWS(ROW_RECORD)
};

/* Sizes and constants: name, value. */
#define CONSTANT_ROWS(row)                                                                                                          \
  row(WAL_PAGE_BYTES, 8192) row(WAL_SEGMENT_BYTES, 16 * 1024 * 1024) row(WAL_SHORT_HEADER_BYTES, 24) row(WAL_LONG_HEADER_BYTES, 40) \
    row(WAL_PAGE_MAGIC, 0xd118) row(RECORD_HEADER_BYTES, 24) row(RECORD_MAX_BYTES, 1020 * 1024 * 1024) row(RECORD_LSN_BYTES, 8)     \
      row(RMGR_BUILTIN_MAX, 21) row(RMGR_CUSTOM_MIN, 128)
enum {
#define CONSTANT_ROW(name, value) name = value,
  CONSTANT_ROWS(CONSTANT_ROW)
};

/* Bits of a page's info. */
enum { FIRST_IS_CONTRECORD = 0x0001, LONG_HEADER = 0x0002, BKP_REMOVABLE = 0x0004 };

/* access/rmgrlist.h; opcodes are the high nibble of info. */
enum { RMGR_XLOG = 0, RMGR_XACT = 1, RMGR_STANDBY = 8, OPCODE_MASK = 0xf0 };
enum { XLOG_CHECKPOINT_SHUTDOWN = 0x00, XLOG_CHECKPOINT_ONLINE = 0x10, XLOG_SWITCH = 0x40, XLOG_END_OF_RECOVERY = 0x90, STANDBY_RUNNING_XACTS = 0x10 };

#endif
