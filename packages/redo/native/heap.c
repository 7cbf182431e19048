/* Heap's records (access/heapam_xlog.h): one tuple inserted, deleted, updated, locked, confirmed or overwritten. */
#include "apply.h"
#include "tuple.h"
#include "visibility.h"

/* Flags of the records. */
enum { ALL_VISIBLE_CLEARED = 0x01, NEW_ALL_VISIBLE_CLEARED = 0x02, DELETE_IS_SUPER = 0x08, DELETE_IS_PARTITION_MOVE = 0x10 };
enum { UPDATE_PREFIX_FROM_OLD = 0x20, UPDATE_SUFFIX_FROM_OLD = 0x40 };
/* xl_heap_header: u16 t_infomask2, u16 t_infomask, u8 t_hoff. */
enum { WAL_TUPLE_HEADER_BYTES = 5 };
/* t_ctid of a tuple that moved to another partition (MovedPartitionsBlockNumber, MovedPartitionsOffsetNumber). */
static const uint32_t MOVED_BLOCK = 0xffffffff, MOVED_OFFSET = 0xfffd;

static void clear_all_visible(uint8_t *page, uint32_t flags, uint32_t flag) {
  if ((flags & flag) != 0) page_set_flags(page, 0, PD_ALL_VISIBLE);
}

/* Block data: xl_heap_header, then the tuple from its null bitmap on. */
static bool redo_insert(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 3, refusal) || !has_data(block, WAL_TUPLE_HEADER_BYTES, refusal)) return false;
  bool is_init = (record->info & INIT_PAGE) != 0;
  uint32_t number = get16(record->main + XL_HEAP_INSERT_offnum), rest = block->data_length - WAL_TUPLE_HEADER_BYTES;
  struct place place;
  uint8_t empty[PAGE_HEADER_BYTES];
  if (is_init) {
    /* What it is to be judged by: an empty page has a header alone. */
    put16(empty + PAGE_lower, PAGE_HEADER_BYTES);
    put16(empty + PAGE_upper, PAGE_BYTES);
    put16(empty + PAGE_special, PAGE_BYTES);
  }
  if (!page_find_place(is_init ? empty : page, TUPLE_HEADER_BYTES + rest, number, false, &place, refusal)) return false;
  if (is_init) page_init(page, 0);
  page_take_place(page, &place);
  uint8_t *tuple = page + place.offset;
  memcpy(tuple + TUPLE_HEADER_BYTES, block->data + WAL_TUPLE_HEADER_BYTES, rest);
  page_clear_padding(page, &place);
  tuple_set_header(tuple, block->data, record->xid, 0, block->number, number);
  clear_all_visible(page, record->main[XL_HEAP_INSERT_flags], ALL_VISIBLE_CLEARED);
  return true;
}

static bool redo_delete(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 8, refusal)) return false;
  const uint8_t *main = record->main;
  uint32_t number = get16(main + XL_HEAP_DELETE_offnum), flags = main[XL_HEAP_DELETE_flags], pointer = page_tuple(page, number, refusal);
  if (pointer == 0) return false;
  uint8_t *tuple = page + item_offset(pointer);
  tuple_set_xmax_flags(tuple, main[XL_HEAP_DELETE_infobits]);
  tuple_set_hot(tuple, false);
  if ((flags & DELETE_IS_SUPER) == 0) put32(tuple + TUPLE_xmax, get32(main + XL_HEAP_DELETE_xmax));
  else put32(tuple + TUPLE_xmin, 0);
  tuple_reset_command(tuple);
  page_set_prunable(page, record->xid);
  clear_all_visible(page, flags, ALL_VISIBLE_CLEARED);
  if ((flags & DELETE_IS_PARTITION_MOVE) != 0) tuple_set_ctid(tuple, MOVED_BLOCK, MOVED_OFFSET);
  else tuple_set_ctid(tuple, block->number, number);
  return true;
}

