#include "cut.h"

#include <stdbool.h>

#include "../../append-lane/native/crc32c.h"
#include "../../redo/native/bytes.h"
#include "layout.h"

static size_t header_bytes(uint64_t page) { return page % WAL_SEGMENT_BYTES == 0 ? WAL_LONG_HEADER_BYTES : WAL_SHORT_HEADER_BYTES; }

/* Bytes of its header when the page that begins at `from` goes on with `remaining` bytes of a record (0: begins with one), else 0. */
static size_t page_header(const struct cut *of, size_t from, uint32_t remaining) {
  const uint64_t page = of->lsn + from;
  const size_t bytes = header_bytes(page);
  if (of->length - from < bytes) return 0;
  const uint8_t *header = of->wal + from;
  const bool is_long = bytes == WAL_LONG_HEADER_BYTES;
  const uint32_t due = (remaining > 0 ? FIRST_IS_CONTRECORD : 0) | (is_long ? LONG_HEADER : 0);
  if (get16(header + PAGE_magic) != WAL_PAGE_MAGIC || (get16(header + PAGE_info) & ~BKP_REMOVABLE) != due) return 0;
  if (get32(header + PAGE_timeline) != of->timeline || get64(header + PAGE_pageAddress) != page) return 0;
  if (get32(header + PAGE_remainingLength) != remaining) return 0;
  if (!is_long) return bytes;
  if (get64(header + PAGE_systemIdentifier) != of->system_identifier) return 0;
  return get32(header + PAGE_segmentBytes) == WAL_SEGMENT_BYTES && get32(header + PAGE_blockBytes) == WAL_PAGE_BYTES ? bytes : 0;
}

/* Copies the record that begins at `from` without the page headers in it. Gives where its bytes end; 0 when not all is as it should be. */
static size_t gather(const struct cut *of, size_t from, uint32_t total, uint8_t *to) {
  for (uint32_t left = total;;) {
    const size_t room = WAL_PAGE_BYTES - (of->lsn + from) % WAL_PAGE_BYTES;
    const uint32_t piece = left < room ? left : (uint32_t)room;
    if (of->length - from < piece) return 0;
    memcpy(to, of->wal + from, piece);
    to += piece;
    from += piece;
    left -= piece;
    if (left == 0) return from;
    const size_t header = page_header(of, from, left);
    if (header == 0) return 0;
    from += header;
  }
}

/* Is the record sound, and one of those that nobody has to look at? */
static bool is_plain(const uint8_t *raw, uint32_t total, uint64_t prev) {
  const uint8_t rmid = raw[RECORD_rmid];
  if (rmid > RMGR_BUILTIN_MAX && rmid < RMGR_CUSTOM_MIN) return false;
  if (rmid == RMGR_XLOG) {
    /* A switch ends its segment; the others name a timeline, which may be to be changed. */
    const uint8_t opcode = raw[RECORD_info] & OPCODE_MASK;
    if (opcode == XLOG_SWITCH || opcode == XLOG_CHECKPOINT_SHUTDOWN || opcode == XLOG_CHECKPOINT_ONLINE || opcode == XLOG_END_OF_RECOVERY)
      return false;
  }
  if (get64(raw + RECORD_prev) != prev) return false;
  const uint32_t payload = crc32c(raw + RECORD_HEADER_BYTES, total - RECORD_HEADER_BYTES);
  return crc32c_after(payload, raw, RECORD_crc) == get32(raw + RECORD_crc);
}

void cut_records(struct cut *of) {
  /* The transaction of the record that was noted last, when nothing since may have ended it. */
  uint32_t last_xid = 0;
  of->used = of->count = of->noted_count = 0;
  of->first = 0;
  while (of->at < of->full) {
    size_t from = of->used;
    if ((of->lsn + from) % WAL_PAGE_BYTES == 0) {
      const size_t header = from < of->length ? page_header(of, from, 0) : 0;
      if (header == 0) return;
      from += header;
    }
    const uint64_t lsn = of->lsn + from;
    if (of->length - from < 4) return;
    const uint32_t total = get32(of->wal + from + RECORD_totalLength);
    if (total < RECORD_HEADER_BYTES || total > RECORD_MAX_BYTES) return;
    const size_t bytes = ((size_t)RECORD_LSN_BYTES + total + 7) & ~(size_t)7;
    if (of->capacity < of->at || of->capacity - of->at < bytes) return;

    uint8_t *const to = of->out + of->at;
    uint8_t *const raw = to + RECORD_LSN_BYTES;
    /* Zeros up to a multiple of 8. */
    memset(to + bytes - 8, 0, 8);
    memcpy(to, &lsn, RECORD_LSN_BYTES);
    size_t end = gather(of, from, total, raw);
    if (end == 0) return;
    end = (end + 7) & ~(size_t)7;
    if (end > of->length || !is_plain(raw, total, of->prev)) return;

    const uint32_t xid = get32(raw + RECORD_xid);
    const bool tells =
      raw[RECORD_rmid] == RMGR_XACT || (raw[RECORD_rmid] == RMGR_STANDBY && (raw[RECORD_info] & OPCODE_MASK) == STANDBY_RUNNING_XACTS);
    if (tells || (xid != 0 && xid != last_xid)) {
      if (of->noted_count == of->noted_max || of->at > UINT32_MAX) return;
      of->noted[of->noted_count++] = (uint32_t)of->at;
      last_xid = tells ? 0 : xid;
    }
    if (of->count == 0) of->first = lsn;
    of->count++;
    of->prev = lsn;
    of->at += bytes;
    of->used = end;
  }
}
