/* Lanes: lending and reclaiming them, and what is taken on them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "layout.h"
#include "state.h"

struct lane *lane_of(struct connection *c, uint64_t stream) {
  for (size_t index = 0; index < c->lane_count; index++)
    if (c->lanes[index].stream == stream) return &c->lanes[index];
  return NULL;
}

void end_lane(struct lane *lane) {
  if (!lane->is_lent) return;
  lane->is_lent = false;
  close(lane->file);
  lane->file = -1;
}

bool connection_lend(struct connection *c, const struct lane *lane) {
  pthread_mutex_lock(&c->lanes_lock);
  struct lane *place = lane_of(c, lane->stream);
  for (size_t index = 0; place == NULL && index < c->lane_count; index++)
    if (!c->lanes[index].is_lent) place = &c->lanes[index];
  if (place == NULL && c->lane_count < LANES_MAX) place = &c->lanes[c->lane_count++];
  bool is_lent = false;
  /* What TypeScript has not read yet may be of this stream: the end that it names would be an old one. */
  pthread_mutex_lock(&c->news_lock);
  bool is_read = bytes_length(&c->news.passed) == 0 && c->pass_left == 0;
  pthread_mutex_unlock(&c->news_lock);
  if (place != NULL && is_read && !atomic_load(&c->is_closing)) {
    end_lane(place);
    *place = *lane;
    place->file = fcntl(lane->file, F_DUPFD_CLOEXEC, 0);
    is_lent = place->is_lent = place->file >= 0;
  }
  if (is_lent && c->held_stream == lane->stream) stop_holding(c);
  pthread_mutex_unlock(&c->lanes_lock);
  return is_lent;
}

void stop_holding(struct connection *c) {
  c->held_stream = 0;
  c->is_between_messages = false;
  if (!c->is_held) return;
  c->is_held = false;
  wake_thread(c);
}

bool connection_hold(struct connection *c, uint64_t stream, bool is_to_be) {
  pthread_mutex_lock(&c->lanes_lock);
  struct lane *lane = lane_of(c, stream);
  bool is_lent = lane != NULL && lane->is_lent;
  bool is_free = c->held_stream == 0 && !is_lent && !atomic_load(&c->is_closing);
  if (is_to_be && is_free) c->held_stream = stream;
  else if (!is_to_be && c->held_stream == stream) stop_holding(c);
  bool is_held = c->held_stream == stream;
  pthread_mutex_unlock(&c->lanes_lock);
  return is_held;
}

bool connection_reclaim(struct connection *c, uint64_t stream) {
  pthread_mutex_lock(&c->lanes_lock);
  struct lane *lane = lane_of(c, stream);
  bool was_lent = lane != NULL && lane->is_lent;
  if (was_lent) end_lane(lane);
  pthread_mutex_unlock(&c->lanes_lock);
  /* What has come of a message is to be passed on now. */
  if (was_lent) wake_thread(c);
  return was_lent;
}

/* All of the pieces, which it uses up. Gives errno. */
static int write_pieces(int file, struct iovec *pieces, int count, uint64_t offset) {
  for (int first = 0; first < count;) {
    ssize_t written = pwritev(file, pieces + first, count - first, (off_t)offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    offset += (uint64_t)written;
    for (; first < count && (size_t)written >= pieces[first].iov_len; first++) written -= (ssize_t)pieces[first].iov_len;
    if (first < count && written > 0) {
      pieces[first].iov_base = (char *)pieces[first].iov_base + written;
      pieces[first].iov_len -= (size_t)written;
    }
  }
  return 0;
}

static int write_messages(int file, const struct group *group, uint64_t offset) {
  struct iovec pieces[GROUP_MESSAGES_MAX];
  int count = 0;
  for (size_t index = 0; index < group->count; index++)
    if (group->messages[index].length > 0)
      pieces[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)group->messages[index].batches, .iov_len = group->messages[index].length};
  return write_pieces(file, pieces, count, offset);
}

static int write_zeros(int file, uint64_t from, uint64_t to) {
  static const unsigned char zeros[FILL_BYTES / 16];
  while (from < to) {
    struct iovec pieces[16];
    int count = 0;
    uint64_t bytes = 0;
    for (; count < 16 && from + bytes < to; count++) {
      size_t length = to - from - bytes < sizeof zeros ? (size_t)(to - from - bytes) : sizeof zeros;
      pieces[count] = (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = length};
      bytes += length;
    }
    int error = write_pieces(file, pieces, count, from);
    if (error != 0) return error;
    from += bytes;
  }
  return 0;
}

