#include "apply.h"

#include "visibility.h"

static const struct block *block_of(const struct record *record, const struct page_key *key) {
  for (unsigned index = 0; index < record->block_count; index++) {
    const struct block *block = &record->blocks[index];
    if (block->number == key->number && block->rel == key->rel && block->fork == key->fork && block->db == key->db && block->spc == key->spc)
      return block;
  }
  return NULL;
}

static void restore_image(uint8_t *page, const struct block *block) {
  uint32_t hole_end = (uint32_t)block->hole_offset + block->hole_length;
  if (block->hole_length == 0) {
    memcpy(page, block->image, PAGE_BYTES);
    return;
  }
  memcpy(page, block->image, block->hole_offset);
  memset(page + block->hole_offset, 0, block->hole_length);
  memcpy(page + hole_end, block->image + block->hole_offset, PAGE_BYTES - hole_end);
}

static enum outcome change(uint8_t *page, const struct record *record, const struct block *block, const struct page_key *key, struct refusal *refusal) {
  if (block != NULL && (block->flags & HAS_IMAGE) != 0 && (block->image_info & IMAGE_APPLY) != 0) {
    /* Of these two the image is not the last word: redo goes on from it. */
    if ((block->image_info & IMAGE_COMPRESSED) != 0 || record->rmid == RMGR_HASH || record->rmid == RMGR_GIST) return NOT_OURS;
    restore_image(page, block);
    return APPLIED;
  }
  if (block == NULL && !clears_visibility_on(record, key)) return NOT_OURS;
  switch (record->rmid) {
    case RMGR_HEAP:
      return heap_redo(page, record, block, key, refusal);
    case RMGR_HEAP2:
      return heap2_redo(page, record, block, key, refusal);
    case RMGR_BTREE:
      return btree_redo(page, record, block, refusal);
    default:
      return NOT_OURS;
  }
}

enum outcome apply(uint8_t *page, const struct record *record, const struct page_key *key, struct refusal *refusal) {
  if (key->fork == SLRU_FORK) return slru_redo(page, record, key, refusal);
  const struct block *block = block_of(record, key);
  bool is_map = key->fork == VISIBILITY_MAP_FORK && (record->rmid == RMGR_HEAP || record->rmid == RMGR_HEAP2);
  if (block == NULL && !is_map) return NOT_OURS;
  if (!page_is_new(page) && page_lsn(page) >= record->end_lsn) return APPLIED;
  enum outcome outcome = change(page, record, block, key, refusal);
  /* A new page has no header to put an LSN in; images of such pages do occur. */
  if (outcome == APPLIED && !page_is_new(page)) page_set_lsn(page, record->end_lsn);
  return outcome;
}
