/* What TypeScript sees of redo in C: src/native/addon.ts has the types. Arguments are as those types say: a wrong one is a TypeError. */
#include <node_api.h>

#include "../../append-lane/native/crc32c.h"
#include "run.h"
#include "walk.h"

enum { ARGUMENTS_MAX = 12, KEY_NUMBERS = 5, PAGES_KNOWN = 1024 };

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

/* The call's arguments, all of which must be there. */
static bool arguments(napi_env env, napi_callback_info info, size_t due, napi_value *values) {
  size_t count = ARGUMENTS_MAX;
  return napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count == due;
}

static uint8_t *page_of(napi_env env, napi_value value) {
  void *at = NULL;
  size_t length = 0;
  return napi_get_buffer_info(env, value, &at, &length) == napi_ok && length == PAGE_BYTES ? at : NULL;
}

/* A typed array of at least `due` elements. */
static void *array_of(napi_env env, napi_value value, napi_typedarray_type type, size_t due) {
  napi_typedarray_type is;
  void *at = NULL;
  size_t length = 0;
  return napi_get_typedarray_info(env, value, &is, &length, &at, NULL, NULL) == napi_ok && is == type && length >= due ? at : NULL;
}

/* (record, LSN, page, key's five numbers): an outcome. Throws what a refusal says. */
static napi_value apply_one(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL;
  void *raw = NULL;
  size_t length = 0;
  uint64_t lsn = 0;
  bool is_lossless = false;
  struct page_key key;
  if (!arguments(env, info, 8, given)) return fail(env, "a wrong number of arguments");
  uint8_t *page = page_of(env, given[2]);
  if (page == NULL) return fail(env, "page: a buffer of 8192 bytes");
  if (napi_get_buffer_info(env, given[0], &raw, &length) != napi_ok || length > UINT32_MAX) return fail(env, "record: a buffer");
  if (napi_get_value_bigint_uint64(env, given[1], &lsn, &is_lossless) != napi_ok || !is_lossless) return fail(env, "LSN: a u64");
  uint32_t *parts[KEY_NUMBERS] = {&key.spc, &key.db, &key.rel, &key.fork, &key.number};
  for (unsigned index = 0; index < KEY_NUMBERS; index++)
    if (napi_get_value_uint32(env, given[3 + index], parts[index]) != napi_ok) return fail(env, "key: five numbers");
  struct record record;
  struct refusal refusal;
  enum outcome outcome = REFUSED;
  if (record_decode(&record, raw, (uint32_t)length, lsn)) outcome = apply(page, &record, &key, &refusal);
  else refuse(&refusal, "the record's bytes are no record");
  if (outcome == REFUSED) {
    napi_throw_error(env, NULL, refusal.text);
    return NULL;
  }
  napi_get_boolean(env, outcome == APPLIED, &made);
  return made;
}

/* Pages as they are asked for: most runs change few of those that they could. */
struct asked_pages {
  napi_env env;
  napi_value list;
  uint8_t *known[PAGES_KNOWN];
};

static uint8_t *bytes_of(void *context, uint32_t page) {
  struct asked_pages *asked = context;
  napi_value value = NULL;
  if (page < PAGES_KNOWN && asked->known[page] != NULL) return asked->known[page];
  if (napi_get_element(asked->env, asked->list, page, &value) != napi_ok) return NULL;
  uint8_t *bytes = page_of(asked->env, value);
  if (page < PAGES_KNOWN) asked->known[page] = bytes;
  return bytes;
}

