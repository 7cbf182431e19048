/*
 * Redo in C on records and pages that are no good, or nearly good: `damage SEED ROUNDS`, under the sanitizers. Every record and page stands
 * in memory of exactly its length. What is refused leaves the page as it was; pages that redo has changed go on to the next record, so that
 * damage builds on damage. Prints how many of each outcome there were.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../run.h"
#include "../walk.h"
#include "any.h"

static void fill(uint8_t *at, size_t length) {
  for (size_t index = 0; index < length; index++) at[index] = (uint8_t)any(256);
}

/* Numbers that records and pages have: mostly small ones, at times any. */
static uint32_t likely(void) { return any(8) == 0 ? any(65536) : any(6); }

static const struct page_key KEY = {.spc = 1663, .db = 5, .rel = 16384, .fork = 0, .number = 7};

static uint8_t record_bytes[64 * 1024];

/* Bytes as one after another of an index's tuples, of up to `most` bytes each: plain ones and posting lists, of which some do not fit. */
static void make_tuples(uint8_t *at, uint32_t length, uint32_t most) {
  while (length >= 8) {
    uint32_t bytes = 8 * (1 + any(most / 8)), count = any(5);
    if (bytes > length) bytes = length & ~(uint32_t)7;
    bool is_posting = any(3) == 0;
    put16(at + 6, bytes | (is_posting ? 0x2000 : 0));
    if (is_posting) {
      put16(at, 0);
      put16(at + 2, 8 * (1 + any(2)));
      put16(at + 4, 0x2000 | count);
    }
    at += bytes;
    length -= bytes;
  }
}

/* A record with one to three blocks, of which one is KEY's. Gives its length. */
static uint32_t make_record(uint32_t fork) {
  static const uint8_t managers[] = {RMGR_HEAP, RMGR_HEAP, RMGR_HEAP2, RMGR_BTREE, RMGR_BTREE, RMGR_BTREE, 0, RMGR_GIST, RMGR_XACT};
  uint8_t *at = record_bytes + RECORD_HEADER_BYTES;
  uint32_t blocks = 1 + any(3), ours = any(blocks), payload[3] = {0}, main = any(8) == 0 ? any(400) : 16 + any(4) * 4;
  memset(record_bytes, 0, RECORD_HEADER_BYTES);
  put32(record_bytes + RECORD_xid, any(1000));
  record_bytes[RECORD_info] = (uint8_t)(any(16) << 4);
  record_bytes[RECORD_rmid] = managers[any(sizeof managers)];
  for (uint32_t index = 0; index < blocks; index++) {
    uint32_t data = any(4) == 0 ? any(9000) : any(120), image = 0;
    bool has_image = any(12) == 0, has_hole = any(2) == 0;
    *at++ = (uint8_t)(index + (any(8) == 0));
    *at++ = (uint8_t)((index == ours ? fork : any(3)) | (data > 0 ? HAS_DATA : 0) | (has_image ? HAS_IMAGE : 0));
    put16(at, data);
    at += 2;
    if (has_image) {
      uint32_t hole = has_hole ? 1 + any(PAGE_BYTES - 1) : 0;
      image = PAGE_BYTES - hole;
      put16(at, image);
      put16(at + 2, has_hole ? 1 + any(PAGE_BYTES - hole) : 0);
      at[4] = (uint8_t)((has_hole ? IMAGE_HAS_HOLE : 0) | IMAGE_APPLY);
      at += 5;
    }
    put32(at, KEY.spc);
    put32(at + 4, KEY.db);
    put32(at + 8, KEY.rel);
    put32(at + 12, index == ours && fork == 0 ? KEY.number : any(2) * 40000 + any(9));
    at += 16;
    payload[index] = data + image;
  }
  *at++ = BLOCK_ID_DATA_LONG;
  put32(at, main);
  at += 4;
  for (uint32_t index = 0; index < blocks; index++) {
    fill(at, payload[index]);
    for (uint32_t word = 0; word + 2 <= payload[index] && word < 40; word += 2)
      if (any(3) > 0) put16(at + word, likely());
    if (record_bytes[RECORD_rmid] == RMGR_BTREE && any(2) == 0) make_tuples(at, payload[index], 40);
    at += payload[index];
  }
  fill(at, main);
  for (uint32_t word = 0; word + 2 <= main; word += 2)
    if (any(3) > 0) put16(at + word, likely());
  at += main;
  uint32_t length = (uint32_t)(at - record_bytes);
  put32(record_bytes + RECORD_total_length, length);
  /* Damage, at times. */
  for (uint32_t count = any(3) == 0 ? any(4) : 0; count > 0; count--) record_bytes[RECORD_info + any(length - RECORD_info)] = (uint8_t)any(256);
  return length;
}