/* Up to where a file is filled once something stands in it up to `end`: whole stretches, where its log is used to have them end. */
static uint64_t filled_for(const struct lane *lane, uint64_t end) {
  uint64_t filled = lane->filled;
  while (filled < end) filled += FILL_BYTES;
  return filled < lane->capacity ? filled : lane->capacity;
}

/* Writes a group, fills the file ahead where that is due, and syncs. Gives errno. */
static int write_group(struct lane *lane, const struct group *group) {
  uint64_t end = lane->offset + group->length;
  int error = write_messages(lane->file, group, lane->offset);
  if (error == 0 && end > lane->filled) {
    lane->filled = filled_for(lane, end);
    error = write_zeros(lane->file, end, lane->filled);
  }
  if (error != 0) return error;
  return fdatasync(lane->file) == 0 ? 0 : errno;
}

static void add_taken(struct connection *c, const struct group *group, uint32_t sync_us, uint32_t wait_us, int error) {
  pthread_mutex_lock(&c->news_lock);
  for (size_t index = 0; index < group->count; index++) {
    const struct next *next = &group->messages[index];
    size_t length = error == 0 ? next->length : 0;
    unsigned char *at = bytes_reserve(&c->news.taken, AT_taken_size + length);
    memset(at, 0, AT_taken_size);
    set_u64(at + AT_taken_stream, group->lane->stream);
    set_u64(at + AT_taken_vdl, next->vdl);
    set_u64(at + AT_taken_pgmrpl, next->pgmrpl);
    set_u32(at + AT_taken_bytes, (uint32_t)length);
    set_u32(at + AT_taken_frame_bytes, (uint32_t)group->payloads[index].length);
    set_u32(at + AT_taken_frames, group->payloads[index].frames);
    /* Of the whole group, told with its last. */
    bool is_last = index == group->count - 1;
    set_u32(at + AT_taken_sync_us, is_last ? sync_us : 0);
    set_u32(at + AT_taken_ahead_bytes, is_last && error == 0 ? (uint32_t)(group->lane->filled - group->lane->offset) : 0);
    set_u32(at + AT_taken_wait_us, wait_us);
    set_u32(at + AT_taken_errno, (uint32_t)error);
    if (length > 0) memcpy(at + AT_taken_size, next->batches, length);
    c->news.taken.to += AT_taken_size + length;
  }
  pthread_mutex_unlock(&c->news_lock);
}

static void acknowledge(struct connection *c, const struct lane *lane) {
  unsigned char frame[AT_frame_size + AT_acknowledgement_size] = {0};
  set_u32(frame + AT_frame_length, AT_acknowledgement_size);
  set_u48(frame + AT_frame_stream, lane->stream);
  frame[AT_frame_type] = FRAME_DATA;
  unsigned char *message = frame + AT_frame_size;
  set_u64(message + AT_acknowledgement_scl, lane->end.lsn);
  set_u64(message + AT_acknowledgement_epoch, lane->epoch);
  message[AT_acknowledgement_result] = RESULT_OK;
  message[AT_acknowledgement_followed] = lane->is_followed;
  pthread_mutex_lock(&c->network_lock);
  add_outgoing(c, frame, sizeof frame);
  send_waiting(c);
  pthread_mutex_unlock(&c->network_lock);
}

void finish_group(struct connection *c, struct group *group, int64_t arrived_us) {
  struct lane *lane = group->lane;
  if (group->count == 0) return;
  int error = 0;
  int64_t started_us = now_us(), done_us = started_us;
  if (group->length > 0) {
    error = write_group(lane, group);
    done_us = now_us();
  }
  if (error == 0) {
    lane->offset += group->length;
    lane->end = group->end;
  } else end_lane(lane); /* What the disk holds past the chain's end is unknown. */
  add_taken(c, group, group->length > 0 ? (uint32_t)(done_us - started_us) : 0, (uint32_t)(done_us - arrived_us), error);
  if (error == 0 && group->length > 0) acknowledge(c, lane);
  if (c->untold_since == 0) c->untold_since = done_us;
  if (lane->is_followed || error != 0) c->untold_since = 1;
  group->count = 0;
  group->length = 0;
}

bool take(struct connection *c, struct group *group, struct lane *lane, struct payload payload, int64_t arrived_us) {
  if (group->count > 0 && (group->lane != lane || group->count == GROUP_MESSAGES_MAX)) finish_group(c, group, arrived_us);
  if (group->count == 0) {
    group->lane = lane;
    group->end = lane->end;
    group->length = 0;
  }
  struct next *next = &group->messages[group->count];
  if (!lane_is_next(lane, group->end, lane->capacity - lane->offset - group->length, payload.at, payload.length, next)) return false;
  group->payloads[group->count] = payload;
  group->end = next->end;
  group->length += next->length;
  group->count++;
  return true;
}