/* (positions, lengths, LSNs, pages of steps; keys, from, applied, bytes of pages; log, its position, first step, end): the first step that was not applied */
static napi_value apply_run(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL;
  uint32_t first = 0, end = 0, count = 0;
  void *log = NULL;
  size_t length = 0;
  double position = 0;
  struct asked_pages asked = {.env = env};
  if (!arguments(env, info, 12, given)) return fail(env, "a wrong number of arguments");
  if (napi_get_value_uint32(env, given[10], &first) != napi_ok || napi_get_value_uint32(env, given[11], &end) != napi_ok || first > end)
    return fail(env, "first step, end");
  struct steps steps = {
    .positions = array_of(env, given[0], napi_float64_array, end),
    .lengths = array_of(env, given[1], napi_uint32_array, end),
    .lsns = array_of(env, given[2], napi_biguint64_array, end),
    .pages = array_of(env, given[3], napi_uint32_array, end),
  };
  if (steps.positions == NULL || steps.lengths == NULL || steps.lsns == NULL || steps.pages == NULL) return fail(env, "steps");
  asked.list = given[7];
  if (napi_get_array_length(env, asked.list, &count) != napi_ok) return fail(env, "bytes of pages: a list");
  struct pages pages = {
    .count = count,
    .keys = array_of(env, given[4], napi_uint32_array, (size_t)count * KEY_NUMBERS),
    .from = array_of(env, given[5], napi_biguint64_array, count),
    .applied = array_of(env, given[6], napi_uint32_array, count),
    .bytes_of = bytes_of,
    .context = &asked,
  };
  if (count > 0 && (pages.keys == NULL || pages.from == NULL || pages.applied == NULL)) return fail(env, "pages");
  if (napi_get_buffer_info(env, given[8], &log, &length) != napi_ok || napi_get_value_double(env, given[9], &position) != napi_ok)
    return fail(env, "log, its position");
  napi_create_uint32(env, run_apply(&steps, &pages, log, length, position, first, end), &made);
  return made;
}

/* What a walk found, in one array: three counts, pages, references, forks. */
enum { WALK_COUNTS = 3, WALK_PAGES_AT = WALK_COUNTS, WALK_PAGE_NUMBERS = KEY_NUMBERS + 1 };
enum { WALK_REFS_AT = WALK_PAGES_AT + WALK_PAGES_MAX * WALK_PAGE_NUMBERS, WALK_FORKS_AT = WALK_REFS_AT + WALK_REFS_MAX };
enum { WALK_NUMBERS = WALK_FORKS_AT + WALK_FORKS_MAX * KEY_NUMBERS };

/* (batch, first byte, end, its position, limit, known; LSNs, positions, lengths of places, first place, places; what is found): how many records were taken */
static napi_value walk(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL;
  void *batch = NULL, *known = NULL;
  size_t length = 0;
  uint32_t at = 0, end = 0, from = 0, room = 0;
  double limit = 0;
  struct walk_of of = {0};
  if (!arguments(env, info, 12, given)) return fail(env, "a wrong number of arguments");
  if (napi_get_buffer_info(env, given[0], &batch, &length) != napi_ok || napi_get_value_uint32(env, given[1], &at) != napi_ok ||
      napi_get_value_uint32(env, given[2], &end) != napi_ok || at > end || end > length)
    return fail(env, "batch, first byte, end");
  if (napi_get_value_double(env, given[3], &of.position) != napi_ok || napi_get_value_double(env, given[4], &limit) != napi_ok || !(limit >= 0 && limit < 0x1p63))
    return fail(env, "position, limit");
  if (napi_get_buffer_info(env, given[5], &known, &of.managers) != napi_ok) return fail(env, "known: bytes");
  if (napi_get_value_uint32(env, given[9], &from) != napi_ok || napi_get_value_uint32(env, given[10], &room) != napi_ok) return fail(env, "places");
  size_t places_end = (size_t)from + room;
  uint64_t *lsns = array_of(env, given[6], napi_biguint64_array, places_end);
  double *positions = array_of(env, given[7], napi_float64_array, places_end);
  uint32_t *lengths = array_of(env, given[8], napi_uint32_array, places_end), *found = array_of(env, given[11], napi_uint32_array, WALK_NUMBERS);
  if (lsns == NULL || positions == NULL || lengths == NULL || found == NULL) return fail(env, "arrays");
  of.batch = batch;
  of.at = at;
  of.end = end;
  of.limit = (uint64_t)limit;
  of.known = known;
  of.managers /= 16;
  struct walk_places places = {.lsns = lsns + from, .positions = positions + from, .lengths = lengths + from, .room = room};
  _Static_assert(sizeof(struct walk_page) == WALK_PAGE_NUMBERS * 4, "pages are given as their numbers");
  struct walk result = {
    .pages = (struct walk_page *)(found + WALK_PAGES_AT), .refs = found + WALK_REFS_AT, .forks = (struct page_key *)(found + WALK_FORKS_AT)};
  napi_create_uint32(env, walk_records(&of, &places, &result), &made);
  found[0] = result.page_count;
  found[1] = result.fork_count;
  found[2] = result.xid;
  return made;
}