static void make_page(uint8_t *page) {
  switch (any(8)) {
    case 0:
      memset(page, 0, PAGE_BYTES);
      return;
    case 1:
      fill(page, PAGE_BYTES);
      return;
    default:
      break;
  }
  page_init(page, 0);
  bool is_btree = any(2) == 0;
  if (is_btree) {
    page_init(page, 16);
    put32(page + PAGE_BYTES - 12, any(2) * 9);
  }
  struct refusal refusal;
  struct place place;
  for (uint32_t count = any(40), number = 1; number <= count; number++) {
    if (!page_find_place(page, is_btree ? 8 * (1 + any(12)) : any(300), number, false, &place, &refusal)) break;
    page_take_place(page, &place);
    fill(page + place.offset, place.length);
    if (is_btree) make_tuples(page + place.offset, place.length, place.length);
    if (place.length > TUPLE_HEADER_BYTES) page[place.offset + TUPLE_hoff] = (uint8_t)(23 + any(10));
    if (any(6) == 0) page_set_line(page, number, any(4) == 0 ? any(32768) : 0, any(4), any(4) == 0 ? any(32768) : 0);
  }
  if (any(4) == 0) put16(page + PAGE_lower + any(3) * 2, any(65536));
}

/* Twice in a batch, in memory of exactly its length: where what is left behind it is no whole record, and where it is. Gives how many were taken. */
static uint32_t walk_over(uint32_t length, uint64_t lsn) {
  static struct walk_page pages[WALK_PAGES_MAX];
  static struct page_key forks[WALK_FORKS_MAX];
  static uint32_t refs[WALK_REFS_MAX];
  uint8_t known[16 * 32];
  memset(known, 1, sizeof known);
  size_t one = (8 + (size_t)length + 7) & ~(size_t)7, bytes = one + (any(2) == 0 ? one : any((uint32_t)one));
  uint8_t *batch = calloc(1, bytes);
  if (batch == NULL) abort();
  for (size_t at = 0; at < bytes; at += one) {
    memcpy(batch + at, &lsn, bytes - at < 8 ? bytes - at : 8);
    if (bytes - at > 8) memcpy(batch + at + 8, record_bytes, bytes - at - 8 < length ? bytes - at - 8 : length);
  }
  uint64_t lsns[2];
  double positions[2];
  uint32_t lengths[2];
  struct walk_of of = {.batch = batch, .end = bytes, .limit = UINT64_MAX, .known = known, .managers = 32};
  struct walk_places places = {.lsns = lsns, .positions = positions, .lengths = lengths, .room = 2};
  struct walk walk = {.pages = pages, .refs = refs, .forks = forks};
  uint32_t taken = walk_records(&of, &places, &walk);
  if (taken > 2 || (walk.page_count > 0 && pages[walk.page_count - 1].end > WALK_REFS_MAX)) abort();
  free(batch);
  return taken;
}

int main(int count, char **given) {
  if (count != 3) return 2;
  state = strtoull(given[1], NULL, 10) * 2654435761u + 88172645463325252u;
  unsigned long outcomes[3] = {0}, remade[3] = {0}, records = 0, walked = 0, rounds = strtoul(given[2], NULL, 10);
  uint8_t *page = malloc(PAGE_BYTES), before[PAGE_BYTES];
  if (page == NULL) abort();
  for (unsigned long round = 0; round < rounds; round++) {
    if (round % 5 == 0) make_page(page);
    uint32_t fork = any(4) == 0 ? VISIBILITY_MAP_FORK : 0, length = make_record(fork);
    uint8_t *raw = malloc(length);
    if (raw == NULL) abort();
    memcpy(raw, record_bytes, length);
    struct page_key key = KEY;
    key.fork = fork;
    if (fork != 0) key.number = any(2);
    if (record_bytes[RECORD_rmid] == RMGR_XACT) key = (struct page_key){.db = SLRU_PG_XACT, .fork = SLRU_FORK, .number = any(2)};
    struct record record;
    struct refusal refusal = {.text = ""};
    memcpy(before, page, PAGE_BYTES);
    if (record_decode(&record, raw, length, (round + 1) << 16)) {
      enum outcome outcome = apply(page, &record, &key, &refusal);
      records++;
      outcomes[outcome]++;
      if (record.rmid == RMGR_BTREE && (record.info & 0xf0) >= BTREE_SPLIT_L) remade[outcome]++;
      if (outcome != APPLIED && memcmp(before, page, PAGE_BYTES) != 0) {
        printf("a page was changed by a record that was not applied: %s\n", refusal.text);
        return 1;
      }
      if ((outcome == REFUSED) != (refusal.text[0] != '\0')) {
        printf("outcome %d, and '%s'\n", outcome, refusal.text);
        return 1;
      }
    }
    walked += walk_over(length, (round + 1) << 16);
    free(raw);
  }
  free(page);
  printf("%lu records: %lu applied, %lu refused, %lu not ours; %lu and %lu of them B-tree's from splits on; %lu walked over\n", records, outcomes[APPLIED],
         outcomes[REFUSED], outcomes[NOT_OURS], remade[APPLIED], remade[REFUSED], walked);
  return 0;
}
