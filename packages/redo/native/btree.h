/* What B-tree's records (access/nbtxlog.h) are redone with: pages' opaque data, tuples and posting lists (access/nbtree.h). */
#ifndef REDO_BTREE_H
#define REDO_BTREE_H

#include "apply.h"
#include "index_page.h"

/* BTPageOpaqueData's size, and its flags. */
enum { OPAQUE_BYTES = 16 };
enum { BTP_LEAF = 0x001, BTP_ROOT = 0x002, BTP_HAS_GARBAGE = 0x040, BTP_INCOMPLETE_SPLIT = 0x080 };
/* No page; the number of a page's high key. */
enum { P_NONE = 0, P_HIKEY = 1 };
/* t_info's bits: the tuple's size, and that t_tid is no heap tuple's. */
enum { INDEX_SIZE_MASK = 0x1fff, ALT_TID = 0x2000, ITEM_POINTER_BYTES = 6, INDEX_TUPLE_HEADER_BYTES = 8 };

/* Heap item pointers that stand together in a tuple. */
struct pointers {
  /* Bytes of the tuple before them that are its key. */
  uint32_t key_bytes;
  uint32_t count;
  const uint8_t *list;
};

/* Those of a leaf's tuple of `length` bytes: of its posting list, or its one t_tid. False with a refusal: they are not in the tuple. */
bool btree_pointers(struct pointers *pointers, const uint8_t *tuple, uint32_t length, struct refusal *refusal);

/*
 * _bt_swap_posting, of a list in a tuple of `length` bytes: the new tuple's item pointer goes into it at `index`, and its last one to the new
 * tuple. False with a refusal: it is no list that has such a place, and both are as they were.
 */
bool btree_swap_posting(uint8_t *posting, uint32_t length, uint8_t *new_pointer, uint32_t index, struct refusal *refusal);

/* The page's opaque data; NULL with a refusal: its special space is not a B-tree page's. */
static inline uint8_t *btree_opaque(uint8_t *page, struct refusal *refusal) {
  uint32_t special = get16(page + PAGE_special);
  if (special == PAGE_BYTES - OPAQUE_BYTES) return page + special;
  refuse(refusal, "special space at %u is not a B-tree page's", special);
  return NULL;
}

static inline uint32_t btree_first_data(const uint8_t *opaque) { return get32(opaque + BTREE_OPAQUE_next) == P_NONE ? P_HIKEY : P_HIKEY + 1; }

/* IndexTupleSize. */
static inline uint32_t index_tuple_bytes(const uint8_t *tuple) { return get16(tuple + INDEX_TUPLE_info) & INDEX_SIZE_MASK; }

/*
 * Each makes a page anew from what it was, for a record's block: in `made`, whose bytes may be any before. False with a refusal. Splits and roots
 * stand in btree_split.c, posting lists in btree_posting.c.
 */
typedef bool (*btree_remake)(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);
bool btree_split_left(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);
bool btree_split_right(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);
bool btree_new_root(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);
bool btree_dedup(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);
bool btree_delete(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);

/* The record's block with that id; NULL with a refusal. */
const struct block *btree_block(const struct record *record, uint32_t id, struct refusal *refusal);

#endif