/* The old tuple, whose line pointer `pointer` is: it is superseded by one of `new_block`. */
static void supersede(uint8_t *page, const struct record *record, uint32_t pointer, uint32_t new_block) {
  const uint8_t *main = record->main;
  uint8_t *tuple = page + item_offset(pointer);
  tuple_set_xmax_flags(tuple, main[XL_HEAP_UPDATE_old_infobits]);
  tuple_set_hot(tuple, (record->info & HEAP_OPCODE_MASK) == HEAP_HOT_UPDATE);
  put32(tuple + TUPLE_xmax, get32(main + XL_HEAP_UPDATE_old_xmax));
  tuple_reset_command(tuple);
  tuple_set_ctid(tuple, new_block, get16(main + XL_HEAP_UPDATE_new_offnum));
  page_set_prunable(page, record->xid);
  clear_all_visible(page, main[XL_HEAP_UPDATE_flags], ALL_VISIBLE_CLEARED);
}

/* What a new tuple is made of: the record's block data, and a prefix and a suffix of the old tuple's data. */
struct new_tuple {
  const uint8_t *header;
  /* Null bitmap and data; the bitmap comes before the prefix. */
  const uint8_t *rest;
  uint32_t rest_length;
  uint32_t bitmap;
  uint32_t prefix;
  uint32_t suffix;
  uint32_t prefix_at;
  uint32_t suffix_at;
};

/* Block data: [u16 prefix's length] [u16 suffix's length] xl_heap_header, null bitmap and data. `old` is the old tuple's line pointer, 0: on another page. */
static bool find_new_tuple(const uint8_t *page, const struct record *record, const struct block *block, uint32_t old, struct new_tuple *made, struct refusal *refusal) {
  uint32_t flags = record->main[XL_HEAP_UPDATE_flags], at = 0;
  bool has_prefix = (flags & UPDATE_PREFIX_FROM_OLD) != 0, has_suffix = (flags & UPDATE_SUFFIX_FROM_OLD) != 0;
  if (!has_data(block, (has_prefix ? 2 : 0) + (has_suffix ? 2 : 0) + WAL_TUPLE_HEADER_BYTES, refusal)) return false;
  *made = (struct new_tuple){0};
  if (has_prefix) made->prefix = get16(block->data + at), at += 2;
  if (has_suffix) made->suffix = get16(block->data + at), at += 2;
  made->header = block->data + at;
  at += WAL_TUPLE_HEADER_BYTES;
  made->rest = block->data + at;
  made->rest_length = block->data_length - at;
  if (made->prefix == 0 && made->suffix == 0) return true;
  if (old == 0) return refuse(refusal, "a tuple shares data with one of another page");
  uint32_t old_at = item_offset(old), old_length = item_length(old), old_hoff = page[old_at + TUPLE_hoff], hoff = made->header[4];
  if (made->prefix > 0) made->bitmap = hoff - TUPLE_HEADER_BYTES;
  bool fits = (made->prefix == 0 || (hoff >= TUPLE_HEADER_BYTES && made->bitmap <= made->rest_length)) && old_hoff + made->prefix <= old_length &&
              old_hoff + made->suffix <= old_length;
  if (!fits) return refuse(refusal, "a tuple shares %u and %u bytes with one of %u", made->prefix, made->suffix, old_length);
  made->prefix_at = old_at + old_hoff;
  made->suffix_at = old_at + old_length - made->suffix;
  return true;
}

