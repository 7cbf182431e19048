/* CRC-32C (Castagnoli), as packages/pg-format has it: of redo batches, and in packages/redo of records. */
#ifndef APPEND_LANE_CRC32C_H
#define APPEND_LANE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const unsigned char *bytes, size_t length);

/* That of bytes which come after others, whose own is `seed`. */
uint32_t crc32c_after(uint32_t seed, const unsigned char *bytes, size_t length);

#endif
