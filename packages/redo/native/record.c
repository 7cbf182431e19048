#include "record.h"

#include "../../append-lane/native/crc32c.h"
#include "bytes.h"

bool record_is_sound(const uint8_t *raw, uint32_t length) {
  uint32_t payload = crc32c_after(0, raw + RECORD_HEADER_BYTES, length - RECORD_HEADER_BYTES);
  return crc32c_after(payload, raw, RECORD_crc) == get32(raw + RECORD_crc);
}

/* Where a record that begins at `lsn` ends: rounded up to 8, past the headers of the WAL pages that it runs into. */
static uint64_t end_of(uint64_t lsn, uint32_t length) {
  uint64_t left = ((uint64_t)length + 7) & ~(uint64_t)7, room = WAL_PAGE_BYTES - lsn % WAL_PAGE_BYTES, end = lsn;
  while (left > room) {
    left -= room;
    end += room;
    uint32_t header = end % WAL_SEGMENT_BYTES == 0 ? WAL_LONG_HEADER_BYTES : WAL_SHORT_HEADER_BYTES;
    end += header;
    room = WAL_PAGE_BYTES - header;
  }
  return end + left;
}

struct reader {
  const uint8_t *at;
  const uint8_t *end;
  bool is_short;
};

static const uint8_t *take(struct reader *reader, size_t bytes) {
  static const uint8_t nothing[8];
  const uint8_t *at = reader->at;
  if ((size_t)(reader->end - at) < bytes) {
    reader->is_short = true;
    return nothing;
  }
  reader->at += bytes;
  return at;
}

static uint8_t take8(struct reader *reader) { return *take(reader, 1); }
static uint16_t take16(struct reader *reader) { return get16(take(reader, 2)); }
static uint32_t take32(struct reader *reader) { return get32(take(reader, 4)); }

static bool take_image_header(struct reader *reader, struct block *block) {
  block->image_length = take16(reader);
  block->hole_offset = take16(reader);
  block->image_info = take8(reader);
  int method = block->image_info & IMAGE_COMPRESSED, length = block->image_length;
  bool has_hole = (block->image_info & IMAGE_HAS_HOLE) != 0;
  /* The hole's length is stored only when it does not follow from the image's. */
  int hole = method == 0 ? PAGE_BYTES - length : has_hole ? take16(reader) : 0;
  bool fits = has_hole ? block->hole_offset > 0 && hole > 0 && length < PAGE_BYTES && block->hole_offset + hole <= PAGE_BYTES
                       : block->hole_offset == 0 && hole == 0;
  block->hole_length = (uint16_t)hole;
  return fits && (method == 0 || length < PAGE_BYTES) && (method & (method - 1)) == 0;
}

static bool take_block_header(struct reader *reader, struct block *block, const struct block *previous) {
  block->flags = take8(reader);
  block->fork = block->flags & FORK_MASK;
  block->data_length = take16(reader);
  block->image_length = 0;
  block->image = block->data = NULL;
  if (((block->flags & HAS_DATA) != 0) != (block->data_length != 0)) return false;
  if ((block->flags & HAS_IMAGE) != 0 && !take_image_header(reader, block)) return false;
  if ((block->flags & SAME_REL) != 0) {
    if (previous == NULL) return false;
    block->spc = previous->spc;
    block->db = previous->db;
    block->rel = previous->rel;
  } else {
    block->spc = take32(reader);
    block->db = take32(reader);
    block->rel = take32(reader);
  }
  block->number = take32(reader);
  return true;
}

bool record_decode(struct record *record, const uint8_t *raw, uint32_t length, uint64_t lsn) {
  if (length < RECORD_HEADER_BYTES || get32(raw + RECORD_total_length) != length) return false;
  record->raw = raw;
  record->length = length;
  record->lsn = lsn;
  record->end_lsn = end_of(lsn, length);
  record->xid = get32(raw + RECORD_xid);
  record->info = raw[RECORD_info];
  record->rmid = raw[RECORD_rmid];
  record->block_count = 0;
  record->main_length = 0;
  struct reader reader = {.at = raw + RECORD_HEADER_BYTES, .end = raw + length};
  struct block *previous = NULL;
  uint64_t payload = 0;
  /* Headers end where what is left is as long as the payload they announced, or with the main data's header. */
  while ((uint64_t)(reader.end - reader.at) > payload && !reader.is_short) {
    uint8_t id = take8(&reader);
    if (id <= BLOCK_ID_MAX) {
      /* Ids rise, so there are no more than there is room for. */
      if (previous != NULL && id <= previous->id) return false;
      struct block *block = &record->blocks[record->block_count++];
      block->id = id;
      if (!take_block_header(&reader, block, previous)) return false;
      payload += (uint64_t)block->data_length + block->image_length;
      previous = block;
    } else if (id == BLOCK_ID_DATA_SHORT) {
      record->main_length = take8(&reader);
      break;
    } else if (id == BLOCK_ID_DATA_LONG) {
      record->main_length = take32(&reader);
      break;
    } else if (id == BLOCK_ID_ORIGIN) {
      take16(&reader);
    } else if (id == BLOCK_ID_TOPLEVEL_XID) {
      take32(&reader);
    } else {
      return false;
    }
  }
  payload += record->main_length;
  if (reader.is_short || (uint64_t)(reader.end - reader.at) != payload) return false;
  const uint8_t *at = reader.at;
  for (unsigned index = 0; index < record->block_count; index++) {
    struct block *block = &record->blocks[index];
    block->image = at;
    block->data = at + block->image_length;
    at = block->data + block->data_length;
  }
  record->main = at;
  return true;
}