/* (bytes, start, end, seed): crc32cRange in packages/pg-format */
static napi_value crc32c_range(napi_env env, napi_callback_info info) {
  napi_value given[ARGUMENTS_MAX], made = NULL;
  void *bytes = NULL;
  size_t length = 0;
  uint32_t start = 0, end = 0, seed = 0;
  if (!arguments(env, info, 4, given)) return fail(env, "a wrong number of arguments");
  if (napi_get_buffer_info(env, given[0], &bytes, &length) != napi_ok || napi_get_value_uint32(env, given[1], &start) != napi_ok ||
      napi_get_value_uint32(env, given[2], &end) != napi_ok || start > end || end > length)
    return fail(env, "bytes, start, end");
  if (napi_get_value_uint32(env, given[3], &seed) != napi_ok) return fail(env, "seed: a u32");
  napi_create_uint32(env, crc32c_after(seed, (const uint8_t *)bytes + start, end - start), &made);
  return made;
}

static void set(napi_env env, napi_value object, const char *name, napi_value value) {
  if (value != NULL) napi_set_named_property(env, object, name, value);
}

static napi_value number(napi_env env, double value) {
  napi_value made = NULL;
  napi_create_double(env, value, &made);
  return made;
}

static napi_value layouts(napi_env env) {
  napi_value made = NULL;
  napi_create_object(env, &made);
#define SET_RECORD(field, offset) set(env, made, "RECORD_" #field, number(env, offset));
  RECORD_ROWS(SET_RECORD)
#define SET_PAGE(field, offset) set(env, made, "PAGE_" #field, number(env, offset));
  PAGE_ROWS(SET_PAGE)
#define SET_TUPLE(field, offset) set(env, made, "TUPLE_" #field, number(env, offset));
  TUPLE_ROWS(SET_TUPLE)
#define SET_CONSTANT(name, value) set(env, made, #name, number(env, value));
  CONSTANT_ROWS(SET_CONSTANT)
  set(env, made, "WALK_PAGES_AT", number(env, WALK_PAGES_AT));
  set(env, made, "WALK_REFS_AT", number(env, WALK_REFS_AT));
  set(env, made, "WALK_FORKS_AT", number(env, WALK_FORKS_AT));
  set(env, made, "WALK_NUMBERS", number(env, WALK_NUMBERS));
  return made;
}

NAPI_MODULE_INIT() {
  napi_value one = NULL, run = NULL, walking = NULL, crc = NULL;
  _Static_assert(sizeof(struct page_key) == KEY_NUMBERS * 4, "keys are given as their numbers");
  napi_create_function(env, "apply", NAPI_AUTO_LENGTH, apply_one, NULL, &one);
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, apply_run, NULL, &run);
  set(env, exports, "apply", one);
  set(env, exports, "run", run);
  napi_create_function(env, "walk", NAPI_AUTO_LENGTH, walk, NULL, &walking);
  set(env, exports, "walk", walking);
  napi_create_function(env, "crc32c", NAPI_AUTO_LENGTH, crc32c_range, NULL, &crc);
  set(env, exports, "crc32c", crc);
  set(env, exports, "layouts", layouts(env));
  return exports;
}
