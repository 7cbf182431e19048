/* B-tree's posting lists (access/nbtree.h), and what changes them: deduplication, and deletions. */
#include "btree.h"

/* Of a posting list's tuple: t_tid has the list's offset as its block, and IS_POSTING and a count as its offset number. */
enum { IS_POSTING = 0x2000, COUNT_MASK = 0x0fff, TUPLE_BYTES_MAX = INDEX_SIZE_MASK };

bool btree_pointers(struct pointers *pointers, const uint8_t *tuple, uint32_t length, struct refusal *refusal) {
  uint32_t tid_offset = get16(tuple + INDEX_TUPLE_tid_offset);
  if ((get16(tuple + INDEX_TUPLE_info) & ALT_TID) != 0 && (tid_offset & IS_POSTING) != 0) {
    uint64_t list_at = (uint32_t)get16(tuple) << 16 | get16(tuple + 2);
    uint32_t count = tid_offset & COUNT_MASK;
    if (list_at < INDEX_TUPLE_HEADER_BYTES || list_at + count * ITEM_POINTER_BYTES > length)
      return refuse(refusal, "a posting list of %u at %u is not in its tuple of %u bytes", count, (uint32_t)list_at, length);
    *pointers = (struct pointers){.key_bytes = (uint32_t)list_at, .count = count, .list = tuple + list_at};
    return true;
  }
  uint32_t bytes = index_tuple_bytes(tuple);
  if (bytes < INDEX_TUPLE_HEADER_BYTES || bytes > length) return refuse(refusal, "an index tuple of %u bytes as an item of %u", bytes, length);
  *pointers = (struct pointers){.key_bytes = bytes, .count = 1, .list = tuple};
  return true;
}

bool btree_swap_posting(uint8_t *posting, uint32_t length, uint8_t *new_pointer, uint32_t index, struct refusal *refusal) {
  struct pointers pointers;
  if (!btree_pointers(&pointers, posting, length, refusal)) return false;
  if (pointers.list == posting || index < 1 || index >= pointers.count)
    return refuse(refusal, "a posting list of %u cannot be split at %u", pointers.list == posting ? 0 : pointers.count, index);
  uint8_t *list = posting + pointers.key_bytes, *at = list + index * ITEM_POINTER_BYTES, *last = list + (pointers.count - 1) * ITEM_POINTER_BYTES;
  uint8_t moved[ITEM_POINTER_BYTES];
  memcpy(moved, last, ITEM_POINTER_BYTES);
  memmove(at + ITEM_POINTER_BYTES, at, (size_t)(last - at));
  memcpy(at, new_pointer, ITEM_POINTER_BYTES);
  memcpy(new_pointer, moved, ITEM_POINTER_BYTES);
  return true;
}

/* A tuple that is being made: a key, then item pointers. */
struct posting {
  uint8_t bytes[TUPLE_BYTES_MAX + 8];
  uint32_t key_bytes;
  uint32_t count;
};

static void begin_posting(struct posting *posting, const uint8_t *base, const struct pointers *of) {
  memcpy(posting->bytes, base, of->key_bytes);
  posting->key_bytes = of->key_bytes;
  posting->count = 0;
}

static bool add_pointers(struct posting *posting, const uint8_t *list, uint32_t count, struct refusal *refusal) {
  uint32_t at = posting->key_bytes + posting->count * ITEM_POINTER_BYTES, bytes = count * ITEM_POINTER_BYTES;
  if (at + bytes > TUPLE_BYTES_MAX - 7) return refuse(refusal, "a posting list of %u bytes and more is too long for a tuple", at);
  memcpy(posting->bytes + at, list, bytes);
  posting->count += count;
  return true;
}

/* _bt_form_posting: a plain tuple where there is one item pointer. Gives its size; 0 with a refusal. */
static uint32_t end_posting(struct posting *posting, struct refusal *refusal) {
  uint8_t *tuple = posting->bytes;
  uint32_t key_bytes = posting->key_bytes, count = posting->count, end = key_bytes + count * ITEM_POINTER_BYTES, bytes = key_bytes;
  if (count == 0 || count > COUNT_MASK) {
    refuse(refusal, "a posting list would become one of %u", count);
    return 0;
  }
  uint32_t info = get16(tuple + INDEX_TUPLE_info) & ~(uint32_t)(INDEX_SIZE_MASK | ALT_TID);
  if (count == 1) memcpy(tuple, tuple + key_bytes, ITEM_POINTER_BYTES);
  else {
    bytes = align8(end);
    memset(tuple + end, 0, bytes - end);
    info |= ALT_TID;
    put16(tuple, key_bytes >> 16);
    put16(tuple + 2, key_bytes);
    put16(tuple + INDEX_TUPLE_tid_offset, count | IS_POSTING);
  }
  put16(tuple + INDEX_TUPLE_info, info | bytes);
  return bytes;
}

static uint32_t item_of(struct pointers *pointers, const uint8_t *page, uint32_t number, struct refusal *refusal) {
  uint32_t pointer = page_item(page, number, INDEX_TUPLE_HEADER_BYTES, refusal);
  return pointer != 0 && btree_pointers(pointers, page + item_offset(pointer), item_length(pointer), refusal) ? pointer : 0;
}

