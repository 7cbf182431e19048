#include "lane.h"

#include "crc32c.h"
#include "layout.h"

/* LSNs and points are numbers in TypeScript, exact up to here (2^53 - 1). */
static const uint64_t NUMBER_MAX = 0x1fffffffffffff;

/* The checks of checkRedoBatch (packages/volume/src/redo-batch.ts), and no others: whatever fails one is TypeScript's to name. */
size_t batch_length(const unsigned char *at, size_t length) {
  if (length < AT_batch_size || get_u32(at + AT_batch_magic) != REDO_BATCH_MAGIC) return 0;
  size_t total = get_u32(at + AT_batch_total);
  if (total > length || total % 8 != 0) return 0;
  if (crc32c(at, AT_batch_header_crc) != get_u32(at + AT_batch_header_crc)) return 0;
  uint64_t records = get_u32(at + AT_batch_records);
  uint64_t start = get_u64(at + AT_batch_start), end = get_u64(at + AT_batch_end);
  if (records == 0 || total < AT_batch_size + records * (RECORD_LSN_BYTES + RECORD_BYTES_MIN)) return 0;
  if (start < get_u64(at + AT_batch_backlink) || end <= start) return 0;
  if (crc32c(at + AT_batch_size, total - AT_batch_size) != get_u32(at + AT_batch_payload_crc)) return 0;
  size_t place = AT_batch_size;
  uint64_t previous = 0;
  for (uint64_t index = 0; index < records; index++) {
    if (total - place < RECORD_LSN_BYTES + RECORD_BYTES_MIN) return 0;
    uint64_t lsn = get_u64(at + place + AT_record_lsn);
    uint64_t bytes = get_u32(at + place + AT_record_length);
    if (index == 0 ? lsn != start : lsn <= previous) return 0;
    if (lsn >= end || bytes < RECORD_BYTES_MIN || bytes > total - place - RECORD_LSN_BYTES) return 0;
    previous = lsn;
    place += (RECORD_LSN_BYTES + bytes + 7) & ~(uint64_t)7;
    if (place > total) return 0;
  }
  return place == total ? total : 0;
}

bool lane_is_next(const struct lane *lane, struct link end, uint64_t room, const unsigned char *message, size_t length,
                  struct next *next) {
  if (!lane->is_lent || length < AT_append_size || length - AT_append_size > room) return false;
  next->vdl = get_u64(message + AT_append_vdl);
  next->pgmrpl = get_u64(message + AT_append_pgmrpl);
  if (next->vdl > NUMBER_MAX || next->pgmrpl > NUMBER_MAX) return false;
  next->batches = message + AT_append_size;
  next->length = length - AT_append_size;
  for (size_t at = 0; at < next->length;) {
    const unsigned char *batch = next->batches + at;
    size_t bytes = batch_length(batch, next->length - at);
    if (bytes == 0) return false;
    if (get_u64(batch + AT_batch_epoch) != lane->epoch || get_u32(batch + AT_batch_group) != lane->group) return false;
    if (get_u64(batch + AT_batch_backlink) != end.lsn || get_u64(batch + AT_batch_previous_epoch) != end.epoch) return false;
    end = (struct link){.lsn = get_u64(batch + AT_batch_end), .epoch = lane->epoch};
    if (end.lsn > NUMBER_MAX) return false;
    at += bytes;
  }
  next->end = end;
  return true;
}
