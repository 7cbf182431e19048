/* Little-endian numbers in bytes; whoever calls has checked that they are there. */
#ifndef REDO_BYTES_H
#define REDO_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "pages and records are read as they stand");

static inline uint16_t get16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, 2);
  return value;
}

static inline uint32_t get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}

static inline uint64_t get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}

static inline void put16(uint8_t *at, uint32_t value) {
  uint16_t low = (uint16_t)value;
  memcpy(at, &low, 2);
}

static inline void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

#endif
