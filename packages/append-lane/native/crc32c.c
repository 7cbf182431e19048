#include "crc32c.h"

#include <string.h>

/* Reflected. */
static const uint32_t POLYNOMIAL = 0x82f63b78;

/*
 * The instruction gives its result three cycles later, and a processor begins one in each: so three stretches of so many bytes are taken side by
 * side.
 */
enum { STRETCH = 336 };

static uint32_t table[256];
/* By each byte of a register: what STRETCH bytes of zero make of it. */
static uint32_t past_stretch[4][256];

static uint32_t past_zeros(uint32_t crc, size_t count) {
  for (; count > 0; count--) crc = (crc >> 8) ^ table[crc & 0xff];
  return crc;
}

__attribute__((constructor)) static void fill_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
    table[byte] = crc;
  }
  for (int place = 0; place < 4; place++) {
    uint32_t *of = past_stretch[place];
    for (int bit = 0; bit < 8; bit++) {
      uint32_t one = past_zeros((uint32_t)1 << (8 * place + bit), STRETCH);
      for (uint32_t lower = 0; lower < (uint32_t)1 << bit; lower++) of[(1u << bit) | lower] = of[lower] ^ one;
    }
  }
}

static uint32_t by_table(uint32_t seed, const unsigned char *bytes, size_t length) {
  uint32_t crc = ~seed;
  for (size_t at = 0; at < length; at++) crc = (crc >> 8) ^ table[(crc ^ bytes[at]) & 0xff];
  return ~crc;
}

static uint64_t move_past_stretch(uint64_t crc) {
  return past_stretch[0][crc & 0xff] ^ past_stretch[1][(crc >> 8) & 0xff] ^ past_stretch[2][(crc >> 16) & 0xff] ^ past_stretch[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint64_t of_three_stretches(uint64_t crc, const unsigned char *bytes) {
  uint64_t second = 0, third = 0;
  for (const unsigned char *end = bytes + STRETCH; bytes < end; bytes += 8) {
    uint64_t words[3];
    memcpy(&words[0], bytes, 8);
    memcpy(&words[1], bytes + STRETCH, 8);
    memcpy(&words[2], bytes + 2 * STRETCH, 8);
    crc = __builtin_ia32_crc32di(crc, words[0]);
    second = __builtin_ia32_crc32di(second, words[1]);
    third = __builtin_ia32_crc32di(third, words[2]);
  }
  return move_past_stretch(move_past_stretch(crc) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t seed, const unsigned char *bytes, size_t length) {
  uint64_t crc = ~seed;
  for (; length >= 3 * STRETCH; length -= 3 * STRETCH, bytes += 3 * STRETCH) crc = of_three_stretches(crc, bytes);
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
