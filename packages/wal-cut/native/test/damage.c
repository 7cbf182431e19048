/*
 * Cuts WAL that is sound, cut short, or damaged anywhere: `damage SEED ROUNDS`, under the sanitizers. Every stretch of log and every run stands in
 * memory of exactly its length. A record that is taken is one that was written there, whole and in its order, and nothing before it in the run has changed.
 * Prints how many records were written and taken.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../append-lane/native/crc32c.h"
#include "../../../redo/native/bytes.h"
#include "../../../redo/native/test/any.h"
#include "../cut.h"
#include "../layout.h"

enum { PAGES = 12, RECORDS_MAX = 400, TIMELINE = 3 };
static const uint64_t SYSTEM = 0x1234567890abcdef;

static void due(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static uint8_t wal[PAGES * WAL_PAGE_BYTES];
static uint8_t raw[40000];
static struct { uint64_t lsn; uint32_t bytes; uint8_t head[RECORD_HEADER_BYTES]; } written[RECORDS_MAX];
static size_t records;

/* The header of the page at wal[at], which goes on with `left` bytes of a record. */
static size_t begin_page(uint64_t base, size_t at, uint32_t left) {
  const bool is_long = (base + at) % WAL_SEGMENT_BYTES == 0;
  const uint64_t page = base + at;
  put16(wal + at + PAGE_magic, WAL_PAGE_MAGIC);
  put16(wal + at + PAGE_info, (left > 0 ? FIRST_IS_CONTRECORD : 0) | (is_long ? LONG_HEADER : 0) | (any(4) == 0 ? BKP_REMOVABLE : 0));
  put32(wal + at + PAGE_timeline, TIMELINE);
  memcpy(wal + at + PAGE_pageAddress, &page, 8);
  put32(wal + at + PAGE_remainingLength, left);
  if (!is_long) return WAL_SHORT_HEADER_BYTES;
  memcpy(wal + at + PAGE_systemIdentifier, &SYSTEM, 8);
  put32(wal + at + PAGE_segmentBytes, WAL_SEGMENT_BYTES);
  put32(wal + at + PAGE_blockBytes, WAL_PAGE_BYTES);
  return WAL_LONG_HEADER_BYTES;
}

/* Records from wal[0] on, which is at `base`, until there is no room. Gives where the last one ends. */
static size_t write_log(uint64_t base, uint64_t prev) {
  static const uint8_t managers[] = {RMGR_XLOG, RMGR_XACT, RMGR_STANDBY, 10, 10, 10, 11, 200};
  size_t at = 0;
  memset(wal, 0, sizeof wal);
  for (records = 0; records < RECORDS_MAX;) {
    const uint32_t total = RECORD_HEADER_BYTES + (any(20) == 0 ? any(20000) : any(200));
    if (at + total + 4 * (size_t)WAL_PAGE_BYTES > sizeof wal) return at;
    for (uint32_t byte = 0; byte < total; byte++) raw[byte] = (uint8_t)any(256);
    put32(raw + RECORD_totalLength, total);
    put32(raw + RECORD_xid, any(5));
    memcpy(raw + RECORD_prev, &prev, 8);
    raw[RECORD_rmid] = any(900) == 0 ? (uint8_t)any(256) : managers[any(sizeof managers)];
    raw[RECORD_info] = raw[RECORD_rmid] == RMGR_XLOG && any(90) > 0 ? 0xb0 : (uint8_t)(any(16) << 4);
    put32(raw + RECORD_crc, crc32c_after(crc32c(raw + RECORD_HEADER_BYTES, total - RECORD_HEADER_BYTES), raw, RECORD_crc));
    if (at % WAL_PAGE_BYTES == 0) at += begin_page(base, at, 0);
    prev = written[records].lsn = base + at;
    written[records].bytes = total;
    memcpy(written[records++].head, raw, RECORD_HEADER_BYTES);
    for (uint32_t done = 0; done < total;) {
      if (at % WAL_PAGE_BYTES == 0) at += begin_page(base, at, total - done);
      const size_t room = WAL_PAGE_BYTES - at % WAL_PAGE_BYTES;
      const uint32_t piece = total - done < room ? total - done : (uint32_t)room;
      memcpy(wal + at, raw + done, piece);
      at += piece;
      done += piece;
    }
    at = (at + 7) & ~(size_t)7;
  }
  return at;
}

