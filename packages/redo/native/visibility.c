#include "visibility.h"

/* Heap blocks that one page of the map covers. */
enum { BLOCKS_PER_PAGE = (PAGE_BYTES - PAGE_HEADER_BYTES) * 4 };

/* Flags of heap's records that say that a page lost its all-visible mark (access/heapam_xlog.h). */
enum { ALL_VISIBLE_CLEARED = 0x01, NEW_ALL_VISIBLE_CLEARED = 0x02, ALL_FROZEN_CLEARED = 0x01 };

/* Which heap blocks of a record lose which bits. */
struct cleared {
  unsigned count;
  uint32_t blocks[2];
  uint32_t bits;
};

static void add(struct cleared *cleared, const struct record *record, unsigned index) {
  if (index < record->block_count) cleared->blocks[cleared->count++] = record->blocks[index].number;
}

/* Flag `flag` of main data byte `at`; not set where the record is shorter. */
static bool is_set(const struct record *record, uint32_t at, uint8_t flag) { return record->main_length > at && (record->main[at] & flag) != 0; }

static struct cleared cleared_by(const struct record *record) {
  struct cleared cleared = {.bits = MAP_BITS};
  uint32_t opcode = record->info & HEAP_OPCODE_MASK;
  bool is_lock = false;
  if (record->rmid == RMGR_HEAP) {
    if (opcode == HEAP_INSERT && is_set(record, XL_HEAP_INSERT_flags, ALL_VISIBLE_CLEARED)) add(&cleared, record, 0);
    if (opcode == HEAP_DELETE && is_set(record, XL_HEAP_DELETE_flags, ALL_VISIBLE_CLEARED)) add(&cleared, record, 0);
    if (opcode == HEAP_UPDATE || opcode == HEAP_HOT_UPDATE) {
      if (is_set(record, XL_HEAP_UPDATE_flags, NEW_ALL_VISIBLE_CLEARED)) add(&cleared, record, 0);
      bool has_old = record->block_count > 1 && record->blocks[1].id == 1;
      if (is_set(record, XL_HEAP_UPDATE_flags, ALL_VISIBLE_CLEARED)) add(&cleared, record, has_old ? 1 : 0);
    }
    is_lock = opcode == HEAP_LOCK;
  } else if (record->rmid == RMGR_HEAP2) {
    if (opcode == HEAP2_MULTI_INSERT && is_set(record, XL_HEAP_MULTI_INSERT_flags, ALL_VISIBLE_CLEARED)) add(&cleared, record, 0);
    is_lock = opcode == HEAP2_LOCK_UPDATED;
  }
  if (is_lock && is_set(record, XL_HEAP_LOCK_flags, ALL_FROZEN_CLEARED)) {
    add(&cleared, record, 0);
    cleared.bits = MAP_ALL_FROZEN;
  }
  return cleared;
}

/* The byte of main data that says so: of the records that have one. */
static bool has_flags(const struct record *record) {
  uint32_t opcode = record->info & HEAP_OPCODE_MASK;
  uint32_t due = 0;
  if (record->rmid == RMGR_HEAP) {
    if (opcode == HEAP_INSERT) due = XL_HEAP_INSERT_flags + 1;
    if (opcode == HEAP_DELETE) due = XL_HEAP_DELETE_flags + 1;
    if (opcode == HEAP_UPDATE || opcode == HEAP_HOT_UPDATE) due = XL_HEAP_UPDATE_flags + 1;
    if (opcode == HEAP_LOCK) due = XL_HEAP_LOCK_flags + 1;
  } else if (record->rmid == RMGR_HEAP2) {
    if (opcode == HEAP2_MULTI_INSERT) due = XL_HEAP_MULTI_INSERT_flags + 1;
    if (opcode == HEAP2_LOCK_UPDATED) due = XL_HEAP_LOCK_flags + 1;
  }
  return record->main_length >= due;
}

bool cleared_map_pages(const struct record *record, struct map_pages *pages) {
  pages->count = 0;
  if (!has_flags(record)) return false;
  struct cleared cleared = cleared_by(record);
  for (unsigned index = 0; index < cleared.count; index++) {
    uint32_t number = cleared.blocks[index] / BLOCKS_PER_PAGE;
    if (pages->count == 0 || pages->numbers[0] != number) pages->numbers[pages->count++] = number;
  }
  return true;
}

/* A block's two bits, moved to their place in its byte. */
static uint8_t *byte_of(uint8_t *page, uint32_t heap_block) { return page + PAGE_HEADER_BYTES + heap_block % BLOCKS_PER_PAGE / 4; }
static uint8_t shifted(uint32_t heap_block, uint32_t bits) { return (uint8_t)(bits << (heap_block & 3) * 2); }

bool clears_visibility_on(const struct record *record, const struct page_key *map) {
  if (record->block_count == 0) return false;
  const struct block *heap = &record->blocks[0];
  if (heap->rel != map->rel || heap->db != map->db || heap->spc != map->spc) return false;
  struct cleared cleared = cleared_by(record);
  for (unsigned index = 0; index < cleared.count; index++)
    if (cleared.blocks[index] / BLOCKS_PER_PAGE == map->number) return true;
  return false;
}

void clear_visibility(uint8_t *page, const struct record *record, uint32_t map_page) {
  if (page_is_new(page)) page_init(page, 0);
  struct cleared cleared = cleared_by(record);
  for (unsigned index = 0; index < cleared.count; index++) {
    uint32_t block = cleared.blocks[index];
    if (block / BLOCKS_PER_PAGE == map_page) *byte_of(page, block) &= (uint8_t)~shifted(block, cleared.bits);
  }
}

void set_visibility(uint8_t *page, uint32_t heap_block, uint32_t bits) {
  if (page_is_new(page)) page_init(page, 0);
  *byte_of(page, heap_block) |= shifted(heap_block, bits);
}
