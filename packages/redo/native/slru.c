/* SLRU pages (access/transam/clog.c) by the records that end a transaction. They have no header and no LSN: each record comes once, in order. */
#include "apply.h"

/* pg_xact: two bits a transaction. */
enum { XIDS_PER_PAGE = PAGE_BYTES * 4, COMMITTED = 1, ABORTED = 2 };
/* xl_xact_commit and xl_xact_abort (access/xact.h): i64 time, then where info has HAS_INFO u32 xinfo and the parts whose bits it sets, these first. */
enum { XACT_OPCODE_MASK = 0x70, XACT_HAS_INFO = 0x80, XINFO_AT = 8, PARTS_AT = 12 };
enum { HAS_DBINFO = 0x001, DBINFO_BYTES = 8, HAS_SUBXACTS = 0x002 };

/* Where the xids of a record's subtransactions stand; `count` is 0 where it has none. */
struct subtransactions {
  const uint8_t *xids;
  uint32_t count;
};

static bool find_subtransactions(const struct record *record, struct subtransactions *found, struct refusal *refusal) {
  *found = (struct subtransactions){0};
  if ((record->info & XACT_HAS_INFO) == 0) return true;
  if (!has_main(record, PARTS_AT, refusal)) return false;
  uint32_t parts = get32(record->main + XINFO_AT), at = PARTS_AT + ((parts & HAS_DBINFO) != 0 ? DBINFO_BYTES : 0);
  if ((parts & HAS_SUBXACTS) == 0) return true;
  if (!has_main(record, at + 4, refusal)) return false;
  uint32_t count = get32(record->main + at);
  at += 4;
  if (count > (record->main_length - at) / 4) return refuse(refusal, "%u subtransactions in %u bytes", count, record->main_length - at);
  *found = (struct subtransactions){.xids = record->main + at, .count = count};
  return true;
}

static uint32_t set_status(uint8_t *page, uint32_t page_number, uint32_t xid, uint32_t status) {
  if (xid / XIDS_PER_PAGE != page_number) return 0;
  uint8_t *byte = page + xid % XIDS_PER_PAGE / 4;
  uint32_t shift = (xid & 3) * 2;
  *byte = (uint8_t)((*byte & ~(3u << shift)) | status << shift);
  return 1;
}

enum outcome slru_redo(uint8_t *page, const struct record *record, const struct page_key *key, struct refusal *refusal) {
  uint32_t opcode = record->info & XACT_OPCODE_MASK, set = 0;
  if (record->rmid != RMGR_XACT || key->db != SLRU_PG_XACT || (opcode != XACT_COMMIT && opcode != XACT_ABORT)) return NOT_OURS;
  struct subtransactions subtransactions;
  if (!find_subtransactions(record, &subtransactions, refusal)) return REFUSED;
  uint32_t status = opcode == XACT_COMMIT ? COMMITTED : ABORTED;
  set += set_status(page, key->number, record->xid, status);
  for (uint32_t index = 0; index < subtransactions.count; index++)
    set += set_status(page, key->number, get32(subtransactions.xids + index * 4), status);
  return set > 0 ? APPLIED : NOT_OURS;
}
