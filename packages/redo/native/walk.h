/*
 * A walk over the records of a redo batch, where they stand, for who indexes them: where each is, which pages it changes, and which blocks of which forks it
 * names. It takes those that change pages alone, which is nearly all; what is anything else, or no record, ends it untaken, and is TypeScript's.
 */
#ifndef REDO_WALK_H
#define REDO_WALK_H

#include "apply.h"

/* What one walk takes at most. A record changes no more pages than it names blocks, and two of the visibility map. */
enum { WALK_REFS_MAX = 2048, WALK_PAGES_MAX = 512, WALK_FORKS_MAX = 128, WALK_RECORD_PAGES_MAX = BLOCK_ID_MAX + 1 + 2 };

/* The records of a batch, and which of them are walked over. */
struct walk_of {
  /* Each record stands behind its LSN (u64), at a multiple of 8. Byte `at` is the first of one, `end` is behind the last. */
  const uint8_t *batch;
  size_t at;
  size_t end;
  /* Of the batch's byte 0 in the log. */
  double position;
  /* None at or past it. */
  uint64_t limit;
  /* By resource manager and high nibble of info, 16 for each of `managers`: is there such a record? */
  const uint8_t *known;
  size_t managers;
};

/* Where the records stand: one place in each for each of them, `room` in all. */
struct walk_places {
  uint64_t *lsns;
  double *positions;
  uint32_t *lengths;
  uint32_t room;
};

/* A page that records change, and where its stretch of `refs` ends; the stretch begins where the one before ends. */
struct walk_page {
  struct page_key key;
  uint32_t end;
};

struct walk {
  /* In the order in which they were met. */
  uint32_t page_count;
  struct walk_page *pages;
  /* The number of a record of this walk, times two, and 1 more where it replaces the page whatever that held. */
  uint32_t *refs;
  /* Forks, each with the highest block that was named of it. */
  uint32_t fork_count;
  struct page_key *forks;
  /* The latest; 0: none has one. */
  uint32_t xid;
};

/* `walk` has room for as many of each as one walk takes. Gives how many records were taken. */
uint32_t walk_records(const struct walk_of *of, const struct walk_places *places, struct walk *walk);

#endif
