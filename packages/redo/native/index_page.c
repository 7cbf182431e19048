#include "index_page.h"

bool index_add_item(uint8_t *page, const uint8_t *item, uint32_t length, uint32_t number, struct refusal *refusal) {
  struct place place;
  if (!page_find_place(page, length, number, true, &place, refusal)) return false;
  page_take_place(page, &place);
  memcpy(page + place.offset, item, length);
  return true;
}

/* Line pointer of an item that is to move or go: in the item area, as is all that its length is rounded up to. 0 with a refusal. */
static uint32_t moving_item(const uint8_t *page, uint32_t number, struct refusal *refusal) {
  uint32_t pointer = page_item(page, number, 1, refusal), offset = item_offset(pointer);
  if (pointer == 0) return 0;
  if (offset >= get16(page + PAGE_upper) && offset % 8 == 0 && offset + align8(item_length(pointer)) <= get16(page + PAGE_special)) return pointer;
  refuse(refusal, "corrupted line pointer %u: offset = %u, size = %u", number, offset, item_length(pointer));
  return 0;
}

/* Slides what lies below `offset` by `distance` bytes, up where it is positive, and corrects the line pointers, of which there are `count`. */
static void slide_items(uint8_t *page, uint32_t offset, int32_t distance, uint32_t count) {
  uint32_t upper = get16(page + PAGE_upper);
  memmove(page + upper + distance, page + upper, offset - upper);
  put16(page + PAGE_upper, (uint32_t)((int32_t)upper + distance));
  for (uint32_t number = 1; number <= count; number++) {
    uint32_t pointer = page_pointer(page, number);
    if (item_length(pointer) != 0 && item_offset(pointer) <= offset)
      page_set_line(page, number, (uint32_t)((int32_t)item_offset(pointer) + distance) & 0x7fff, item_flags(pointer), item_length(pointer));
  }
}

/* PageIndexTupleDelete. */
static bool delete_item(uint8_t *page, uint32_t number, struct refusal *refusal) {
  uint32_t pointer = moving_item(page, number, refusal);
  if (pointer == 0) return false;
  uint32_t lower = get16(page + PAGE_lower), count = page_lines(page);
  memmove(page_line(page, number), page_line(page, number + 1), (count - number) * ITEM_ID_BYTES);
  put16(page + PAGE_lower, lower - ITEM_ID_BYTES);
  slide_items(page, item_offset(pointer), (int32_t)align8(item_length(pointer)), count - 1);
  return true;
}

bool index_delete_items(uint8_t *page, const uint8_t *numbers, uint32_t deleted, struct refusal *refusal) {
  if (!page_check(page, refusal)) return false;
  if (deleted <= 2) {
    while (deleted-- > 0)
      if (!delete_item(page, get16(numbers + deleted * 2), refusal)) return false;
    return true;
  }
  uint32_t count = page_lines(page), kept = 0, next = 0;
  for (uint32_t number = 1; number <= count; number++) {
    uint32_t pointer = moving_item(page, number, refusal);
    if (pointer == 0) return false;
    if (next < deleted && get16(numbers + next * 2) == number) next++;
    else put32(page_line(page, ++kept), pointer);
  }
  if (next != deleted) return refuse(refusal, "item %u of %u to delete is not in order, or not on the page", next + 1, deleted);
  put16(page + PAGE_lower, PAGE_HEADER_BYTES + kept * ITEM_ID_BYTES);
  return page_compact_items(page, kept, refusal);
}

bool index_overwrite_item(uint8_t *page, uint32_t number, const uint8_t *item, uint32_t length, struct refusal *refusal) {
  if (!page_check(page, refusal)) return false;
  uint32_t pointer = moving_item(page, number, refusal);
  if (pointer == 0) return false;
  int32_t grown = (int32_t)align8(length) - (int32_t)align8(item_length(pointer));
  if (grown > (int32_t)(get16(page + PAGE_upper) - get16(page + PAGE_lower)))
    return refuse(refusal, "cannot overwrite item %u: %u bytes do not fit", number, length);
  if (grown != 0) slide_items(page, item_offset(pointer), -grown, page_lines(page));
  uint32_t offset = (uint32_t)((int32_t)item_offset(pointer) - grown);
  page_set_line(page, number, offset, item_flags(pointer), length);
  memcpy(page + offset, item, length);
  return true;
}
