/* A connection's network and its thread. */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "layout.h"
#include "state.h"

void wake_thread(struct connection *c) {
  uint64_t one = 1;
  /* Full or interrupted: it is awake. */
  if (write(c->alarm, &one, sizeof one) < 0) return;
}

void tell(struct connection *c) {
  c->untold_since = 0;
  if (!atomic_exchange(&c->is_told, true)) c->tell(c->of);
}

static void add_flags(struct connection *c, uint32_t flags, int error, const char *problem) {
  pthread_mutex_lock(&c->news_lock);
  c->news.flags |= flags;
  if (error != 0) c->news.error = error;
  if (problem != NULL) snprintf(c->news.problem, sizeof c->news.problem, "%s", problem);
  pthread_mutex_unlock(&c->news_lock);
}

/* The network -------------------------------------------------------------------------------------------------------- */

/* With the lock of the network. What does not go now waits for the thread. */
void send_waiting(struct connection *c) {
  while (bytes_length(&c->out) > 0 && !c->is_broken) {
    ssize_t sent = send(c->socket, bytes_first(&c->out), bytes_length(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) c->is_broken = true;
      break;
    }
    c->sent_bytes += (uint64_t)sent;
    bytes_drop(&c->out, (size_t)sent);
  }
  bytes_rest(&c->out, KEPT_BYTES_MAX);
  if (c->is_ending && !c->has_ended && bytes_length(&c->out) == 0) {
    c->has_ended = true;
    shutdown(c->socket, SHUT_WR);
  }
}

void add_outgoing(struct connection *c, const void *bytes, size_t length) {
  if (c->is_ending) return;
  if (c->tls == NULL) bytes_add(&c->out, bytes, length);
  else if (!tls_send(c->tls, bytes, length)) c->is_broken = true;
}

/*
 * With the lock of the network, in plain text, while nothing waits: sends pieces from where they are, as far as the network takes them. Gives
 * the bytes that went. A page is not copied but by the kernel then.
 */
