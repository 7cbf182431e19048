#include "run.h"

enum { LSN_BYTES = 8 };

/* The record of a step, where it is in the log's bytes, and as it was written. */
static bool find_record(struct record *record, const struct steps *steps, uint32_t step, const uint8_t *log, size_t length, double position) {
  double offset = steps->positions[step] - position;
  uint32_t bytes = steps->lengths[step];
  /* Written so that what is no number is not there. */
  if (!(offset >= 0 && offset + LSN_BYTES + bytes <= (double)length) || bytes < RECORD_HEADER_BYTES) return false;
  const uint8_t *at = log + (size_t)offset;
  return get64(at) == steps->lsns[step] && get32(at + LSN_BYTES + RECORD_total_length) == bytes && record_is_sound(at + LSN_BYTES, bytes) &&
         record_decode(record, at + LSN_BYTES, bytes, steps->lsns[step]);
}

uint32_t run_apply(const struct steps *steps, const struct pages *pages, const uint8_t *log, size_t length, double position, uint32_t first, uint32_t end) {
  struct record record;
  struct refusal refusal;
  bool is_there = false;
  double there = 0;
  uint32_t step = first;
  for (; step < end; step++) {
    uint32_t page = steps->pages[step];
    if (page >= pages->count) break;
    if (steps->lsns[step] < pages->from[page]) continue;
    /* A record that changes several pages stands in as many steps, one after another. */
    if (!is_there || there != steps->positions[step]) {
      if (!find_record(&record, steps, step, log, length, position)) break;
      is_there = true;
      there = steps->positions[step];
    }
    uint8_t *bytes = pages->bytes_of(pages->context, page);
    if (bytes == NULL || apply(bytes, &record, &pages->keys[page], &refusal) != APPLIED) break;
    pages->applied[page]++;
  }
  return step;
}
