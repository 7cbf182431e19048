/* Items of index pages (storage/bufpage.h). As in page.h, whatever the page holds, nothing outside it is touched. */
#ifndef REDO_INDEX_PAGE_H
#define REDO_INDEX_PAGE_H

#include "page.h"

/* PageAddItem: later line pointers move up. */
bool index_add_item(uint8_t *page, const uint8_t *item, uint32_t length, uint32_t number, struct refusal *refusal);

/*
 * PageIndexMultiDelete of `count` items whose numbers stand at `numbers` (u16, rising), on a copy: a page that it fails on is half changed. Two at
 * most go one by one, the last first, as on the writer's page: the two ways leave the others in another order.
 */
bool index_delete_items(uint8_t *page, const uint8_t *numbers, uint32_t count, struct refusal *refusal);

/* PageIndexTupleOverwrite: another item, of another length too, under the same number. */
bool index_overwrite_item(uint8_t *page, uint32_t number, const uint8_t *item, uint32_t length, struct refusal *refusal);

#endif
