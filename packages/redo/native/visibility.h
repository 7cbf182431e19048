/* The visibility map (access/heap/visibilitymap.c): two bits for each heap block after a plain page header. */
#ifndef REDO_VISIBILITY_H
#define REDO_VISIBILITY_H

#include "apply.h"

enum { MAP_ALL_VISIBLE = 0x01, MAP_ALL_FROZEN = 0x02, MAP_BITS = 0x03 };

/* Does the record clear bits on that page of the map? */
bool clears_visibility_on(const struct record *record, const struct page_key *map);

/* Pages of the map, each once. */
struct map_pages {
  unsigned count;
  uint32_t numbers[2];
};

/* On which pages of the map the record clears bits. False: its main data is too short to tell. Of a record of heap's with a block. */
bool cleared_map_pages(const struct record *record, struct map_pages *pages);

/* Clears in one page of the map the bits of every heap block that the record says it changed. */
void clear_visibility(uint8_t *page, const struct record *record, uint32_t map_page);

/* Sets bits of a heap block in the page of the map that has them. */
void set_visibility(uint8_t *page, uint32_t heap_block, uint32_t bits);

#endif
