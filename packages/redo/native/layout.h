/*
 * Layouts of PostgreSQL 18 that redo works on. A row is name, byte offset; sizes are enums below their table. All numbers little-endian.
 * What packages/pg-format has tables of as well is held against them by src/native/layouts.test.ts.
 */
#ifndef REDO_LAYOUT_H
#define REDO_LAYOUT_H

/* XLogRecord (access/xlogrecord.h). */
#define RECORD_ROWS(row) row(total_length, 0) row(xid, 4) row(prev, 8) row(info, 16) row(rmid, 17) row(crc, 20)
/* PageHeaderData (storage/bufpage.h); pd_lsn is two u32, the high half first. */
#define PAGE_ROWS(row) \
  row(lsn_high, 0) row(lsn_low, 4) row(flags, 10) row(lower, 12) row(upper, 14) row(special, 16) row(size_version, 18) row(prune_xid, 20)
/* HeapTupleHeaderData (access/htup_details.h); t_ctid is two u16 of the block, the high half first, and the offset number. */
#define TUPLE_ROWS(row) \
  row(xmin, 0) row(xmax, 4) row(field3, 8) row(ctid_block_high, 12) row(ctid_block_low, 14) row(ctid_offset, 16) row(infomask2, 18) row(infomask, 20) row(hoff, 22)
/* BTPageOpaqueData (access/nbtree.h), in the special space. */
#define BTREE_OPAQUE_ROWS(row) row(prev, 0) row(next, 4) row(level, 8) row(flags, 12) row(cycle_id, 14)
/* IndexTupleData (access/itup.h): t_tid, then t_info. */
#define INDEX_TUPLE_ROWS(row) row(tid_offset, 4) row(info, 6)
/* Main data of heap's records (access/heapam_xlog.h). */
#define XL_HEAP_INSERT_ROWS(row) row(offnum, 0) row(flags, 2)
#define XL_HEAP_DELETE_ROWS(row) row(xmax, 0) row(offnum, 4) row(infobits, 6) row(flags, 7)
#define XL_HEAP_UPDATE_ROWS(row) row(old_xmax, 0) row(old_offnum, 4) row(old_infobits, 6) row(flags, 7) row(new_xmax, 8) row(new_offnum, 12)
#define XL_HEAP_LOCK_ROWS(row) row(xmax, 0) row(offnum, 4) row(infobits, 6) row(flags, 7)
#define XL_HEAP_MULTI_INSERT_ROWS(row) row(flags, 0) row(ntuples, 2) row(offsets, 4)
#define XL_HEAP_VISIBLE_ROWS(row) row(horizon, 0) row(flags, 4)
#define XL_HEAP_PRUNE_ROWS(row) row(reason, 0) row(flags, 1)
/* The same of B-tree's (access/nbtxlog.h). */
#define XL_BTREE_SPLIT_ROWS(row) row(level, 0) row(firstrightoff, 4) row(newitemoff, 6) row(postingoff, 8)
#define XL_BTREE_NEWROOT_ROWS(row) row(level, 4)
#define XL_BTREE_DEDUP_ROWS(row) row(nintervals, 0)
#define XL_BTREE_VACUUM_ROWS(row) row(ndeleted, 0) row(nupdated, 2)
#define XL_BTREE_DELETE_ROWS(row) row(ndeleted, 4) row(nupdated, 6)
/* xl_multi_insert_tuple, of the block data; each at an even offset. */
#define XL_MULTI_INSERT_TUPLE_ROWS(row) row(datalen, 0) row(infomask2, 2) row(infomask, 4) row(hoff, 6)
/* xlhp_freeze_plan. */
#define XLHP_FREEZE_PLAN_ROWS(row) row(xmax, 0) row(infomask2, 4) row(infomask, 6) row(frzflags, 8) row(ntuples, 10)

