/* B-tree's records (access/nbtxlog.h) that put in one tuple, and what ends a split. Splits themselves and deletions are TypeScript's. */
#include "apply.h"

/* BTPageOpaqueData's size; BTP_INCOMPLETE_SPLIT of its flags. */
enum { OPAQUE_BYTES = 16, INCOMPLETE_SPLIT = 0x080 };
/* A posting list's tuple (access/nbtree.h): t_info has ALT_TID, t_tid the list's offset as its block and IS_POSTING and a count as its offset. */
enum { ALT_TID = 0x2000, IS_POSTING = 0x2000, COUNT_MASK = 0x0fff, ITEM_POINTER_BYTES = 6, INDEX_TUPLE_HEADER_BYTES = 8 };

static bool clear_incomplete_split(uint8_t *page, struct refusal *refusal) {
  uint32_t special = get16(page + PAGE_special);
  if (special != PAGE_BYTES - OPAQUE_BYTES) return refuse(refusal, "special space at %u is not a B-tree page's", special);
  uint8_t *flags = page + special + BTREE_OPAQUE_flags;
  put16(flags, get16(flags) & ~INCOMPLETE_SPLIT);
  return true;
}

/* xl_btree_insert: 0 offnum u16. Block data: the tuple. */
static bool insert_item(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  struct place place;
  if (!has_main(record, 2, refusal) || !page_find_place(page, block->data_length, get16(record->main), true, &place, refusal)) return false;
  page_take_place(page, &place);
  memcpy(page + place.offset, block->data, block->data_length);
  return true;
}

/*
 * Block data: u16 index into the posting list before the new tuple, then the tuple as it was before the swap (_bt_swap_posting): its item
 * pointer goes into the list there, and the list's last one to it.
 */
static bool insert_splitting_posting(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 2, refusal) || !has_data(block, 2 + INDEX_TUPLE_HEADER_BYTES, refusal)) return false;
  uint32_t number = get16(record->main), index = get16(block->data), length = block->data_length - 2u;
  uint32_t pointer = page_item(page, number - 1, INDEX_TUPLE_HEADER_BYTES, refusal);
  if (pointer == 0) return false;
  uint8_t *posting = page + item_offset(pointer);
  uint32_t tid_offset = get16(posting + INDEX_TUPLE_tid_offset), count = tid_offset & COUNT_MASK;
  bool is_posting = (get16(posting + INDEX_TUPLE_info) & ALT_TID) != 0 && (tid_offset & IS_POSTING) != 0;
  uint64_t list_at = (uint32_t)get16(posting) << 16 | get16(posting + 2);
  if (!is_posting || index < 1 || index >= count || list_at + count * ITEM_POINTER_BYTES > item_length(pointer))
    return refuse(refusal, "a posting list of %u cannot be split at %u", is_posting ? count : 0, index);
  struct place place;
  if (!page_find_place(page, length, number, true, &place, refusal)) return false;
  uint8_t *list = posting + list_at, *at = list + index * ITEM_POINTER_BYTES, *last = list + (count - 1) * ITEM_POINTER_BYTES;
  uint8_t moved[ITEM_POINTER_BYTES];
  memcpy(moved, last, ITEM_POINTER_BYTES);
  memmove(at + ITEM_POINTER_BYTES, at, (size_t)(last - at));
  memcpy(at, block->data + 2, ITEM_POINTER_BYTES);
  page_take_place(page, &place);
  memcpy(page + place.offset, block->data + 2, length);
  memcpy(page + place.offset, moved, ITEM_POINTER_BYTES);
  return true;
}

enum outcome btree_redo(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  uint32_t opcode = record->info & 0xf0;
  switch (opcode) {
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
      return block->id > 2 ? applied_if(clear_incomplete_split(page, refusal)) : NOT_OURS;
    case BTREE_NEWROOT:
      return block->id == 1 ? applied_if(clear_incomplete_split(page, refusal)) : NOT_OURS;
    default:
      return NOT_OURS;
  }
}
