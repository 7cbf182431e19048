/* What TypeScript sees of connections and lanes: src/addon.ts has the types. Arguments are as those types say: a wrong one is a TypeError. */
#include <node_api.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "connection.h"
#include "layout.h"

enum { ARGUMENTS_MAX = 11, PIECES_MAX = 4096, AUTHORITIES_MAX = 64 };

/* A connection as TypeScript holds it; `connection` is NULL once it was let go of. */
struct held {
  struct connection *connection;
  napi_threadsafe_function news;
  /* Node is on its way out, and takes no more calls. */
  atomic_bool is_deaf;
};

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

/* The call's arguments, all of which must be there. */
static bool arguments(napi_env env, napi_callback_info info, size_t due, napi_value *values) {
  size_t count = ARGUMENTS_MAX;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count == due) return true;
  fail(env, "a wrong number of arguments");
  return false;
}

static bool is_nothing(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && (type == napi_undefined || type == napi_null);
}

static struct held *held_of(napi_env env, napi_value value) {
  void *held = NULL;
  if (napi_get_value_external(env, value, &held) != napi_ok) fail(env, "no connection");
  return held;
}

static bool u64_of(napi_env env, napi_value value, uint64_t *to) {
  bool is_lossless = false;
  return napi_get_value_bigint_uint64(env, value, to, &is_lossless) == napi_ok && is_lossless;
}

static napi_value number(napi_env env, double value) {
  napi_value made = NULL;
  napi_create_double(env, value, &made);
  return made;
}

static napi_value boolean(napi_env env, bool value) {
  napi_value made = NULL;
  napi_get_boolean(env, value, &made);
  return made;
}

static char *text_of(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text == NULL) abort();
  napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

static void free_context(napi_env env, void *context, void *hint) {
  (void)env;
  (void)hint;
  tls_context_free(context);
}

/* (certificate, key, authorities, ciphers) */
static napi_value secure_context(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL;
  if (!arguments(env, info, 4, given)) return NULL;
  uint32_t count = 0;
  if (napi_get_array_length(env, given[2], &count) != napi_ok || count > AUTHORITIES_MAX) return fail(env, "authorities: a list of at most 64");
  char *authorities[AUTHORITIES_MAX] = {NULL}, *texts[] = {text_of(env, given[0]), text_of(env, given[1]), text_of(env, given[3])};
  bool is_good = texts[0] != NULL && texts[1] != NULL && texts[2] != NULL;
  for (uint32_t index = 0; index < count; index++) {
    napi_value one = NULL;
    if (napi_get_element(env, given[2], index, &one) == napi_ok) authorities[index] = text_of(env, one);
    is_good = is_good && authorities[index] != NULL;
  }
  char problem[128] = "a text is none";
  struct tls_context *context =
    is_good ? tls_context_new(texts[0], texts[1], (const char *const *)authorities, count, texts[2], problem, sizeof problem) : NULL;
  for (size_t index = 0; index < 3; index++) free(texts[index]);
  for (uint32_t index = 0; index < count; index++) free(authorities[index]);
  if (context == NULL) {
    napi_throw_error(env, NULL, problem);
    return NULL;
  }
  if (napi_create_external(env, context, free_context, NULL, &made) != napi_ok) tls_context_free(context);
  return made;
}

static void on_news_of(void *of) {
  struct held *held = of;
  if (atomic_load(&held->is_deaf)) return;
  if (napi_call_threadsafe_function(held->news, NULL, napi_tsfn_nonblocking) == napi_closing) atomic_store(&held->is_deaf, true);
}

static void let_go(struct held *held) {
  if (held->connection == NULL) return;
  connection_free(held->connection);
  held->connection = NULL;
  if (!atomic_load(&held->is_deaf)) napi_release_threadsafe_function(held->news, napi_tsfn_release);
}

static void free_held(napi_env env, void *held, void *hint) {
  (void)env;
  (void)hint;
  let_go(held);
  free(held);
}

