/* B-tree's records (access/nbtxlog.h). Those of the metapage, and of pages that are deleted, are TypeScript's. */
#include "btree.h"

static bool clear_incomplete_split(uint8_t *page, struct refusal *refusal) {
  uint8_t *opaque = btree_opaque(page, refusal);
  if (opaque == NULL) return false;
  uint8_t *flags = opaque + BTREE_OPAQUE_flags;
  put16(flags, get16(flags) & ~(uint32_t)BTP_INCOMPLETE_SPLIT);
  return true;
}

/* The page right of a split has the new page on its left. */
static bool set_previous(uint8_t *page, const struct record *record, struct refusal *refusal) {
  const struct block *right = btree_block(record, 1, refusal);
  uint8_t *opaque = btree_opaque(page, refusal);
  if (right == NULL || opaque == NULL) return false;
  put32(opaque + BTREE_OPAQUE_prev, right->number);
  return true;
}

/* xl_btree_insert: 0 offnum u16. Block data: the tuple. */
static bool insert_item(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  return has_main(record, 2, refusal) && index_add_item(page, block->data, block->data_length, get16(record->main), refusal);
}

/* Block data: u16 index into the posting list before the new tuple, then the tuple as it was before the swap. */
static bool insert_splitting_posting(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 2, refusal) || !has_data(block, 2 + INDEX_TUPLE_HEADER_BYTES, refusal)) return false;
  uint32_t number = get16(record->main), index = get16(block->data), length = block->data_length - 2u;
  uint32_t pointer = page_item(page, number - 1, INDEX_TUPLE_HEADER_BYTES, refusal);
  struct place place;
  uint8_t swapped[ITEM_POINTER_BYTES];
  memcpy(swapped, block->data + 2, ITEM_POINTER_BYTES);
  if (pointer == 0 || !page_find_place(page, length, number, true, &place, refusal) ||
      !btree_swap_posting(page + item_offset(pointer), item_length(pointer), swapped, index, refusal))
    return false;
  page_take_place(page, &place);
  memcpy(page + place.offset, block->data + 2, length);
  memcpy(page + place.offset, swapped, ITEM_POINTER_BYTES);
  return true;
}

/* Beside the page, which takes on what was made when it is whole. */
static enum outcome remade(btree_remake remake, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  uint8_t made[PAGE_BYTES];
  if (!remake(made, page, record, block, refusal)) return REFUSED;
  memcpy(page, made, PAGE_BYTES);
  return APPLIED;
}

static enum outcome split(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  switch (block->id) {
    case 0:
      return remade(btree_split_left, page, record, block, refusal);
    case 1:
      return remade(btree_split_right, page, record, block, refusal);
    case 2:
      return applied_if(set_previous(page, record, refusal));
    default:
      return applied_if(clear_incomplete_split(page, refusal));
  }
}

enum outcome btree_redo(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  switch (record->info & 0xf0) {
    case BTREE_INSERT_LEAF:
      return applied_if(insert_item(page, record, block, refusal));
    case BTREE_INSERT_POST:
      return applied_if(insert_splitting_posting(page, record, block, refusal));
    case BTREE_INSERT_UPPER:
    case BTREE_INSERT_META:
      if (block->id == 0) return applied_if(insert_item(page, record, block, refusal));
      return block->id == 1 ? applied_if(clear_incomplete_split(page, refusal)) : NOT_OURS;
    case BTREE_SPLIT_L:
    case BTREE_SPLIT_R:
      return split(page, record, block, refusal);
    case BTREE_DEDUP:
      return remade(btree_dedup, page, record, block, refusal);
    case BTREE_DELETE:
    case BTREE_VACUUM:
      return remade(btree_delete, page, record, block, refusal);
    case BTREE_NEWROOT:
      if (block->id == 0) return remade(btree_new_root, page, record, block, refusal);
      return block->id == 1 ? applied_if(clear_incomplete_split(page, refusal)) : NOT_OURS;
    default:
      return NOT_OURS;
  }
}
