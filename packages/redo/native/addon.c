/* What TypeScript sees of redo in C: src/native/addon.ts has the types. Arguments are as those types say: a wrong one is a TypeError. */
#include <node_api.h>

#include "run.h"

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
  return made;
}

NAPI_MODULE_INIT() {
  napi_value one = NULL, run = NULL;
  _Static_assert(sizeof(struct page_key) == KEY_NUMBERS * 4, "keys are given as their numbers");
  napi_create_function(env, "apply", NAPI_AUTO_LENGTH, apply_one, NULL, &one);
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, apply_run, NULL, &run);
  set(env, exports, "apply", one);
  set(env, exports, "run", run);
  set(env, exports, "layouts", layouts(env));
  return exports;
}
