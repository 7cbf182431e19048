/* B-tree's splits and new roots (access/nbtxlog.h). */
#include "btree.h"

const struct block *btree_block(const struct record *record, uint32_t id, struct refusal *refusal) {
  for (unsigned index = 0; index < record->block_count; index++)
    if (record->blocks[index].id == id) return &record->blocks[index];
  refuse(refusal, "the record has no block %u", id);
  return NULL;
}

static void init(uint8_t *page, uint32_t previous, uint32_t next, uint32_t level, uint32_t flags) {
  page_init(page, OPAQUE_BYTES);
  uint8_t *opaque = page + PAGE_BYTES - OPAQUE_BYTES;
  put32(opaque + BTREE_OPAQUE_prev, previous);
  put32(opaque + BTREE_OPAQUE_next, next);
  put32(opaque + BTREE_OPAQUE_level, level);
  put16(opaque + BTREE_OPAQUE_flags, flags | (level == 0 ? BTP_LEAF : 0));
}

/* The tuple in the block's data at `*from`, which moves past it; its bytes with those that its size is rounded up by. 0 with a refusal. */
static uint32_t next_tuple(const struct block *block, uint32_t *from, struct refusal *refusal) {
  if (!has_data(block, *from + INDEX_TUPLE_HEADER_BYTES, refusal)) return 0;
  uint32_t bytes = align8(index_tuple_bytes(block->data + *from));
  if (bytes < INDEX_TUPLE_HEADER_BYTES) {
    refuse(refusal, "an index tuple in the record has %u bytes", bytes);
    return 0;
  }
  if (!has_data(block, *from + bytes, refusal)) return 0;
  *from += bytes;
  return bytes;
}

/*
 * xl_btree_split. The left page keeps the items before firstrightoff in their physical order. Block data: the new tuple when it is on the left or
 * splits a posting list, then the left page's new high key.
 */
bool btree_split_left(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  const struct block *right = btree_block(record, 1, refusal);
  const uint8_t *opaque = btree_opaque(page, refusal);
  if (right == NULL || opaque == NULL || !has_main(record, 10, refusal)) return false;
  const uint8_t *main = record->main;
  uint32_t first_right = get16(main + XL_BTREE_SPLIT_firstrightoff), new_number = get16(main + XL_BTREE_SPLIT_newitemoff);
  uint32_t posting_index = get16(main + XL_BTREE_SPLIT_postingoff), from = 0, new_bytes = 0, key_bytes, next = P_HIKEY;
  bool is_on_left = (record->info & 0xf0) == BTREE_SPLIT_L;
  uint8_t new_tuple[PAGE_BYTES], posting[PAGE_BYTES];
  if (is_on_left || posting_index != 0) {
    if ((new_bytes = next_tuple(block, &from, refusal)) == 0) return false;
    memcpy(new_tuple, block->data, new_bytes);
  }
  if (posting_index != 0) {
    uint32_t pointer = page_item(page, new_number - 1, INDEX_TUPLE_HEADER_BYTES, refusal);
    if (pointer == 0) return false;
    memcpy(posting, page + item_offset(pointer), item_length(pointer));
    if (!btree_swap_posting(posting, item_length(pointer), new_tuple, posting_index, refusal)) return false;
  }
  const uint8_t *high_key = block->data + from;
  if ((key_bytes = next_tuple(block, &from, refusal)) == 0) return false;
  page_init(made, OPAQUE_BYTES);
  uint8_t *made_opaque = made + PAGE_BYTES - OPAQUE_BYTES;
  memcpy(made_opaque, opaque, OPAQUE_BYTES);
  if (!index_add_item(made, high_key, key_bytes, next++, refusal)) return false;
  for (uint32_t number = btree_first_data(opaque); number <= first_right; number++) {
    /* At firstrightoff itself only a new tuple that ends the left page is added. */
    if (is_on_left && number == new_number && !index_add_item(made, new_tuple, new_bytes, next++, refusal)) return false;
    if (number == first_right) break;
    uint32_t pointer = page_item(page, number, INDEX_TUPLE_HEADER_BYTES, refusal);
    if (pointer == 0) return false;
    const uint8_t *item = posting_index != 0 && number == new_number - 1 ? posting : page + item_offset(pointer);
    if (!index_add_item(made, item, item_length(pointer), next++, refusal)) return false;
  }
  put16(made_opaque + BTREE_OPAQUE_flags, BTP_INCOMPLETE_SPLIT | (get32(main + XL_BTREE_SPLIT_level) == 0 ? BTP_LEAF : 0));
  put32(made_opaque + BTREE_OPAQUE_next, right->number);
  put16(made_opaque + BTREE_OPAQUE_cycle_id, 0);
  return true;
}

/* _bt_restore_page: the item area as it was, lowest address first, which is the highest offset number. */
static bool restore_items(uint8_t *page, const struct block *block, struct refusal *refusal) {
  uint16_t starts[PAGE_BYTES / ITEM_ID_BYTES];
  uint32_t count = 0, from = 0, end = block->data_length;
  while (from < end) {
    if (count == sizeof starts / sizeof *starts) return refuse(refusal, "the record has more tuples than fit a page");
    starts[count++] = (uint16_t)from;
    if (next_tuple(block, &from, refusal) == 0) return false;
  }
  for (uint32_t index = count; index > 0; end = starts[--index])
    if (!index_add_item(page, block->data + starts[index - 1], end - starts[index - 1], count - index + 1, refusal)) return false;
  return true;
}

bool btree_split_right(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  (void)page;
  const struct block *left = btree_block(record, 0, refusal);
  struct refusal none;
  const struct block *next = btree_block(record, 2, &none);
  if (left == NULL || !has_main(record, 10, refusal)) return false;
  init(made, left->number, next == NULL ? P_NONE : next->number, get32(record->main + XL_BTREE_SPLIT_level), 0);
  return restore_items(made, block, refusal);
}

/* xl_btree_newroot. Block data: its two tuples, unless the root is an empty leaf. */
bool btree_new_root(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  (void)page;
  if (!has_main(record, 8, refusal)) return false;
  uint32_t level = get32(record->main + XL_BTREE_NEWROOT_level);
  init(made, P_NONE, P_NONE, level, BTP_ROOT);
  return level == 0 || restore_items(made, block, refusal);
}
