/* Redo of one record on one of its pages: of the frequent records. The rest is TypeScript's. */
#ifndef REDO_APPLY_H
#define REDO_APPLY_H

#include "page.h"
#include "record.h"

/* Which page it is: as PageId in src/page-key.ts. */
struct page_key {
  uint32_t spc;
  uint32_t db;
  uint32_t rel;
  uint32_t fork;
  uint32_t number;
};

enum outcome {
  /* The page has the change, perhaps since before. */
  APPLIED,
  /* Record and page do not fit; the page is as it was. */
  REFUSED,
  /* Not of the records that are redone here, or the record does not change that page; the page is as it was. */
  NOT_OURS,
};

/* `page` is zero where it did not exist. Whatever page and record hold, nothing outside them is read, and nothing outside the page written. */
enum outcome apply(uint8_t *page, const struct record *record, const struct page_key *key, struct refusal *refusal);

/* Of each resource manager. `block` is the record's that stands for the page; NULL: a page of the visibility map that is not registered. */
enum outcome heap_redo(uint8_t *page, const struct record *record, const struct block *block, const struct page_key *key, struct refusal *refusal);
enum outcome heap2_redo(uint8_t *page, const struct record *record, const struct block *block, const struct page_key *key, struct refusal *refusal);
enum outcome btree_redo(uint8_t *page, const struct record *record, const struct block *block, struct refusal *refusal);

enum outcome slru_redo(uint8_t *page, const struct record *record, const struct page_key *key, struct refusal *refusal);

static inline enum outcome applied_if(bool is_applied) { return is_applied ? APPLIED : REFUSED; }

/* Has the record so many bytes of main data? */
static inline bool has_main(const struct record *record, uint32_t bytes, struct refusal *refusal) {
  return record->main_length >= bytes || refuse(refusal, "the record has %u bytes of main data, %u are due", record->main_length, bytes);
}

/* Has the block so many bytes of data? */
static inline bool has_data(const struct block *block, uint32_t bytes, struct refusal *refusal) {
  return block->data_length >= bytes || refuse(refusal, "block %u has %u bytes of data, %u are due", block->id, block->data_length, bytes);
}

#endif
