/*
 * Relation pages (storage/bufpage.h), changed in place. A page is PAGE_BYTES long; whatever it holds, nothing outside it is touched. Each
 * function that may fail does so before it writes, and then says why.
 */
#ifndef REDO_PAGE_H
#define REDO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "layout.h"

/* Why a record cannot be applied to a page, for people. */
struct refusal {
  char text[160];
};

/* Gives false, for `return refuse(...)`. */
bool refuse(struct refusal *refusal, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* pd_flags */
enum { PD_HAS_FREE_LINES = 0x0001, PD_ALL_VISIBLE = 0x0004 };
/* Line pointers (storage/itemid.h): offset 15 bits, flags 2, length 15. */
enum { LP_UNUSED = 0, LP_NORMAL = 1, LP_REDIRECT = 2, LP_DEAD = 3 };

static inline uint32_t item_offset(uint32_t pointer) { return pointer & 0x7fff; }
static inline uint32_t item_flags(uint32_t pointer) { return (pointer >> 15) & 3; }
static inline uint32_t item_length(uint32_t pointer) { return pointer >> 17; }
static inline uint32_t align8(uint32_t length) { return (length + 7) & ~(uint32_t)7; }

/* PageIsNew: it was never written, and has no LSN. */
static inline bool page_is_new(const uint8_t *page) { return get16(page + PAGE_upper) == 0; }

static inline uint64_t page_lsn(const uint8_t *page) { return (uint64_t)get32(page + PAGE_lsn_high) << 32 | get32(page + PAGE_lsn_low); }

static inline void page_set_lsn(uint8_t *page, uint64_t lsn) {
  put32(page + PAGE_lsn_high, (uint32_t)(lsn >> 32));
  put32(page + PAGE_lsn_low, (uint32_t)lsn);
}

static inline void page_set_flags(uint8_t *page, uint32_t set, uint32_t clear) {
  put16(page + PAGE_flags, (get16(page + PAGE_flags) & ~clear) | set);
}

/* How many line pointers it has; all of them are inside the page. */
static inline uint32_t page_lines(const uint8_t *page) {
  uint32_t lower = get16(page + PAGE_lower);
  if (lower > PAGE_BYTES) lower = PAGE_BYTES;
  return lower <= PAGE_HEADER_BYTES ? 0 : (lower - PAGE_HEADER_BYTES) / ITEM_ID_BYTES;
}

/* Line pointer `number`, from 1 to `page_lines`. */
static inline uint8_t *page_line(uint8_t *page, uint32_t number) { return page + PAGE_HEADER_BYTES + (number - 1) * ITEM_ID_BYTES; }

static inline uint32_t page_pointer(const uint8_t *page, uint32_t number) {
  return get32(page + PAGE_HEADER_BYTES + (number - 1) * ITEM_ID_BYTES);
}

static inline void page_set_line(uint8_t *page, uint32_t number, uint32_t offset, uint32_t flags, uint32_t length) {
  put32(page_line(page, number), offset | flags << 15 | length << 17);
}

/* PageInit, with so many bytes of special space, a multiple of 8. */
void page_init(uint8_t *page, uint32_t special_bytes);

/* Are the header's offsets in order? */
bool page_check(const uint8_t *page, struct refusal *refusal);

/* Where an item is to come. */
struct place {
  uint32_t number;
  uint32_t offset;
  uint32_t length;
  uint32_t lower;
};

/*
 * PageAddItem, up to where it would write: `length` bytes as item `number`. Later line pointers move up where `shifts` (index pages);
 * otherwise line pointer `number` must be unused (heap pages).
 */
bool page_find_place(const uint8_t *page, uint32_t length, uint32_t number, bool shifts, struct place *place, struct refusal *refusal);

/* Takes the place: line pointer and offsets. The item's bytes are the caller's to write. */
void page_take_place(uint8_t *page, const struct place *place);

/* Zeroes what lies between a heap tuple's end and the next multiple of 8, so that equal histories give equal bytes. */
void page_clear_padding(uint8_t *page, const struct place *place);

/* Line pointer of item `number`, which must have storage inside the page, `at_least` bytes of it; 0 with a refusal. */
uint32_t page_item(const uint8_t *page, uint32_t number, uint32_t at_least, struct refusal *refusal);

/* The same of a heap tuple, which must be neither dead nor a redirection. */
uint32_t page_tuple(const uint8_t *page, uint32_t number, struct refusal *refusal);

/* PageSetPrunable: keeps the older of the page's and the given xid, in wrap-around order. */
void page_set_prunable(uint8_t *page, uint32_t xid);

/* PageRepairFragmentation, on a copy: a page that it fails on is half changed. */
bool page_repair_fragmentation(uint8_t *page, struct refusal *refusal);

/* PageTruncateLinePointerArray. */
void page_truncate_lines(uint8_t *page);

/*
 * compactify_tuples, of line pointers 1 to `count`, on a copy: closes the gaps between items and sets pd_upper. Every item that has storage lies
 * inside the item area.
 */
bool page_compact_items(uint8_t *page, uint32_t count, struct refusal *refusal);

#endif
