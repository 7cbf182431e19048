/* A WAL record (access/xlogrecord.h), taken apart with the checks of decodeRecord in packages/pg-format. Nothing is copied. */
#ifndef REDO_RECORD_H
#define REDO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

struct block {
  uint32_t spc;
  uint32_t db;
  uint32_t rel;
  uint32_t number;
  uint8_t id;
  uint8_t fork;
  uint8_t flags;
  /* Of the image, where `flags` has HAS_IMAGE: as stored, without its hole. */
  uint8_t image_info;
  uint16_t image_length;
  uint16_t hole_offset;
  uint16_t hole_length;
  uint16_t data_length;
  const uint8_t *image;
  const uint8_t *data;
};

struct record {
  const uint8_t *raw;
  uint32_t length;
  uint32_t xid;
  uint64_t lsn;
  /* EndRecPtr; not of XLOG_SWITCH, whose end is its segment's. */
  uint64_t end_lsn;
  uint8_t info;
  uint8_t rmid;
  uint8_t block_count;
  uint32_t main_length;
  const uint8_t *main;
  struct block blocks[BLOCK_ID_MAX + 1];
};

/* Does the record carry the CRC that belongs to it? `length` is at least RECORD_HEADER_BYTES. */
bool record_is_sound(const uint8_t *raw, uint32_t length);

/* False when the bytes are no record; whoever decodes it in TypeScript says why. */
bool record_decode(struct record *record, const uint8_t *raw, uint32_t length, uint64_t lsn);

#endif
