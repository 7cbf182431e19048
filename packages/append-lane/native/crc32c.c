#include "crc32c.h"

#include <string.h>

/* Reflected. */
static const uint32_t POLYNOMIAL = 0x82f63b78;

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
    table[byte] = crc;
  }
}

static uint32_t by_table(uint32_t seed, const unsigned char *bytes, size_t length) {
  uint32_t crc = ~seed;
  for (size_t at = 0; at < length; at++) crc = (crc >> 8) ^ table[(crc ^ bytes[at]) & 0xff];
  return ~crc;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t seed, const unsigned char *bytes, size_t length) {
  uint64_t crc = ~seed;
  for (; length >= 8; length -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  uint32_t rest = (uint32_t)crc;
  for (; length > 0; length--, bytes++) rest = __builtin_ia32_crc32qi(rest, *bytes);
  return ~rest;
}

uint32_t crc32c_after(uint32_t seed, const unsigned char *bytes, size_t length) {
  return __builtin_cpu_supports("sse4.2") ? by_instruction(seed, bytes, length) : by_table(seed, bytes, length);
}

uint32_t crc32c(const unsigned char *bytes, size_t length) { return crc32c_after(0, bytes, length); }
