/* Numbers at random, the same of a seed, for programs that try damage (xorshift64). One source file of a program has it. */
#ifndef REDO_TEST_ANY_H
#define REDO_TEST_ANY_H

#include <stdint.h>

/* The program sets it to something of its seed that is not 0. */
static uint64_t state;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return below == 0 ? 0 : (uint32_t)(state >> 16) % below;
}

#endif