/* (descriptor, context or undefined, what was read before, callback) */
static napi_value start(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], name = NULL, made = NULL;
  int32_t descriptor = -1;
  void *context = NULL, *first = NULL;
  size_t length = 0;
  if (!arguments(env, info, 4, given)) return NULL;
  if (napi_get_value_int32(env, given[0], &descriptor) != napi_ok || napi_get_buffer_info(env, given[2], &first, &length) != napi_ok)
    return fail(env, "descriptor, first");
  if (!is_nothing(env, given[1]) && napi_get_value_external(env, given[1], &context) != napi_ok) return fail(env, "context");
  struct held *held = calloc(1, sizeof *held);
  if (held == NULL) abort();
  napi_create_string_utf8(env, "append lane", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, given[3], NULL, name, 0, 1, NULL, NULL, NULL, NULL, &held->news) != napi_ok) {
    free(held);
    return fail(env, "callback");
  }
  /* Whoever has the other one may close it at any time. */
  int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own >= 0) held->connection = connection_start(own, context == NULL ? NULL : tls_accept(context), first, length, on_news_of, held);
  if (held->connection == NULL) {
    napi_release_threadsafe_function(held->news, napi_tsfn_release);
    free(held);
    napi_throw_error(env, NULL, "no thread can be had for a connection");
    return NULL;
  }
  if (napi_create_external(env, held, free_held, NULL, &made) != napi_ok) free_held(env, held, NULL);
  return made;
}

/* (connection, pieces): the bytes that wait */
static napi_value send_pieces(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  if (!arguments(env, info, 2, given)) return NULL;
  struct held *held = held_of(env, given[0]);
  uint32_t count = 0;
  if (held == NULL || napi_get_array_length(env, given[1], &count) != napi_ok || count > PIECES_MAX) return fail(env, "pieces: a list of at most 4096");
  struct piece *pieces = calloc(count + 1, sizeof *pieces);
  if (pieces == NULL) abort();
  bool are_buffers = true;
  for (uint32_t index = 0; are_buffers && index < count; index++) {
    napi_value one = NULL;
    void *at = NULL;
    are_buffers =
      napi_get_element(env, given[1], index, &one) == napi_ok && napi_get_buffer_info(env, one, &at, &pieces[index].length) == napi_ok;
    pieces[index].at = at;
  }
  size_t waiting = are_buffers && held->connection != NULL ? connection_send(held->connection, pieces, count) : 0;
  free(pieces);
  return are_buffers ? number(env, (double)waiting) : fail(env, "pieces: buffers");
}

/* (connection) */
static napi_value end(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  struct held *held = arguments(env, info, 1, given) ? held_of(env, given[0]) : NULL;
  if (held != NULL && held->connection != NULL) connection_end(held->connection);
  return NULL;
}

/* (connection): the thread ends; the last news says when. */
static napi_value close_connection(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  struct held *held = arguments(env, info, 1, given) ? held_of(env, given[0]) : NULL;
  if (held != NULL && held->connection != NULL) connection_close(held->connection);
  return NULL;
}

/* (connection): nothing of it is kept. */
static napi_value free_connection(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  struct held *held = arguments(env, info, 1, given) ? held_of(env, given[0]) : NULL;
  if (held != NULL) let_go(held);
  return NULL;
}

/* (connection, stream, descriptor, offset, filled, capacity, epoch, group, end's LSN, end's epoch, followed) */
static napi_value lend(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  if (!arguments(env, info, 11, given)) return NULL;
  struct held *held = held_of(env, given[0]);
  double stream = 0, offset = 0, filled = 0, capacity = 0;
  int32_t file = -1;
  struct lane lane = {.is_lent = true};
  bool is_good = held != NULL && napi_get_value_double(env, given[1], &stream) == napi_ok && napi_get_value_int32(env, given[2], &file) == napi_ok &&
                 napi_get_value_double(env, given[3], &offset) == napi_ok && napi_get_value_double(env, given[4], &filled) == napi_ok &&
                 napi_get_value_double(env, given[5], &capacity) == napi_ok && u64_of(env, given[6], &lane.epoch) &&
                 napi_get_value_uint32(env, given[7], &lane.group) == napi_ok && u64_of(env, given[8], &lane.end.lsn) &&
                 u64_of(env, given[9], &lane.end.epoch) && napi_get_value_bool(env, given[10], &lane.is_followed) == napi_ok;
  if (!is_good || stream <= 0 || offset < 0 || filled < offset || capacity < filled) return fail(env, "terms of a lane");
  lane.stream = (uint64_t)stream;
  lane.file = file;
  lane.offset = (uint64_t)offset;
  lane.filled = (uint64_t)filled;
  lane.capacity = (uint64_t)capacity;
  return boolean(env, held->connection != NULL && connection_lend(held->connection, &lane));
}

