/* Cuts WAL into records, in the form in which a redo batch carries them. Knows nothing of Node. */
#ifndef WAL_CUT_CUT_H
#define WAL_CUT_CUT_H

#include <stddef.h>
#include <stdint.h>

/*
 * One call: what it is given, and below that how far it came. It takes records while they and the pages that they lie in are exactly what
 * follows, and stops before the first that is not, or is not all there, or has no room, or is for somebody else to look at: why it stopped
 * nobody asks, for whoever called goes on from there by the way that it has for everything.
 */
struct cut {
  /* Bytes of the log; the first is where a record, or the header of its page, begins. */
  const uint8_t *wal;
  size_t length;
  uint64_t lsn;
  /* The start of the record before; the timeline of its page, 0: unknown; whose log it is. */
  uint64_t prev;
  uint32_t timeline;
  uint64_t system_identifier;
  /* Records go to out[at..capacity), until there are `full` bytes. */
  uint8_t *out;
  size_t capacity;
  size_t at;
  size_t full;
  /* Where in `out` those records are that tell which transactions run; it stops when there is no room for another. */
  uint32_t *noted;
  size_t noted_max;

  /* So many bytes of the log are done with: records, and what lies between them. */
  size_t used;
  size_t count;
  uint64_t first;
  size_t noted_count;
};

/*
 * Sets used, count, first and noted_count, and moves `at` and `prev` on. Bytes of `out` after the new `at` may have changed, those before it
 * and everything else have not.
 */
void cut_records(struct cut *of);

#endif