static size_t send_pieces(struct connection *c, const struct piece *pieces, size_t count) {
  struct iovec parts[PIECES_AT_ONCE];
  size_t sent_bytes = 0;
  for (size_t from = 0; from < count;) {
    struct msghdr message = {.msg_iov = parts};
    size_t wanted = 0;
    for (; from < count && message.msg_iovlen < PIECES_AT_ONCE; from++) {
      parts[message.msg_iovlen++] = (struct iovec){.iov_base = (void *)pieces[from].at, .iov_len = pieces[from].length};
      wanted += pieces[from].length;
    }
    ssize_t sent = sendmsg(c->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* What kept it from going shows when the rest is sent. */
    if (sent < 0) break;
    sent_bytes += (size_t)sent;
    if ((size_t)sent < wanted) break;
  }
  c->sent_bytes += sent_bytes;
  return sent_bytes;
}

/* The same in TLS: pieces are put together to whole records, and sent as they are encrypted, while they are in the processor's caches. */
static void send_records(struct connection *c, const struct piece *pieces, size_t count) {
  unsigned char record[TLS_RECORD_BYTES];
  size_t length = 0;
  for (size_t index = 0; index < count; index++) {
    const unsigned char *at = pieces[index].at;
    for (size_t left = pieces[index].length; left > 0;) {
      size_t part = least(left, sizeof record - length);
      memcpy(record + length, at, part);
      length += part;
      at += part;
      left -= part;
      if (length < sizeof record) continue;
      add_outgoing(c, record, length);
      length = 0;
      if (bytes_length(&c->out) >= SEND_BYTES) send_waiting(c);
    }
  }
  add_outgoing(c, record, length);
}

static void send_plain(struct connection *c, const struct piece *pieces, size_t count) {
  bool goes_as_it_is = bytes_length(&c->out) == 0 && !c->is_ending && !c->is_broken;
  size_t gone = goes_as_it_is ? send_pieces(c, pieces, count) : 0;
  for (size_t index = 0; index < count; index++) {
    size_t skipped = least(gone, pieces[index].length);
    gone -= skipped;
    if (skipped < pieces[index].length) add_outgoing(c, (const unsigned char *)pieces[index].at + skipped, pieces[index].length - skipped);
  }
}

size_t connection_send(struct connection *c, const struct piece *pieces, size_t count) {
  pthread_mutex_lock(&c->network_lock);
  if (c->tls == NULL) send_plain(c, pieces, count);
  else send_records(c, pieces, count);
  send_waiting(c);
  size_t waiting = bytes_length(&c->out);
  c->is_full = waiting > 0;
  bool is_due = waiting > 0 || c->is_broken;
  pthread_mutex_unlock(&c->network_lock);
  if (is_due) wake_thread(c);
  return waiting;
}

void connection_end(struct connection *c) {
  pthread_mutex_lock(&c->network_lock);
  if (!c->is_ending && c->tls != NULL) tls_end(c->tls);
  c->is_ending = true;
  send_waiting(c);
  pthread_mutex_unlock(&c->network_lock);
  wake_thread(c);
}

/* Receiving ------------------------------------------------------------------------------------------------------------ */

/* Of a connection in TLS. Gives whether the connection goes on. */
static bool decrypt(struct connection *c, const void *bytes, size_t length) {
  char problem[sizeof c->news.problem] = "";
  pthread_mutex_lock(&c->network_lock);
  enum tls_state state = tls_receive(c->tls, bytes, length, &c->in, problem, sizeof problem);
  send_waiting(c);
  pthread_mutex_unlock(&c->network_lock);
  if (state == TLS_SECURED && !c->is_secured) {
    c->is_secured = true;
    add_flags(c, NEWS_SECURED, 0, NULL);
    tell(c);
  }
  if (state == TLS_FAILED) add_flags(c, NEWS_FAILED, 0, problem);
  if (state == TLS_ENDED) add_flags(c, NEWS_ENDED, 0, NULL);
  return state == TLS_SHAKING || state == TLS_SECURED;
}

static void count_received(struct connection *c, size_t length) {
  pthread_mutex_lock(&c->news_lock);
  c->news.received_bytes += length;
  pthread_mutex_unlock(&c->news_lock);
}

/* Receives what is there, up to READ_BYTES, into `in`. Gives whether the connection goes on, and how much that was. */
static bool receive_once(struct connection *c, size_t *received) {
  unsigned char encrypted[READ_BYTES];
  unsigned char *at = c->tls == NULL ? bytes_reserve(&c->in, READ_BYTES) : encrypted;
  ssize_t got = recv(c->socket, at, READ_BYTES, 0);
  *received = got > 0 ? (size_t)got : 0;
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return true;
    add_flags(c, NEWS_FAILED, errno, NULL);
    return false;
  }
  if (got == 0) {
    add_flags(c, NEWS_ENDED, 0, NULL);
    return false;
  }
  count_received(c, *received);
  if (c->tls != NULL) return decrypt(c, encrypted, *received);
  c->in.to += *received;
  return true;
}

static bool receive(struct connection *c) {
  bool goes_on = true;
  size_t received = READ_BYTES;
  for (size_t all = 0; goes_on && received == READ_BYTES && all < RECEIVE_BYTES_MAX; all += received) goes_on = receive_once(c, &received);
  look_through(c);
  return goes_on;
}

/* What was read before the thread began. Gives whether the connection goes on. */
static bool take_first(struct connection *c) {
  if (c->tls == NULL || bytes_length(&c->in) == 0) {
    count_received(c, bytes_length(&c->in));
    return true;
  }
  struct bytes first = c->in;
  c->in = (struct bytes){0};
  count_received(c, bytes_length(&first));
  bool goes_on = decrypt(c, bytes_first(&first), bytes_length(&first));
  bytes_free(&first);
  return goes_on;
}

/* The thread ------------------------------------------------------------------------------------------------------------ */

static bool may_receive(struct connection *c) {
  pthread_mutex_lock(&c->lanes_lock);
  bool is_held = c->is_held;
  pthread_mutex_unlock(&c->lanes_lock);
  pthread_mutex_lock(&c->news_lock);
  bool may = bytes_length(&c->news.passed) < UNREAD_BYTES_MAX && bytes_length(&c->news.taken) < UNREAD_BYTES_MAX;
  pthread_mutex_unlock(&c->news_lock);
  return may && !is_held;
}

/* Milliseconds until TypeScript is to be told; -1: it has heard all. */
static int until_due(struct connection *c) {
  if (c->untold_since == 0) return -1;
  pthread_mutex_lock(&c->news_lock);
  bool is_much = bytes_length(&c->news.taken) >= TELL_BYTES;
  pthread_mutex_unlock(&c->news_lock);
  int64_t left = c->untold_since + TELL_AFTER_US - now_us();
  return is_much || left <= 0 ? 0 : (int)((left + 999) / 1000);
}

