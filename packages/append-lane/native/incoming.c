/* What came on a connection: which of it the thread takes, and which is TypeScript's. */
#include <string.h>

#include "layout.h"
#include "state.h"

static void pass(struct connection *c, const unsigned char *at, size_t length) {
  pthread_mutex_lock(&c->news_lock);
  bytes_add(&c->news.passed, at, length);
  pthread_mutex_unlock(&c->news_lock);
}

enum extent { IS_WHOLE, IS_UNFINISHED, IS_OTHERS };

/*
 * The message of a lane that begins at `at`: its frames one after another, with nothing between them, and how many bytes these are. It is for
 * others where something is between them, or it is longer than what is taken.
 */
static enum extent message_at(const unsigned char *at, size_t left, uint64_t stream, struct payload *message, size_t *bytes) {
  *message = (struct payload){.at = at + AT_frame_size};
  for (*bytes = 0;;) {
    const unsigned char *frame = at + *bytes;
    size_t rest = left - *bytes;
    if (rest < AT_frame_size) return IS_UNFINISHED;
    size_t length = get_u32(frame + AT_frame_length);
    unsigned char flags = frame[AT_frame_flags];
    bool is_of_it = frame[AT_frame_type] == FRAME_DATA && get_u48(frame + AT_frame_stream) == stream && (flags & ~FRAME_MORE) == 0;
    if (!is_of_it || length > FRAME_BYTES_MAX || message->frames == MESSAGE_FRAMES_MAX) return IS_OTHERS;
    if (message->length + length > MESSAGE_BYTES_MAX) return IS_OTHERS;
    if (rest - AT_frame_size < length) return IS_UNFINISHED;
    message->length += length;
    message->frames++;
    *bytes += AT_frame_size + length;
    if (flags == 0) return IS_WHOLE;
  }
}

/* A message's payload in one piece, which stands until the group is finished. */
static struct payload in_one_piece(struct connection *c, struct group *group, struct payload message, int64_t arrived_us) {
  if (message.frames == 1) return message;
  struct bytes *to = &c->together;
  if (bytes_length(to) + message.length > TOGETHER_BYTES) finish_group(c, group, arrived_us);
  if (group->count == 0) bytes_drop(to, bytes_length(to));
  const unsigned char *at = bytes_reserve(to, bytes_length(to) == 0 ? TOGETHER_BYTES : message.length);
  const unsigned char *frame = message.at - AT_frame_size;
  for (uint32_t index = 0; index < message.frames; index++) {
    size_t length = get_u32(frame + AT_frame_length);
    bytes_add(to, frame + AT_frame_size, length);
    frame += AT_frame_size + length;
  }
  message.at = at;
  return message;
}

void look_through(struct connection *c) {
  const unsigned char *in = bytes_first(&c->in);
  size_t length = bytes_length(&c->in), at = 0, passed_from = 0;
  int64_t arrived_us = now_us();
  bool has_passed = false, has_begun = false;
  struct group group = {.count = 0};
  pthread_mutex_lock(&c->lanes_lock);
  while (at < length) {
    size_t left = length - at;
    if (c->is_opaque) {
      at = length;
      continue;
    }
    if (c->hello_left > 0 || c->pass_left > 0) {
      size_t *rest = c->hello_left > 0 ? &c->hello_left : &c->pass_left;
      size_t bytes = least(*rest, left);
      *rest -= bytes;
      at += bytes;
      continue;
    }
    if (left < AT_frame_size) break;
    size_t payload = get_u32(in + at + AT_frame_length);
    if (payload > FRAME_BYTES_MAX) {
      c->is_opaque = true;
      continue;
    }
    uint64_t stream = in[at + AT_frame_type] == FRAME_DATA ? get_u48(in + at + AT_frame_stream) : 0;
    if (stream != 0 && stream == c->held_stream) {
      c->is_held = c->is_between_messages;
      if (c->is_held) break;
      c->is_between_messages = (in[at + AT_frame_flags] & FRAME_MORE) == 0;
    }
    struct lane *lane = lane_of(c, stream);
    if (lane == NULL || !lane->is_lent) {
      c->pass_left = AT_frame_size + payload;
      continue;
    }
    struct payload message;
    size_t bytes;
    enum extent extent = message_at(in + at, left, stream, &message, &bytes);
    if (extent == IS_UNFINISHED) {
      has_begun = message.frames > 0;
      break;
    }
    /* What was passed on before it comes first. */
    if (at > passed_from) {
      pass(c, in + passed_from, at - passed_from);
      has_passed = true;
    }
    passed_from = at;
    if (extent == IS_WHOLE && take(c, &group, lane, in_one_piece(c, &group, message, arrived_us), arrived_us)) {
      at += bytes;
      passed_from = at;
      continue;
    }
    if (group.count > 0 && group.lane == lane) finish_group(c, &group, arrived_us);
    end_lane(lane);
  }
  if (at > passed_from) {
    pass(c, in + passed_from, at - passed_from);
    has_passed = true;
  }
  /* Others need not wait for the disk. */
  if (has_passed) tell(c);
  finish_group(c, &group, arrived_us);
  bytes_drop(&c->together, bytes_length(&c->together));
  /* Its rest may wait for a window, and that for TypeScript to hear of what was taken before. */
  if (has_begun && c->untold_since != 0) c->untold_since = 1;
  pthread_mutex_unlock(&c->lanes_lock);
  bytes_drop(&c->in, at);
  bytes_rest(&c->in, KEPT_BYTES_MAX);
}
