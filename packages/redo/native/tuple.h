/* Heap tuples on a page (access/htup_details.h), changed in place: `tuple` is where one begins, its header is inside the page. */
#ifndef REDO_TUPLE_H
#define REDO_TUPLE_H

#include "bytes.h"
#include "layout.h"
#include "page.h"

/* t_infomask and t_infomask2 */
enum {
  XMAX_KEYSHR_LOCK = 0x0010,
  COMBOCID = 0x0020,
  XMAX_EXCL_LOCK = 0x0040,
  XMAX_LOCK_ONLY = 0x0080,
  XMAX_IS_MULTI = 0x1000,
  /* XMAX_COMMITTED, XMAX_INVALID and the four above: what is cleared before xmax is set again. */
  XMAX_BITS = 0x1cd0,
  MOVED = 0xc000,
  KEYS_UPDATED = 0x2000,
  HOT_UPDATED = 0x4000,
};

static inline void tuple_set_ctid(uint8_t *tuple, uint32_t block, uint32_t number) {
  put16(tuple + TUPLE_ctid_block_high, block >> 16);
  put16(tuple + TUPLE_ctid_block_low, block & 0xffff);
  put16(tuple + TUPLE_ctid_offset, number);
}

/* Header of a tuple that a record inserts: `header` is t_infomask2, t_infomask and t_hoff, as xl_heap_header and xl_multi_insert_tuple have them. */
static inline void tuple_set_header(uint8_t *tuple, const uint8_t *header, uint32_t xmin, uint32_t xmax, uint32_t block, uint32_t number) {
  put32(tuple + TUPLE_xmin, xmin);
  put32(tuple + TUPLE_xmax, xmax);
  put32(tuple + TUPLE_field3, 0);
  tuple_set_ctid(tuple, block, number);
  put16(tuple + TUPLE_infomask2, get16(header));
  put16(tuple + TUPLE_infomask, get16(header + 2) & ~COMBOCID);
  tuple[TUPLE_hoff] = header[4];
}

/* Clears what a former deleter or locker left in the flags and sets what a record's infobits (XLHL_*) say. */
static inline void tuple_set_xmax_flags(uint8_t *tuple, uint32_t infobits) {
  uint32_t infomask = get16(tuple + TUPLE_infomask) & ~(XMAX_BITS | MOVED), infomask2 = get16(tuple + TUPLE_infomask2) & ~KEYS_UPDATED;
  if ((infobits & 0x01) != 0) infomask |= XMAX_IS_MULTI;
  if ((infobits & 0x02) != 0) infomask |= XMAX_LOCK_ONLY;
  if ((infobits & 0x04) != 0) infomask |= XMAX_EXCL_LOCK;
  if ((infobits & 0x08) != 0) infomask |= XMAX_KEYSHR_LOCK;
  if ((infobits & 0x10) != 0) infomask2 |= KEYS_UPDATED;
  put16(tuple + TUPLE_infomask, infomask);
  put16(tuple + TUPLE_infomask2, infomask2);
}

/* HEAP_XMAX_IS_LOCKED_ONLY */
static inline bool tuple_is_locked_only(const uint8_t *tuple) {
  uint32_t infomask = get16(tuple + TUPLE_infomask);
  return (infomask & XMAX_LOCK_ONLY) != 0 || (infomask & (XMAX_IS_MULTI | XMAX_EXCL_LOCK | XMAX_KEYSHR_LOCK)) == XMAX_EXCL_LOCK;
}

static inline void tuple_set_hot(uint8_t *tuple, bool is_hot) {
  put16(tuple + TUPLE_infomask2, (get16(tuple + TUPLE_infomask2) & ~HOT_UPDATED) | (is_hot ? HOT_UPDATED : 0));
}

/* HeapTupleHeaderSetCmax(FirstCommandId): redo does not know command ids. */
static inline void tuple_reset_command(uint8_t *tuple) {
  put32(tuple + TUPLE_field3, 0);
  put16(tuple + TUPLE_infomask, get16(tuple + TUPLE_infomask) & ~COMBOCID);
}

#endif
