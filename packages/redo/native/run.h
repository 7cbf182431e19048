/* A run of records applied to pages, as RedoSteps and RedoPages in packages/redo-engine have them. */
#ifndef REDO_RUN_H
#define REDO_RUN_H

#include "apply.h"

/* Which record changes which page, in the log's order. */
struct steps {
  /* Where in the log the eight bytes of a record's LSN stand, which the record follows; its length; its LSN; and the page. */
  const double *positions;
  const uint32_t *lengths;
  const uint64_t *lsns;
  const uint32_t *pages;
};

struct pages {
  uint32_t count;
  const struct page_key *keys;
  /* Of each page: steps whose record begins below it are passed over. */
  const uint64_t *from;
  /* Of each page: how many records were applied. */
  uint32_t *applied;
  /* PAGE_BYTES of a page; NULL: there is none to change. */
  uint8_t *(*bytes_of)(void *context, uint32_t page);
  void *context;
};

/*
 * Applies steps [first, end) as far as their records stand wholly in the `length` bytes at `log`, which begin at byte `position` of the log.
 * Gives the first step that was not applied: its record is not there or not sound, does not fit its page, or is not redone here. Its page is
 * as it was.
 */
uint32_t run_apply(const struct steps *steps, const struct pages *pages, const uint8_t *log, size_t length, double position, uint32_t first, uint32_t end);

#endif
