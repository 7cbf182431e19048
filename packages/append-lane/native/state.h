/* What a connection is made of, for the files that make it: connection.c (the network and the thread), incoming.c (what came), taking.c (lanes) and news.c. */
#ifndef APPEND_LANE_STATE_H
#define APPEND_LANE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "connection.h"

enum {
  LANES_MAX = 32,
  /* Messages that are written and synced at once. */
  GROUP_MESSAGES_MAX = 64,
  READ_BYTES = 64 * 1024,
  /* What is there is read up to so much before it is looked at: what comes as fast as that shares a sync. */
  RECEIVE_BYTES_MAX = 256 * 1024,
  /* A file is filled with zeros so much at a time: ZERO_AHEAD_BYTES of storage-daemon/src/redo-log/log-pace.ts, which says why. */
  FILL_BYTES = 1024 * 1024,
  /* TypeScript is told of what was taken after so long, or so many bytes: it has work of its own to gather for. */
  TELL_AFTER_US = 200 * 1000,
  TELL_BYTES = 256 * 1024,
  /* So much that it has not read, or not heard of: then nothing more is received. */
  UNREAD_BYTES_MAX = 1024 * 1024,
  /* What is encrypted is sent when it is so much: each call sends whole records, and none waits in memory that is long out of the caches. */
  SEND_BYTES = 4 * (TLS_RECORD_BYTES + 256),
  /* Memory that an empty buffer keeps: as much as pages take that are sent in one go, which would be mapped and zeroed anew each time. */
  KEPT_BYTES_MAX = 512 * 1024,
  /* Messages of several frames that are written at once, put together. */
  TOGETHER_BYTES = KEPT_BYTES_MAX,
  /* Pieces that go to the kernel with one call. */
  PIECES_AT_ONCE = 64,
  /* Of one message, that its stream's window may have cut anywhere. */
  MESSAGE_FRAMES_MAX = 32,
  STACK_BYTES = 256 * 1024,
};

struct connection {
  int socket;
  /* Wakes the thread: a lane, bytes to send, or the end. */
  int alarm;
  pthread_t thread;
  on_news tell;
  void *of;
  atomic_bool is_closing;
  atomic_bool is_told;

  /* The thread's alone. */
  struct bytes in;
  /* Messages of several frames, put together, until their group is finished. It has room for TOGETHER_BYTES or is empty: nothing in it moves. */
  struct bytes together;
  size_t hello_left;
  /* Of a frame that is TypeScript's. With the lock of the lanes. */
  size_t pass_left;
  /* Somebody speaks something else: all of it is TypeScript's. */
  bool is_opaque;
  bool is_secured;
  int64_t untold_since;

  pthread_mutex_t lanes_lock;
  struct lane lanes[LANES_MAX];
  size_t lane_count;
  /* The stream whose next message is kept back; 0: none is. */
  uint64_t held_stream;
  /* Whatever of a message of it was passed on, has its last frame passed too? */
  bool is_between_messages;
  /* It has come, and stands at the front of `in`. */
  bool is_held;

  pthread_mutex_t network_lock;
  struct tls *tls;
  struct bytes out;
  bool is_full;
  bool is_ending;
  bool has_ended;
  bool is_broken;
  uint64_t sent_bytes;

  pthread_mutex_t news_lock;
  struct news news;
};

static inline int64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static inline size_t least(size_t one, size_t other) { return one < other ? one : other; }

void wake_thread(struct connection *connection);
/* TypeScript is to collect the news. */
void tell(struct connection *connection);
/* Goes through what was received: takes what is a lane's, passes on the rest. What is left is the beginning of a frame, or of a lane's message. */
void look_through(struct connection *connection);
/* With the lock of the network: encrypts, and sends what goes; what does not waits for the thread. */
void add_outgoing(struct connection *connection, const void *bytes, size_t length);
void send_waiting(struct connection *connection);

/* Payloads of one message's frames. */
struct payload {
  const unsigned char *at;
  size_t length;
  uint32_t frames;
};

/* Messages of one lane that go to disk at once. */
struct group {
  struct lane *lane;
  struct next messages[GROUP_MESSAGES_MAX];
  struct payload payloads[GROUP_MESSAGES_MAX];
  size_t count;
  /* What the lane has once it is written. */
  struct link end;
  uint64_t length;
};

/* With the lock of the lanes, all of these. */
void stop_holding(struct connection *connection);
struct lane *lane_of(struct connection *connection, uint64_t stream);
void end_lane(struct lane *lane);
/* Takes a message into the group, or says that it is not next. */
bool take(struct connection *connection, struct group *group, struct lane *lane, struct payload payload, int64_t arrived_us);
/*
 * Writes, syncs, tells and acknowledges a group, in this order: whoever has seen the acknowledgement, and asks TypeScript, which collects the
 * news first, finds the batch there.
 */
void finish_group(struct connection *connection, struct group *group, int64_t arrived_us);

#endif
