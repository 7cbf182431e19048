/* What TypeScript sees of the cutting: src/addon.ts has the types. Arguments are as those types say: a wrong one is a TypeError. */
#include <node_api.h>
#include <stdbool.h>

#include "cut.h"
#include "layout.h"

enum { ARGUMENTS = 5 };

/* Numbers that go in and come out, by their place in the array (src/addon.ts). */
#define NUMBER_ROWS(row)                                                                                                           \
  row(START, 0) row(LSN, 1) row(PREV, 2) row(TIMELINE, 3) row(AT, 4) row(FULL, 5) row(USED, 6) row(COUNT, 7) row(FIRST, 8) row(NOTED, 9)
enum {
#define ROW_NUMBER(name, place) NUMBER_##name = place,
  NUMBER_ROWS(ROW_NUMBER)
  NUMBERS
};

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

static void *array_of(napi_env env, napi_value value, napi_typedarray_type type, size_t *length) {
  napi_typedarray_type is;
  void *at = NULL;
  return napi_get_typedarray_info(env, value, &is, length, &at, NULL, NULL) == napi_ok && is == type ? at : NULL;
}

/* A whole number that doubles have exactly, and is at most `max`. */
static bool whole(double number, double max) { return number >= 0 && number <= max && number == (double)(uint64_t)number; }

/* (log, run's memory, numbers, places of noted records, system identifier): how many records were cut. The numbers say the rest. */
static napi_value cut_of(napi_env env, napi_callback_info info) {
  static const double EXACT_MAX = 9007199254740991.0;
  napi_value given[ARGUMENTS], made = NULL;
  size_t count = ARGUMENTS, wal_length = 0, capacity = 0, numbers_length = 0, noted_max = 0, systems = 0;
  void *wal = NULL, *out = NULL;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) != napi_ok || count != ARGUMENTS) return fail(env, "a wrong number of arguments");
  if (napi_get_buffer_info(env, given[0], &wal, &wal_length) != napi_ok) return fail(env, "log: a buffer");
  if (napi_get_buffer_info(env, given[1], &out, &capacity) != napi_ok) return fail(env, "run: a buffer");
  double *numbers = array_of(env, given[2], napi_float64_array, &numbers_length);
  uint32_t *noted = array_of(env, given[3], napi_uint32_array, &noted_max);
  const uint64_t *system = array_of(env, given[4], napi_biguint64_array, &systems);
  if (numbers == NULL || numbers_length < NUMBERS) return fail(env, "numbers");
  if (noted == NULL || system == NULL || systems < 1) return fail(env, "places, system identifier");
  if (!whole(numbers[NUMBER_START], (double)wal_length) || !whole(numbers[NUMBER_AT], (double)capacity)) return fail(env, "START, AT");
  if (!whole(numbers[NUMBER_LSN], EXACT_MAX) || !whole(numbers[NUMBER_PREV], EXACT_MAX)) return fail(env, "LSN, PREV");
  if (!whole(numbers[NUMBER_TIMELINE], UINT32_MAX) || !whole(numbers[NUMBER_FULL], EXACT_MAX)) return fail(env, "TIMELINE, FULL");
  /* Whoever is at no multiple of 8 is within a record. */
  if ((uint64_t)numbers[NUMBER_LSN] % 8 != 0 || (uint64_t)numbers[NUMBER_AT] % 8 != 0) return fail(env, "LSN, AT: multiples of 8");
  const size_t start = (size_t)numbers[NUMBER_START];
  struct cut cut = {
    .wal = (const uint8_t *)wal + start,
    .length = wal_length - start,
    .lsn = (uint64_t)numbers[NUMBER_LSN],
    .prev = (uint64_t)numbers[NUMBER_PREV],
    .timeline = (uint32_t)numbers[NUMBER_TIMELINE],
    .system_identifier = system[0],
    .out = out,
    .capacity = capacity,
    .at = (size_t)numbers[NUMBER_AT],
    .full = (size_t)numbers[NUMBER_FULL],
    .noted = noted,
    .noted_max = noted_max,
  };
  cut_records(&cut);
  numbers[NUMBER_USED] = (double)cut.used;
  numbers[NUMBER_PREV] = (double)cut.prev;
  numbers[NUMBER_AT] = (double)cut.at;
  numbers[NUMBER_COUNT] = (double)cut.count;
  numbers[NUMBER_FIRST] = (double)cut.first;
  numbers[NUMBER_NOTED] = (double)cut.noted_count;
  napi_create_uint32(env, (uint32_t)cut.count, &made);
  return made;
}

static void set(napi_env env, napi_value object, const char *name, double value) {
  napi_value made = NULL;
  napi_create_double(env, value, &made);
  if (made != NULL) napi_set_named_property(env, object, name, made);
}

static napi_value layouts(napi_env env) {
  napi_value made = NULL;
  napi_create_object(env, &made);
#define SET_PAGE(field, offset) set(env, made, "PAGE_" #field, offset);
  PAGE_ROWS(SET_PAGE)
#define SET_RECORD(field, offset) set(env, made, "RECORD_" #field, offset);
  RECORD_ROWS(SET_RECORD)
#define SET_CONSTANT(name, value) set(env, made, #name, value);
  CONSTANT_ROWS(SET_CONSTANT)
#define SET_NUMBER(name, place) set(env, made, "NUMBER_" #name, place);
  NUMBER_ROWS(SET_NUMBER)
  return made;
}

NAPI_MODULE_INIT() {
  napi_value cut = NULL;
  napi_create_function(env, "cut", NAPI_AUTO_LENGTH, cut_of, NULL, &cut);
  if (cut != NULL) napi_set_named_property(env, exports, "cut", cut);
  napi_set_named_property(env, exports, "layouts", layouts(env));
  return exports;
}
