/* Heap2's records (access/heapam_xlog.h): pruning and freezing, visibility, many tuples at once, locks on updated tuples. */
#include "apply.h"
#include "tuple.h"
#include "visibility.h"

enum { INSERT_ALL_VISIBLE_CLEARED = 0x01, INSERT_ALL_FROZEN_SET = 0x20 };
/* Flags of xl_heap_prune, in the order of the parts of its block data. */
enum { CLEANUP_LOCK = 0x04, HAS_FREEZE_PLANS = 0x10, HAS_REDIRECTIONS = 0x20, HAS_DEAD_ITEMS = 0x40, HAS_NOW_UNUSED_ITEMS = 0x80 };
/* frzflags of a freeze plan, and what they put in t_field3. */
enum { FREEZE_XVAC = 0x02, INVALID_XVAC = 0x04, FROZEN_XID = 2 };
enum { MULTI_INSERT_TUPLE_BYTES = 7, FREEZE_PLAN_BYTES = 12 };

/* Block 0 is the map, block 1 the heap page. */
static bool redo_visible(uint8_t *page, const struct record *record, const struct page_key *key, struct refusal *refusal) {
  if (key->fork != VISIBILITY_MAP_FORK) {
    page_set_flags(page, PD_ALL_VISIBLE, 0);
    return true;
  }
  if (!has_main(record, 5, refusal)) return false;
  if (record->block_count < 2) return refuse(refusal, "the record names no heap block");
  set_visibility(page, record->blocks[1].number, record->main[XL_HEAP_VISIBLE_flags] & MAP_BITS);
  return true;
}

/* Data that is read from its front on; `at` past the end says that there was too little. */
struct cursor {
  const struct block *block;
  uint32_t at;
};

static bool next16(struct cursor *cursor, uint32_t *value, struct refusal *refusal) {
  if (!has_data(cursor->block, cursor->at + 2, refusal)) return false;
  *value = get16(cursor->block->data + cursor->at);
  cursor->at += 2;
  return true;
}

static bool set_existing_line(uint8_t *page, uint32_t number, uint32_t offset, uint32_t flags, struct refusal *refusal) {
  uint32_t count = page_lines(page);
  if (number < 1 || number > count) return refuse(refusal, "no line pointer %u: the page has %u", number, count);
  page_set_line(page, number, offset & 0x7fff, flags, 0);
  return true;
}

/* u16 count, and so many offset numbers. */
static bool set_lines(uint8_t *page, struct cursor *cursor, uint32_t flags, struct refusal *refusal) {
  uint32_t count, number;
  if (!next16(cursor, &count, refusal)) return false;
  for (; count > 0; count--)
    if (!next16(cursor, &number, refusal) || !set_existing_line(page, number, 0, flags, refusal)) return false;
  return true;
}

static bool redirect_lines(uint8_t *page, struct cursor *cursor, struct refusal *refusal) {
  uint32_t count, from, to;
  if (!next16(cursor, &count, refusal)) return false;
  for (; count > 0; count--)
    if (!next16(cursor, &from, refusal) || !next16(cursor, &to, refusal) || !set_existing_line(page, from, to, LP_REDIRECT, refusal)) return false;
  return true;
}

static void freeze_tuple(uint8_t *tuple, const uint8_t *plan) {
  put32(tuple + TUPLE_xmax, get32(plan + XLHP_FREEZE_PLAN_xmax));
  uint32_t flags = plan[XLHP_FREEZE_PLAN_frzflags];
  if ((flags & FREEZE_XVAC) != 0) put32(tuple + TUPLE_field3, FROZEN_XID);
  if ((flags & INVALID_XVAC) != 0) put32(tuple + TUPLE_field3, 0);
  put16(tuple + TUPLE_infomask2, get16(plan + XLHP_FREEZE_PLAN_infomask2));
  put16(tuple + TUPLE_infomask, get16(plan + XLHP_FREEZE_PLAN_infomask));
}

/*
 * Block data, each part only when its flag is set: freeze plans (u16 count, 2 bytes of padding, plans), redirections, dead items, now unused
 * items (u16 count, then offset numbers, pairs for redirections), and last the offset numbers that the plans apply to, in the plans' order.
 */
static bool redo_prune(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 2, refusal)) return false;
  uint32_t flags = record->main[XL_HEAP_PRUNE_flags], plans = 0;
  struct cursor cursor = {.block = block};
  if ((flags & HAS_FREEZE_PLANS) != 0) {
    if (!next16(&cursor, &plans, refusal)) return false;
    cursor.at += 2 + plans * FREEZE_PLAN_BYTES;
    if (!has_data(block, cursor.at, refusal)) return false;
  }
  if ((flags & HAS_REDIRECTIONS) != 0 && !redirect_lines(page, &cursor, refusal)) return false;
  if ((flags & HAS_DEAD_ITEMS) != 0 && !set_lines(page, &cursor, LP_DEAD, refusal)) return false;
  if ((flags & HAS_NOW_UNUSED_ITEMS) != 0 && !set_lines(page, &cursor, LP_UNUSED, refusal)) return false;
  if ((flags & (HAS_REDIRECTIONS | HAS_DEAD_ITEMS | HAS_NOW_UNUSED_ITEMS)) != 0) {
    if ((flags & CLEANUP_LOCK) == 0) page_truncate_lines(page);
    else if (!page_repair_fragmentation(page, refusal)) return false;
  }
  for (const uint8_t *plan = block->data + 4; plans > 0; plans--, plan += FREEZE_PLAN_BYTES) {
    for (uint32_t tuples = get16(plan + XLHP_FREEZE_PLAN_ntuples); tuples > 0; tuples--) {
      uint32_t number;
      if (!next16(&cursor, &number, refusal)) return false;
      uint32_t pointer = page_tuple(page, number, refusal);
      if (pointer == 0) return false;
      freeze_tuple(page + item_offset(pointer), plan);
    }
  }
  return cursor.at == block->data_length ||
         refuse(refusal, "prune record has %u bytes of block data, %u understood", block->data_length, cursor.at);
}