/* (connection, stream, to be): is it kept back? */
static napi_value hold(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  double stream = 0;
  bool is_to_be = false;
  struct held *held = arguments(env, info, 3, given) ? held_of(env, given[0]) : NULL;
  if (held == NULL || napi_get_value_double(env, given[1], &stream) != napi_ok || napi_get_value_bool(env, given[2], &is_to_be) != napi_ok)
    return fail(env, "stream, to be");
  return boolean(env, held->connection != NULL && connection_hold(held->connection, (uint64_t)stream, is_to_be));
}

/* (connection, stream): was it still lent? */
static napi_value reclaim(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX];
  double stream = 0;
  struct held *held = arguments(env, info, 2, given) ? held_of(env, given[0]) : NULL;
  if (held == NULL || napi_get_value_double(env, given[1], &stream) != napi_ok) return fail(env, "stream");
  return boolean(env, held->connection != NULL && connection_reclaim(held->connection, (uint64_t)stream));
}

static void set(napi_env env, napi_value object, const char *name, napi_value value) {
  if (value != NULL) napi_set_named_property(env, object, name, value);
}

static napi_value buffer_of(napi_env env, struct bytes *bytes) {
  napi_value made = NULL;
  if (bytes_length(bytes) > 0) napi_create_buffer_copy(env, bytes_length(bytes), bytes_first(bytes), NULL, &made);
  bytes_free(bytes);
  return made;
}

/* (connection, room for what was taken) */
static napi_value collect(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL, problem = NULL;
  void *room = NULL;
  size_t length = 0, told = 0;
  struct held *held = arguments(env, info, 2, given) ? held_of(env, given[0]) : NULL;
  if (held == NULL || napi_get_buffer_info(env, given[1], &room, &length) != napi_ok) return fail(env, "connection, room");
  struct news news = {0};
  if (held->connection != NULL) {
    told = connection_tell(held->connection, room, length);
    connection_collect(held->connection, &news);
  }
  napi_create_object(env, &made);
  set(env, made, "flags", number(env, news.flags));
  set(env, made, "error", number(env, news.error));
  napi_create_string_utf8(env, news.problem, NAPI_AUTO_LENGTH, &problem);
  set(env, made, "problem", problem);
  set(env, made, "passed", buffer_of(env, &news.passed));
  set(env, made, "taken", buffer_of(env, &news.taken));
  set(env, made, "toldBytes", number(env, (double)told));
  set(env, made, "receivedBytes", number(env, (double)news.received_bytes));
  set(env, made, "sentBytes", number(env, (double)news.sent_bytes));
  return made;
}

/* (connection): who is at the other end, of one that is secured */
static napi_value peer(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL, certificate = NULL;
  struct held *held = arguments(env, info, 1, given) ? held_of(env, given[0]) : NULL;
  if (held == NULL) return NULL;
  napi_create_object(env, &made);
  unsigned char *der = NULL;
  size_t length = 0;
  bool is_verified = held->connection != NULL && connection_peer(held->connection, &der, &length);
  if (length > 0) napi_create_buffer_copy(env, length, der, NULL, &certificate);
  if (der != NULL) tls_free_der(der);
  set(env, made, "certificate", certificate);
  set(env, made, "isVerified", boolean(env, is_verified));
  return made;
}

static napi_value layouts(napi_env env) {
  napi_value made = NULL;
  napi_create_object(env, &made);
#define LAYOUT_SET(field, offset, bytes) set(env, made, #field, number(env, offset));
  LAYOUT_ROWS(LAYOUT_SET)
#undef LAYOUT_SET
#define CONSTANT_SET(name, value) set(env, made, #name, number(env, value));
  CONSTANT_ROWS(CONSTANT_SET)
#undef CONSTANT_SET
  return made;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
    {"secureContext", secure_context}, {"start", start},     {"send", send_pieces}, {"end", end},         {"close", close_connection},
    {"free", free_connection},         {"lend", lend},       {"reclaim", reclaim},  {"collect", collect},
    {"peer", peer}, {"hold", hold},
  };
  for (size_t index = 0; index < sizeof functions / sizeof functions[0]; index++) {
    napi_value function = NULL;
    napi_create_function(env, functions[index].name, NAPI_AUTO_LENGTH, functions[index].function, NULL, &function);
    set(env, exports, functions[index].name, function);
  }
  set(env, exports, "layouts", layouts(env));
  return exports;
}