/* Block 0 is the new tuple's page; block 1 the old one's when it is another page. */
static bool redo_update(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 14, refusal)) return false;
  const uint8_t *main = record->main;
  bool is_other_page = record->block_count > 1 && record->blocks[1].id == 1, is_init = is_other_page && (record->info & INIT_PAGE) != 0;
  uint32_t old = 0, number = get16(main + XL_HEAP_UPDATE_new_offnum);
  if (block->id == 1 || !is_other_page) {
    old = page_tuple(page, get16(main + XL_HEAP_UPDATE_old_offnum), refusal);
    if (old == 0) return false;
  }
  if (block->id == 1) {
    supersede(page, record, old, record->blocks[0].number);
    return true;
  }
  struct new_tuple made;
  struct place place;
  uint8_t work[PAGE_BYTES], *target = page;
  if (!find_new_tuple(page, record, block, old, &made, refusal)) return false;
  if (is_init) {
    page_init(work, 0);
    target = work;
  }
  if (!page_find_place(target, TUPLE_HEADER_BYTES + made.rest_length + made.prefix + made.suffix, number, false, &place, refusal)) return false;
  if (is_init) page_init(page, 0);
  if (old != 0) supersede(page, record, old, block->number);
  page_take_place(page, &place);
  uint8_t *tuple = page + place.offset, *to = tuple + TUPLE_HEADER_BYTES;
  memcpy(to, made.rest, made.bitmap);
  to += made.bitmap;
  memmove(to, page + made.prefix_at, made.prefix);
  to += made.prefix;
  memcpy(to, made.rest + made.bitmap, made.rest_length - made.bitmap);
  to += made.rest_length - made.bitmap;
  memmove(to, page + made.suffix_at, made.suffix);
  page_clear_padding(page, &place);
  tuple_set_header(tuple, made.header, record->xid, get32(main + XL_HEAP_UPDATE_new_xmax), block->number, number);
  clear_all_visible(page, main[XL_HEAP_UPDATE_flags], NEW_ALL_VISIBLE_CLEARED);
  return true;
}

/* xl_heap_confirm: 0 offnum u16. The speculative insertion became a real one. */
static bool redo_confirm(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 2, refusal)) return false;
  uint32_t number = get16(record->main), pointer = page_tuple(page, number, refusal);
  if (pointer == 0) return false;
  tuple_set_ctid(page + item_offset(pointer), block->number, number);
  return true;
}

static bool redo_lock(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 8, refusal)) return false;
  uint32_t number = get16(record->main + XL_HEAP_LOCK_offnum), pointer = page_tuple(page, number, refusal);
  if (pointer == 0) return false;
  uint8_t *tuple = page + item_offset(pointer);
  tuple_set_xmax_flags(tuple, record->main[XL_HEAP_LOCK_infobits]);
  if (tuple_is_locked_only(tuple)) {
    tuple_set_hot(tuple, false);
    tuple_set_ctid(tuple, block->number, number);
  }
  put32(tuple + TUPLE_xmax, get32(record->main + XL_HEAP_LOCK_xmax));
  tuple_reset_command(tuple);
  return true;
}

/* xl_heap_inplace: 0 offnum u16. Block data: the tuple's new data, of the same length. */
static bool redo_inplace(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  if (!has_main(record, 2, refusal)) return false;
  uint32_t pointer = page_tuple(page, get16(record->main), refusal);
  if (pointer == 0) return false;
  uint32_t hoff = page[item_offset(pointer) + TUPLE_hoff], length = item_length(pointer);
  if (hoff > length || length - hoff != block->data_length)
    return refuse(refusal, "in-place update of %u bytes over a tuple with %d bytes of data", block->data_length, (int)length - (int)hoff);
  memcpy(page + item_offset(pointer) + hoff, block->data, block->data_length);
  return true;
}

enum outcome heap_redo(uint8_t *page, const struct record *record, const struct block *block, const struct page_key *key, struct refusal *refusal) {
  if (key->fork == VISIBILITY_MAP_FORK) {
    clear_visibility(page, record, key->number);
    return APPLIED;
  }
  switch (record->info & HEAP_OPCODE_MASK) {
    case HEAP_INSERT:
      return applied_if(redo_insert(page, record, block, refusal));
    case HEAP_DELETE:
      return applied_if(redo_delete(page, record, block, refusal));
    case HEAP_UPDATE:
    case HEAP_HOT_UPDATE:
      return block->id > 1 ? NOT_OURS : applied_if(redo_update(page, record, block, refusal));
    case HEAP_CONFIRM:
      return applied_if(redo_confirm(page, record, block, refusal));
    case HEAP_LOCK:
      return applied_if(redo_lock(page, record, block, refusal));
    case HEAP_INPLACE:
      return applied_if(redo_inplace(page, record, block, refusal));
    default:
      return NOT_OURS;
  }
}
