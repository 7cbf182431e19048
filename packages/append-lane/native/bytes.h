/* Bytes that grow at their end and go at their front. No memory left ends the process: nothing that was taken is lost by that. */
#ifndef APPEND_LANE_BYTES_H
#define APPEND_LANE_BYTES_H

#include <stdlib.h>
#include <string.h>

struct bytes {
  unsigned char *at;
  /* What of `at` went at the front already. */
  size_t from;
  size_t to;
  size_t room;
};

static inline size_t bytes_length(const struct bytes *bytes) { return bytes->to - bytes->from; }

static inline unsigned char *bytes_first(const struct bytes *bytes) { return bytes->at + bytes->from; }

/* Room for `more` bytes at the end; the caller then moves `to`. */
static inline unsigned char *bytes_reserve(struct bytes *bytes, size_t more) {
  size_t length = bytes_length(bytes);
  if (length == 0) bytes->from = bytes->to = 0;
  if (bytes->room - bytes->to < more) {
    if (bytes->from > 0) memmove(bytes->at, bytes->at + bytes->from, length);
    bytes->from = 0;
    bytes->to = length;
    if (bytes->room < length + more) {
      size_t room = bytes->room < 4096 ? 4096 : bytes->room;
      while (room < length + more) room *= 2;
      unsigned char *at = realloc(bytes->at, room);
      if (at == NULL) abort();
      bytes->at = at;
      bytes->room = room;
    }
  }
  return bytes->at + bytes->to;
}

static inline void bytes_add(struct bytes *bytes, const void *what, size_t length) {
  if (length == 0) return;
  memcpy(bytes_reserve(bytes, length), what, length);
  bytes->to += length;
}

static inline void bytes_drop(struct bytes *bytes, size_t length) { bytes->from += length; }

/* Frees the memory of what was large, once it is empty. */
static inline void bytes_rest(struct bytes *bytes, size_t room_max) {
  if (bytes_length(bytes) > 0) return;
  bytes->from = bytes->to = 0;
  if (bytes->room <= room_max) return;
  free(bytes->at);
  bytes->at = NULL;
  bytes->room = 0;
}

static inline void bytes_free(struct bytes *bytes) {
  free(bytes->at);
  memset(bytes, 0, sizeof *bytes);
}

#endif
