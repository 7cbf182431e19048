/*
 * Layouts that TypeScript's tables have too: of frames, of the messages of an Append stream (packages/frames/src/layouts.ts) and of redo
 * batches (packages/volume/src/redo-batch-layout.ts). The addon gives them out by name (LAYOUT_ROWS), and a test holds them against
 * those tables. All little-endian, as is the machine.
 */
#ifndef APPEND_LANE_LAYOUT_H
#define APPEND_LANE_LAYOUT_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "layouts are read as they stand");

/* name, offset, bytes */
#define LAYOUT_ROWS(row)                                                                                                                \
  row(frame_length, 0, 4) row(frame_stream, 4, 6) row(frame_type, 10, 1) row(frame_flags, 11, 1) row(frame_size, 12, 0)                  \
  row(hello_size, 28, 0)                                                                                                                \
  row(append_vdl, 0, 8) row(append_pgmrpl, 8, 8) row(append_size, 16, 0)                                                                \
  row(acknowledgement_scl, 0, 8) row(acknowledgement_epoch, 8, 8) row(acknowledgement_result, 16, 1)                                    \
  row(acknowledgement_followed, 17, 1) row(acknowledgement_size, 18, 0)                                                                 \
  row(batch_magic, 0, 4) row(batch_total, 4, 4) row(batch_epoch, 8, 8) row(batch_start, 16, 8) row(batch_end, 24, 8)                    \
  row(batch_backlink, 32, 8) row(batch_previous_epoch, 40, 8) row(batch_group, 48, 4) row(batch_records, 52, 4)                         \
  row(batch_payload_crc, 56, 4) row(batch_header_crc, 60, 4) row(batch_size, 64, 0)                                                     \
  row(record_lsn, 0, 8) row(record_length, 8, 4)                                                                                        \
  row(taken_stream, 0, 8) row(taken_vdl, 8, 8) row(taken_pgmrpl, 16, 8) row(taken_bytes, 24, 4) row(taken_frame_bytes, 28, 4)           \
  row(taken_sync_us, 32, 4) row(taken_wait_us, 36, 4) row(taken_errno, 40, 4) row(taken_ahead_bytes, 44, 4) row(taken_frames, 48, 4)      \
  row(taken_size, 52, 0)

enum {
#define LAYOUT_ENUM(name, offset, bytes) AT_##name = (offset),
  LAYOUT_ROWS(LAYOUT_ENUM)
#undef LAYOUT_ENUM
};

/* packages/frames/src/frame-types.ts, packages/rpc (APPEND_RESULTS), redo-batch-layout.ts and src/taken.ts here; the same test holds them. */
#define CONSTANT_ROWS(row)                                                                                                              \
  row(FRAME_DATA, 2) row(FRAME_MORE, 1) row(FRAME_BYTES_MAX, 128 * 1024) row(RESULT_OK, 0) row(REDO_BATCH_MAGIC, 0x31424452)                                \
  row(RECORD_LSN_BYTES, 8) row(RECORD_BYTES_MIN, 24) row(MESSAGE_BYTES_MAX, 320 * 1024)

enum {
#define CONSTANT_ENUM(name, value) name = (value),
  CONSTANT_ROWS(CONSTANT_ENUM)
#undef CONSTANT_ENUM
};

static inline uint64_t get_u64(const unsigned char *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}

static inline uint32_t get_u32(const unsigned char *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}

static inline uint64_t get_u48(const unsigned char *at) {
  uint64_t value = 0;
  memcpy(&value, at, 6);
  return value;
}

static inline void set_u64(unsigned char *at, uint64_t value) { memcpy(at, &value, 8); }
static inline void set_u48(unsigned char *at, uint64_t value) { memcpy(at, &value, 6); }
static inline void set_u32(unsigned char *at, uint32_t value) { memcpy(at, &value, 4); }

#endif