/* Are the pages of the log's first `bytes` as they were written? */
static bool pages_are_whole(const uint8_t *log, size_t bytes) {
  for (size_t at = 0; at < bytes; at += WAL_PAGE_BYTES)
    if (((get16(log + at + PAGE_info) ^ get16(wal + at + PAGE_info)) & ~BKP_REMOVABLE) != 0 || memcmp(log + at + PAGE_timeline, wal + at + PAGE_timeline, 16) != 0)
      return false;
  return true;
}

/* What a run has of the records from `first` on. */
static size_t check(const uint8_t *run, size_t from, size_t to, size_t first, size_t count) {
  for (size_t index = first; index < first + count; index++) {
    due(index < records && get64(run + from) == written[index].lsn, "a record that was not written there");
    due(memcmp(run + from + RECORD_LSN_BYTES, written[index].head, RECORD_HEADER_BYTES) == 0, "not as it was written");
    from += ((size_t)RECORD_LSN_BYTES + written[index].bytes + 7) & ~(size_t)7;
  }
  due(from == to, "the run is not filled by its records");
  return count;
}

int main(int count, char **arguments) {
  due(count == 3, "damage SEED ROUNDS");
  state = strtoull(arguments[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  unsigned long long made = 0, taken = 0;
  for (unsigned long round = strtoul(arguments[2], NULL, 10); round > 0; round--) {
    const uint64_t base = (uint64_t)(1 + any(1000)) * WAL_SEGMENT_BYTES - (uint64_t)any(8) * WAL_PAGE_BYTES, before = base - 8 * (1 + any(9));
    const size_t end = write_log(base, before);
    made += records;
    struct cut cut = {.lsn = base, .prev = before, .timeline = any(20) == 0 ? 2 : TIMELINE, .system_identifier = any(20) == 0 ? 1 : SYSTEM};
    const size_t length = any(3) == 0 ? any((uint32_t)end + 1) : any(6) == 0 ? end / WAL_PAGE_BYTES * WAL_PAGE_BYTES + any(24) : end, capacity = any(3) == 0 ? any(4096) & ~7u : sizeof wal;
    uint8_t *const stretch = malloc(length > 0 ? length : 1), *const run = malloc(capacity > 0 ? capacity : 1);
    uint32_t noted[64];
    memcpy(stretch, wal, length);
    for (uint32_t flips = any(3) == 0 ? 1 + any(3) : 0; flips > 0; flips--) {
      /* Anywhere, or in a page's header. */
      const size_t at = any(2) == 0 ? any((uint32_t)end) : any((uint32_t)(end / WAL_PAGE_BYTES) + 1) * WAL_PAGE_BYTES + any(WAL_LONG_HEADER_BYTES);
      if (at < length) stretch[at] ^= (uint8_t)(1 << any(8));
    }
    cut.wal = stretch;
    cut.length = length;
    cut.out = run;
    cut.capacity = capacity;
    cut.at = capacity < 64 ? 0 : any(8) * 8;
    cut.full = any(3) == 0 ? any(9000) : SIZE_MAX;
    cut.noted = noted;
    cut.noted_max = any(64);
    memset(run, 0x5a, cut.at);
    /* As somebody does who goes on from where it stopped, with new room for what is noted. */
    for (size_t first = 0;;) {
      const size_t from = cut.at;
      cut_records(&cut);
      due(cut.noted_count <= cut.noted_max && cut.used <= cut.length && cut.at <= cut.capacity, "past an end");
      for (size_t index = 0; index < from && first == 0; index++) due(run[index] == 0x5a, "what was there before has changed");
      if (cut.count == 0) break;
      due(cut.first == written[first].lsn && cut.prev == written[first + cut.count - 1].lsn, "the first or last is another");
      first += check(run, from, cut.at, first, cut.count);
      taken += cut.count;
      cut.wal += cut.used;
      cut.length -= cut.used;
      cut.lsn += cut.used;
      due(pages_are_whole(stretch, (size_t)(cut.lsn - base)), "past a page that is not as it should be");
    }
    free(stretch);
    free(run);
  }
  printf("%llu records, %llu taken\n", made, taken);
  return 0;
}