/* Items `number` up to, not including, `end` as one. */
static bool merge_items(uint8_t *made, const uint8_t *page, uint32_t number, uint32_t end, uint32_t next, struct refusal *refusal) {
  struct posting posting;
  struct pointers pointers;
  uint32_t pointer, bytes;
  for (uint32_t each = number; each < end; each++) {
    if ((pointer = item_of(&pointers, page, each, refusal)) == 0) return false;
    if (each == number) begin_posting(&posting, page + item_offset(pointer), &pointers);
    if (!add_pointers(&posting, pointers.list, pointers.count, refusal)) return false;
  }
  return (bytes = end_posting(&posting, refusal)) != 0 && index_add_item(made, posting.bytes, bytes, next, refusal);
}

/* xl_btree_dedup. Block data: intervals of u16 base offset, u16 number of items to merge. */
bool btree_dedup(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  const uint8_t *opaque = btree_opaque(page, refusal);
  if (opaque == NULL || !has_main(record, 2, refusal)) return false;
  uint32_t intervals = get16(record->main + XL_BTREE_DEDUP_nintervals), interval = 0, next = P_HIKEY, count = page_lines(page);
  if (!has_data(block, intervals * 4, refusal)) return false;
  page_init(made, OPAQUE_BYTES);
  uint8_t *made_opaque = made + PAGE_BYTES - OPAQUE_BYTES;
  memcpy(made_opaque, opaque, OPAQUE_BYTES);
  uint32_t first = btree_first_data(opaque);
  for (uint32_t number = P_HIKEY; number <= count;) {
    const uint8_t *merge = block->data + interval * 4;
    if (number >= first && interval < intervals && get16(merge) == number) {
      uint32_t end = number + get16(merge + 2);
      if (end == number) return refuse(refusal, "interval %u merges nothing", interval + 1);
      if (!merge_items(made, page, number, end, next++, refusal)) return false;
      number = end;
      interval++;
    } else {
      uint32_t pointer = page_item(page, number++, INDEX_TUPLE_HEADER_BYTES, refusal);
      if (pointer == 0 || !index_add_item(made, page + item_offset(pointer), item_length(pointer), next++, refusal)) return false;
    }
  }
  if (interval != intervals) return refuse(refusal, "%u intervals to merge, %u found on the page", intervals, interval);
  put16(made_opaque + BTREE_OPAQUE_flags, get16(made_opaque + BTREE_OPAQUE_flags) & ~(uint32_t)BTP_HAS_GARBAGE);
  return true;
}

/* _bt_update_posting: item `number` without the item pointers whose places in its list, rising, stand at `doomed` (u16). */
static bool shorten_posting(uint8_t *page, uint32_t number, const uint8_t *doomed, uint32_t count, struct refusal *refusal) {
  struct posting posting;
  struct pointers pointers;
  uint32_t pointer = item_of(&pointers, page, number, refusal), next = 0, bytes;
  if (pointer == 0) return false;
  begin_posting(&posting, page + item_offset(pointer), &pointers);
  for (uint32_t place = 0; place < pointers.count; place++) {
    if (next < count && get16(doomed + next * 2) == place) next++;
    else if (!add_pointers(&posting, pointers.list + place * ITEM_POINTER_BYTES, 1, refusal)) return false;
  }
  if (next != count) return refuse(refusal, "item pointer %u to delete is not in order, or not in item %u", next + 1, number);
  return (bytes = end_posting(&posting, refusal)) != 0 && index_overwrite_item(page, number, posting.bytes, bytes, refusal);
}

/*
 * xl_btree_vacuum, and xl_btree_delete, which has a snapshot's horizon before the counts. Block data: deleted offsets, updated offsets, and for
 * each update u16 count with that many u16 places in its posting list.
 */
bool btree_delete(uint8_t *made, uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal) {
  bool is_vacuum = (record->info & 0xf0) == BTREE_VACUUM;
  uint32_t counts_at = is_vacuum ? XL_BTREE_VACUUM_ndeleted : XL_BTREE_DELETE_ndeleted;
  if (btree_opaque(page, refusal) == NULL || !has_main(record, counts_at + 4, refusal)) return false;
  uint32_t deleted = get16(record->main + counts_at), updated = get16(record->main + counts_at + 2), from = (deleted + updated) * 2;
  if (!has_data(block, from, refusal)) return false;
  memcpy(made, page, PAGE_BYTES);
  for (uint32_t index = 0; index < updated; index++) {
    if (!has_data(block, from + 2, refusal)) return false;
    uint32_t count = get16(block->data + from);
    from += 2;
    if (!has_data(block, from + count * 2, refusal)) return false;
    if (!shorten_posting(made, get16(block->data + (deleted + index) * 2), block->data + from, count, refusal)) return false;
    from += count * 2;
  }
  if (deleted > 0 && !index_delete_items(made, block->data, deleted, refusal)) return false;
  uint8_t *opaque = made + PAGE_BYTES - OPAQUE_BYTES;
  if (is_vacuum) put16(opaque + BTREE_OPAQUE_cycle_id, 0);
  put16(opaque + BTREE_OPAQUE_flags, get16(opaque + BTREE_OPAQUE_flags) & ~(uint32_t)BTP_HAS_GARBAGE);
  return true;
}