/* Block data: for each tuple xl_multi_insert_tuple, then the tuple from its null bitmap on. */
static bool redo_multi_insert(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  bool is_init = (record->info & INIT_PAGE) != 0;
  if (!has_main(record, XL_HEAP_MULTI_INSERT_offsets, refusal)) return false;
  uint32_t flags = record->main[XL_HEAP_MULTI_INSERT_flags], tuples = get16(record->main + XL_HEAP_MULTI_INSERT_ntuples), from = 0;
  if (!is_init && !has_main(record, XL_HEAP_MULTI_INSERT_offsets + tuples * 2, refusal)) return false;
  if (is_init) page_init(page, 0);
  for (uint32_t index = 0; index < tuples; index++) {
    uint32_t number = is_init ? index + 1 : get16(record->main + XL_HEAP_MULTI_INSERT_offsets + index * 2);
    from = (from + 1) & ~(uint32_t)1;
    if (!has_data(block, from + MULTI_INSERT_TUPLE_BYTES, refusal)) return false;
    const uint8_t *header = block->data + from;
    uint32_t length = get16(header + XL_MULTI_INSERT_TUPLE_datalen);
    from += MULTI_INSERT_TUPLE_BYTES;
    struct place place;
    if (!has_data(block, from + length, refusal) || !page_find_place(page, TUPLE_HEADER_BYTES + length, number, false, &place, refusal)) return false;
    page_take_place(page, &place);
    uint8_t *tuple = page + place.offset;
    memcpy(tuple + TUPLE_HEADER_BYTES, block->data + from, length);
    page_clear_padding(page, &place);
    tuple_set_header(tuple, header + XL_MULTI_INSERT_TUPLE_infomask2, record->xid, 0, block->number, number);
    from += length;
  }
  if (from != block->data_length) return refuse(refusal, "multi-insert has %u bytes of tuples, %u understood", block->data_length, from);
  if ((flags & INSERT_ALL_VISIBLE_CLEARED) != 0) page_set_flags(page, 0, PD_ALL_VISIBLE);
  if ((flags & INSERT_ALL_FROZEN_SET) != 0) page_set_flags(page, PD_ALL_VISIBLE, 0);
  return true;
}

/* xl_heap_lock_updated: as xl_heap_lock. */
static bool redo_lock_updated(uint8_t *page, const struct record *record, struct refusal *refusal) {
  if (!has_main(record, 8, refusal)) return false;
  uint32_t pointer = page_tuple(page, get16(record->main + XL_HEAP_LOCK_offnum), refusal);
  if (pointer == 0) return false;
  uint8_t *tuple = page + item_offset(pointer);
  tuple_set_xmax_flags(tuple, record->main[XL_HEAP_LOCK_infobits]);
  put32(tuple + TUPLE_xmax, get32(record->main + XL_HEAP_LOCK_xmax));
  return true;
}

typedef bool (*many_steps)(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);

/* Of what may fail half-way: on a copy, which takes the page's place when it is done. */
static enum outcome on_copy(many_steps redo, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  uint8_t work[PAGE_BYTES];
  memcpy(work, page, PAGE_BYTES);
  if (!redo(work, record, block, refusal)) return REFUSED;
  memcpy(page, work, PAGE_BYTES);
  return APPLIED;
}

enum outcome heap2_redo(uint8_t *page, const struct record *record, const struct block *block, const struct page_key *key, struct refusal *refusal) {
  uint32_t opcode = record->info & HEAP_OPCODE_MASK;
  if (opcode == HEAP2_VISIBLE) return block == NULL ? NOT_OURS : applied_if(redo_visible(page, record, key, refusal));
  if (key->fork == VISIBILITY_MAP_FORK) {
    clear_visibility(page, record, key->number);
    return APPLIED;
  }
  switch (opcode) {
    case HEAP2_PRUNE_ON_ACCESS:
    case HEAP2_PRUNE_VACUUM_SCAN:
    case HEAP2_PRUNE_VACUUM_CLEANUP:
      return on_copy(redo_prune, page, record, block, refusal);
    case HEAP2_MULTI_INSERT:
      return on_copy(redo_multi_insert, page, record, block, refusal);
    case HEAP2_LOCK_UPDATED:
      return applied_if(redo_lock_updated(page, record, refusal));
    default:
      return NOT_OURS;
  }
}