static void *run(void *argument) {
  struct connection *c = argument;
  bool has_input = take_first(c);
  look_through(c);
  if (!has_input) tell(c);
  while (!atomic_load(&c->is_closing)) {
    int due = until_due(c);
    if (due == 0) {
      tell(c);
      due = -1;
    }
    pthread_mutex_lock(&c->network_lock);
    bool is_waiting = bytes_length(&c->out) > 0, is_broken = c->is_broken;
    /* Whoever sent the rest: an acknowledgement takes along what waits. */
    bool is_free = c->is_full && !is_waiting;
    if (is_free) c->is_full = false;
    pthread_mutex_unlock(&c->network_lock);
    if (is_free) {
      add_flags(c, NEWS_WRITABLE, 0, NULL);
      tell(c);
    }
    if (is_broken) {
      add_flags(c, NEWS_FAILED, EPIPE, NULL);
      tell(c);
    }
    struct pollfd ready[] = {{.fd = c->alarm, .events = POLLIN}, {.fd = c->socket, .events = 0}};
    if (has_input && !is_broken && may_receive(c)) ready[1].events |= POLLIN;
    if (is_waiting && !is_broken) ready[1].events |= POLLOUT;
    /* An event that nobody asks for would come again and again. */
    if (ready[1].events == 0) ready[1].fd = -1;
    if (poll(ready, 2, due) < 0) continue;
    if (ready[0].revents != 0) {
      uint64_t count;
      if (read(c->alarm, &count, sizeof count) < 0) continue;
      /* What was kept back may be free. */
      if (bytes_length(&c->in) > 0) look_through(c);
    }
    if ((ready[1].revents & POLLOUT) != 0) {
      pthread_mutex_lock(&c->network_lock);
      send_waiting(c);
      pthread_mutex_unlock(&c->network_lock);
    }
    if ((ready[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && has_input) {
      has_input = receive(c);
      if (!has_input) tell(c);
    }
  }
  add_flags(c, NEWS_STOPPED, 0, NULL);
  /* Whatever was told before and not collected: this is the last word. */
  c->tell(c->of);
  return NULL;
}

struct connection *connection_start(int socket, struct tls *tls, const void *first, size_t length, on_news news, void *of) {
  struct connection *c = calloc(1, sizeof *c);
  if (c == NULL) abort();
  c->socket = socket;
  c->tls = tls;
  if (tls != NULL) tls_goes_to(tls, &c->out);
  c->tell = news;
  c->of = of;
  c->hello_left = AT_hello_size;
  c->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  bytes_add(&c->in, first, length);
  pthread_mutex_init(&c->lanes_lock, NULL);
  pthread_mutex_init(&c->network_lock, NULL);
  pthread_mutex_init(&c->news_lock, NULL);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  int flags = fcntl(socket, F_GETFL);
  bool has_started = c->alarm >= 0 && flags >= 0 && fcntl(socket, F_SETFL, flags | O_NONBLOCK) == 0 &&
                     pthread_create(&c->thread, &attributes, run, c) == 0;
  pthread_attr_destroy(&attributes);
  if (has_started) return c;
  if (c->alarm >= 0) close(c->alarm);
  close(socket);
  tls_free(tls);
  bytes_free(&c->in);
  free(c);
  return NULL;
}

void connection_close(struct connection *c) {
  pthread_mutex_lock(&c->lanes_lock);
  atomic_store(&c->is_closing, true);
  for (size_t index = 0; index < c->lane_count; index++) end_lane(&c->lanes[index]);
  pthread_mutex_unlock(&c->lanes_lock);
  wake_thread(c);
}

void connection_free(struct connection *c) {
  connection_close(c);
  pthread_join(c->thread, NULL);
  close(c->socket);
  close(c->alarm);
  tls_free(c->tls);
  bytes_free(&c->in);
  bytes_free(&c->together);
  bytes_free(&c->out);
  bytes_free(&c->news.passed);
  bytes_free(&c->news.taken);
  pthread_mutex_destroy(&c->lanes_lock);
  pthread_mutex_destroy(&c->network_lock);
  pthread_mutex_destroy(&c->news_lock);
  free(c);
}
