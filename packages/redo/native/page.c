#include "page.h"

#include <stdarg.h>
#include <stdio.h>

bool refuse(struct refusal *refusal, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(refusal->text, sizeof refusal->text, format, values);
  va_end(values);
  return false;
}

void page_init(uint8_t *page, uint32_t special_bytes) {
  memset(page, 0, PAGE_BYTES);
  put16(page + PAGE_lower, PAGE_HEADER_BYTES);
  put16(page + PAGE_upper, PAGE_BYTES - special_bytes);
  put16(page + PAGE_special, PAGE_BYTES - special_bytes);
  put16(page + PAGE_size_version, PAGE_SIZE_AND_VERSION);
}

bool page_check(const uint8_t *page, struct refusal *refusal) {
  uint32_t lower = get16(page + PAGE_lower), upper = get16(page + PAGE_upper), special = get16(page + PAGE_special);
  if (lower >= PAGE_HEADER_BYTES && lower <= upper && upper <= special && special <= PAGE_BYTES) return true;
  return refuse(refusal, "corrupted page pointers: lower = %u, upper = %u, special = %u", lower, upper, special);
}

bool page_find_place(const uint8_t *page, uint32_t length, uint32_t number, bool shifts, struct place *place, struct refusal *refusal) {
  if (!page_check(page, refusal)) return false;
  uint32_t count = page_lines(page), lower = get16(page + PAGE_lower), upper = get16(page + PAGE_upper), new_lower = lower;
  if (number < 1 || number > count + 1) return refuse(refusal, "cannot add an item at offset %u: the page has %u line pointers", number, count);
  if (number == count + 1 || shifts) new_lower += ITEM_ID_BYTES;
  else {
    uint32_t taken = page_pointer(page, number);
    if (item_flags(taken) != LP_UNUSED || item_length(taken) != 0)
      return refuse(refusal, "cannot add an item at offset %u: its line pointer is in use", number);
  }
  if ((uint64_t)new_lower + align8(length) > upper)
    return refuse(refusal, "cannot add an item of %u bytes: %u bytes are free", length, upper - lower);
  *place = (struct place){.number = number, .offset = upper - align8(length), .length = length, .lower = new_lower};
  return true;
}

void page_take_place(uint8_t *page, const struct place *place) {
  uint32_t lower = get16(page + PAGE_lower);
  uint8_t *line = page_line(page, place->number);
  /* Only where pointers shift is there one already that has to make room. */
  if (place->lower > lower && line < page + lower) memmove(line + ITEM_ID_BYTES, line, (size_t)(page + lower - line));
  page_set_line(page, place->number, place->offset, LP_NORMAL, place->length);
  put16(page + PAGE_lower, place->lower);
  put16(page + PAGE_upper, place->offset);
}

void page_clear_padding(uint8_t *page, const struct place *place) {
  memset(page + place->offset + place->length, 0, align8(place->length) - place->length);
}

static bool has_line(const uint8_t *page, uint32_t number, struct refusal *refusal) {
  uint32_t count = page_lines(page);
  return (number >= 1 && number <= count) || refuse(refusal, "no tuple at offset %u: the page has %u line pointers", number, count);
}

uint32_t page_item(const uint8_t *page, uint32_t number, uint32_t at_least, struct refusal *refusal) {
  if (!has_line(page, number, refusal)) return 0;
  uint32_t pointer = page_pointer(page, number), offset = item_offset(pointer), length = item_length(pointer);
  if (offset >= PAGE_HEADER_BYTES && length >= at_least && length > 0 && offset + length <= PAGE_BYTES) return pointer;
  return refuse(refusal, "corrupted line pointer %u: offset = %u, size = %u", number, offset, length);
}

uint32_t page_tuple(const uint8_t *page, uint32_t number, struct refusal *refusal) {
  if (!has_line(page, number, refusal)) return 0;
  uint32_t flags = item_flags(page_pointer(page, number));
  if (flags != LP_NORMAL) return refuse(refusal, "line pointer %u has flags %u, expected a tuple", number, flags);
  return page_item(page, number, TUPLE_HEADER_BYTES, refusal);
}

void page_set_prunable(uint8_t *page, uint32_t xid) {
  uint32_t current = get32(page + PAGE_prune_xid);
  if (current < 3 || (int32_t)(xid - current) < 0) put32(page + PAGE_prune_xid, xid);
}

/* Items end up in line-pointer order, the first highest, which is what both of PostgreSQL's code paths for it come to. */
bool page_compact_items(uint8_t *page, uint32_t count, struct refusal *refusal) {
  uint8_t old[PAGE_BYTES];
  uint32_t special = get16(page + PAGE_special), upper = special, used = 0;
  for (uint32_t number = 1; number <= count; number++) used += align8(item_length(page_pointer(page, number)));
  if (used > special - get16(page + PAGE_lower)) return refuse(refusal, "items are larger than the page they are on");
  memcpy(old, page, PAGE_BYTES);
  for (uint32_t number = 1; number <= count; number++) {
    uint32_t pointer = page_pointer(page, number), length = align8(item_length(pointer)), offset = item_offset(pointer);
    if (length == 0) continue;
    upper -= length;
    if (offset == upper) continue;
    memcpy(page + upper, old + offset, length);
    page_set_line(page, number, upper, item_flags(pointer), item_length(pointer));
  }
  put16(page + PAGE_upper, upper);
  return true;
}

static void set_free_lines(uint8_t *page, bool are_free) {
  page_set_flags(page, are_free ? PD_HAS_FREE_LINES : 0, are_free ? 0 : PD_HAS_FREE_LINES);
}

bool page_repair_fragmentation(uint8_t *page, struct refusal *refusal) {
  if (!page_check(page, refusal)) return false;
  uint32_t special = get16(page + PAGE_special), upper = get16(page + PAGE_upper), count = page_lines(page), last_used = 0, unused = 0;
  for (uint32_t number = 1; number <= count; number++) {
    uint32_t pointer = page_pointer(page, number);
    if (item_flags(pointer) == LP_UNUSED) {
      page_set_line(page, number, 0, LP_UNUSED, 0);
      unused++;
      continue;
    }
    if (item_length(pointer) != 0 &&
        (item_offset(pointer) < upper || item_offset(pointer) + align8(item_length(pointer)) > special))
      return refuse(refusal, "corrupted line pointer %u: offset = %u", number, item_offset(pointer));
    last_used = number;
  }
  if (!page_compact_items(page, last_used, refusal)) return false;
  unused -= count - last_used;
  if (last_used != count) put16(page + PAGE_lower, get16(page + PAGE_lower) - (count - last_used) * ITEM_ID_BYTES);
  set_free_lines(page, unused > 0);
  return true;
}

void page_truncate_lines(uint8_t *page) {
  uint32_t count = page_lines(page), last = count;
  while (last > 1 && item_flags(page_pointer(page, last)) == LP_UNUSED) last--;
  bool are_free = false;
  for (uint32_t number = last; number >= 1 && !are_free; number--) are_free = item_flags(page_pointer(page, number)) == LP_UNUSED;
  put16(page + PAGE_lower, get16(page + PAGE_lower) - (count - last) * ITEM_ID_BYTES);
  set_free_lines(page, are_free);
}