/* RECORD_total_length and so on. */
enum {
#define ROW_RECORD(field, offset) RECORD_##field = offset,
  RECORD_ROWS(ROW_RECORD)
#define ROW_PAGE(field, offset) PAGE_##field = offset,
  PAGE_ROWS(ROW_PAGE)
#define ROW_TUPLE(field, offset) TUPLE_##field = offset,
  TUPLE_ROWS(ROW_TUPLE)
#define ROW_OPAQUE(field, offset) BTREE_OPAQUE_##field = offset,
  BTREE_OPAQUE_ROWS(ROW_OPAQUE)
#define ROW_INDEX(field, offset) INDEX_TUPLE_##field = offset,
  INDEX_TUPLE_ROWS(ROW_INDEX)
#define ROW_INSERT(field, offset) XL_HEAP_INSERT_##field = offset,
  XL_HEAP_INSERT_ROWS(ROW_INSERT)
#define ROW_DELETE(field, offset) XL_HEAP_DELETE_##field = offset,
  XL_HEAP_DELETE_ROWS(ROW_DELETE)
#define ROW_UPDATE(field, offset) XL_HEAP_UPDATE_##field = offset,
  XL_HEAP_UPDATE_ROWS(ROW_UPDATE)
#define ROW_LOCK(field, offset) XL_HEAP_LOCK_##field = offset,
  XL_HEAP_LOCK_ROWS(ROW_LOCK)
#define ROW_MULTI(field, offset) XL_HEAP_MULTI_INSERT_##field = offset,
  XL_HEAP_MULTI_INSERT_ROWS(ROW_MULTI)
#define ROW_VISIBLE(field, offset) XL_HEAP_VISIBLE_##field = offset,
  XL_HEAP_VISIBLE_ROWS(ROW_VISIBLE)
#define ROW_PRUNE(field, offset) XL_HEAP_PRUNE_##field = offset,
  XL_HEAP_PRUNE_ROWS(ROW_PRUNE)
#define ROW_SPLIT(field, offset) XL_BTREE_SPLIT_##field = offset,
  XL_BTREE_SPLIT_ROWS(ROW_SPLIT)
#define ROW_NEWROOT(field, offset) XL_BTREE_NEWROOT_##field = offset,
  XL_BTREE_NEWROOT_ROWS(ROW_NEWROOT)
#define ROW_DEDUP(field, offset) XL_BTREE_DEDUP_##field = offset,
  XL_BTREE_DEDUP_ROWS(ROW_DEDUP)
#define ROW_BTREE_VACUUM(field, offset) XL_BTREE_VACUUM_##field = offset,
  XL_BTREE_VACUUM_ROWS(ROW_BTREE_VACUUM)
#define ROW_BTREE_DELETE(field, offset) XL_BTREE_DELETE_##field = offset,
  XL_BTREE_DELETE_ROWS(ROW_BTREE_DELETE)
#define ROW_MULTI_TUPLE(field, offset) XL_MULTI_INSERT_TUPLE_##field = offset,
  XL_MULTI_INSERT_TUPLE_ROWS(ROW_MULTI_TUPLE)
#define ROW_FREEZE(field, offset) XLHP_FREEZE_PLAN_##field = offset,
  XLHP_FREEZE_PLAN_ROWS(ROW_FREEZE)
};

/* Sizes and constants: name, value. */
#define CONSTANT_ROWS(row)                                                                                                                    \
  row(RECORD_HEADER_BYTES, 24) row(PAGE_BYTES, 8192) row(PAGE_HEADER_BYTES, 24) row(PAGE_SIZE_AND_VERSION, 0x2004) row(ITEM_ID_BYTES, 4)      \
    row(TUPLE_HEADER_BYTES, 23) row(WAL_SEGMENT_BYTES, 16 * 1024 * 1024) row(WAL_PAGE_BYTES, 8192) row(WAL_SHORT_HEADER_BYTES, 24)            \
      row(WAL_LONG_HEADER_BYTES, 40) row(BLOCK_ID_MAX, 32) row(BLOCK_ID_TOPLEVEL_XID, 252) row(BLOCK_ID_ORIGIN, 253)                          \
        row(BLOCK_ID_DATA_LONG, 254) row(BLOCK_ID_DATA_SHORT, 255)
enum {
#define CONSTANT_ROW(name, value) name = value,
  CONSTANT_ROWS(CONSTANT_ROW)
};

/* fork_flags and bimg_info (access/xlogrecord.h). */
enum { FORK_MASK = 0x0f, HAS_IMAGE = 0x10, HAS_DATA = 0x20, WILL_INIT = 0x40, SAME_REL = 0x80 };
enum { IMAGE_HAS_HOLE = 0x01, IMAGE_APPLY = 0x02, IMAGE_COMPRESSED = 0x1c };

/* access/rmgrlist.h, and opcodes: the high nibble of info, in heap's two without 0x80, which says that the page is made anew. */
enum { RMGR_XLOG = 0, RMGR_XACT = 1, RMGR_HEAP2 = 9, RMGR_HEAP = 10, RMGR_BTREE = 11, RMGR_HASH = 12, RMGR_GIST = 14 };
enum { XLOG_OPCODE_MASK = 0xf0, XLOG_FPI_FOR_HINT = 0xa0, XLOG_FPI = 0xb0 };
enum { HEAP_OPCODE_MASK = 0x70, INIT_PAGE = 0x80 };
enum { HEAP_INSERT = 0x00, HEAP_DELETE = 0x10, HEAP_UPDATE = 0x20, HEAP_HOT_UPDATE = 0x40, HEAP_CONFIRM = 0x50, HEAP_LOCK = 0x60, HEAP_INPLACE = 0x70 };
enum { HEAP2_PRUNE_ON_ACCESS = 0x10, HEAP2_PRUNE_VACUUM_SCAN = 0x20, HEAP2_PRUNE_VACUUM_CLEANUP = 0x30 };
enum { HEAP2_VISIBLE = 0x40, HEAP2_MULTI_INSERT = 0x50, HEAP2_LOCK_UPDATED = 0x60 };
enum { BTREE_INSERT_LEAF = 0x00, BTREE_INSERT_UPPER = 0x10, BTREE_INSERT_META = 0x20, BTREE_SPLIT_L = 0x30, BTREE_SPLIT_R = 0x40 };
enum { BTREE_INSERT_POST = 0x50, BTREE_DEDUP = 0x60, BTREE_DELETE = 0x70, BTREE_NEWROOT = 0xa0, BTREE_VACUUM = 0xc0 };

enum { XACT_COMMIT = 0x00, XACT_ABORT = 0x20 };

/* The visibility map's fork (common/relpath.h). */
enum { VISIBILITY_MAP_FORK = 2 };
/* How SLRU pages are named (SLRU_FORK and SLRU_KINDS in src/page-key.ts): pg_xact is that fork's database 1. */
enum { SLRU_FORK = 0xf0, SLRU_PG_XACT = 1 };

#endif
