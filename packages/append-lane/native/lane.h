/*
 * A lane: one Append stream that TypeScript has lent. What comes on it and is exactly next is taken here; what is anything else ends the
 * lane, untaken, and is TypeScript's to judge. So there is no rule here but equality with what was lent, and soundness of the bytes.
 *
 * Invariants: a batch is taken only whole, sound, of the lane's epoch and group, and linked to the end of the chain; it is acknowledged only
 * after the fdatasync that covers it; a lane that has ended takes nothing.
 */
#ifndef APPEND_LANE_LANE_H
#define APPEND_LANE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the chain ends: what the next batch must link to. */
struct link {
  uint64_t lsn;
  uint64_t epoch;
};

struct lane {
  bool is_lent;
  uint64_t stream;
  /*
   * The log's newest file, written from `offset` on, which has room up to `capacity`. It is filled with zeros up to `filled`, and a stretch more
   * before anything goes past that. A descriptor of the lane's own.
   */
  int file;
  uint64_t offset;
  uint64_t filled;
  uint64_t capacity;
  uint64_t epoch;
  uint32_t group;
  struct link end;
  /* What an acknowledgement says of readers that wait for redo. */
  bool is_followed;
};

/* What of an Append message was found to be next. */
struct next {
  /* The batches, back to back. */
  const unsigned char *batches;
  size_t length;
  struct link end;
  uint64_t vdl;
  uint64_t pgmrpl;
};

/* Is all of an Append message (its payload) exactly next on the lane whose chain ends at `end`, with `room` bytes left in the file? */
bool lane_is_next(const struct lane *lane, struct link end, uint64_t room, const unsigned char *message, size_t length, struct next *next);

/* Is there a whole, sound redo batch here? Gives its length; 0 where not. */
size_t batch_length(const unsigned char *at, size_t length);

#endif
