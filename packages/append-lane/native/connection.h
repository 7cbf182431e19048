/*
 * A connection with a thread of its own, which has the socket: it takes what is next on lent lanes, writes it to their files, syncs and
 * acknowledges, and passes everything else on to TypeScript in order. TypeScript speaks here too, whole frames at a time.
 *
 * Three locks, taken in this order where two are held: lanes (what is lent, and while it is written), network (TLS and what is to be sent),
 * news (what TypeScript has not heard yet). TypeScript's thread holds `lanes` to lend and to reclaim alone: it then waits for one write and
 * sync at most.
 */
#ifndef APPEND_LANE_CONNECTION_H
#define APPEND_LANE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "lane.h"
#include "tls.h"

struct connection;

/* The thread has news, and calls this, from itself, once until they are collected; and once more, last of all, when it ends. */
typedef void (*on_news)(void *of);

/* Owns `socket` (non-blocking from here on) and `tls` (NULL: plain text). `first`: what was read of it before. NULL: no thread can be had. */
struct connection *connection_start(int socket, struct tls *tls, const void *first, size_t length, on_news news, void *of);

/* Has the thread end; nothing more is taken once this returns. Safe to call again. */
void connection_close(struct connection *connection);
/* Waits for the thread to end, and frees everything. */
void connection_free(struct connection *connection);

struct piece {
  const void *at;
  size_t length;
};

/* Sends pieces, in one go as far as others are concerned. Gives the bytes that still wait for the network. */
size_t connection_send(struct connection *connection, const struct piece *pieces, size_t count);
/* Nothing will be sent after what was. */
void connection_end(struct connection *connection);

/* Lends a lane; `lane->file` is copied (dup). False: something that came is not collected yet, too many are lent, or the connection has ended. */
bool connection_lend(struct connection *connection, const struct lane *lane);
/*
 * Has a stream's next message kept back, or no longer: the one that begins after the last of what is passed on, and with it everything that comes behind it. So
 * TypeScript gets to the end of what has come, and may lend, however fast more of it comes. Lending ends it too. One stream at a time; gives whether
 * it is this one.
 */
bool connection_hold(struct connection *connection, uint64_t stream, bool is_to_be);
/* Takes a lane back: nothing is taken on it any more, and what was is in the news. Gives whether it was still lent. */
bool connection_reclaim(struct connection *connection, uint64_t stream);
enum news_flags {
  /* The handshake is over. */
  NEWS_SECURED = 1,
  /* What waited for the network is gone. */
  NEWS_WRITABLE = 2,
  /* The other end sends nothing more. */
  NEWS_ENDED = 4,
  /* The connection broke: `error` (errno), or `problem`. */
  NEWS_FAILED = 8,
  /* The thread is ending: nothing comes after. */
  NEWS_STOPPED = 16,
};

struct news {
  uint32_t flags;
  int error;
  char problem[128];
  /* For TypeScript to read as frames. */
  struct bytes passed;
  /* What was taken: records of the layout `taken`, each with its batches behind it. */
  struct bytes taken;
  uint64_t received_bytes;
  uint64_t sent_bytes;
};

/*
 * What was taken since TypeScript heard last, into `room`, where it fits; gives the bytes. What does not fit comes with the next news. For each word of the
 * thread's: memory that is used again and again is neither mapped anew nor V8's to collect.
 */
size_t connection_tell(struct connection *connection, void *room, size_t length);
/* Everything since the last call; the caller frees the bytes. */
void connection_collect(struct connection *connection, struct news *news);

/* Who is at the other end, of a connection that is secured: a certificate (DER, for tls_free_der), and whether its chain is good. */
bool connection_peer(struct connection *connection, unsigned char **der, size_t *length);

#endif
