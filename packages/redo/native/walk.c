#include "walk.h"

#include "visibility.h"

enum { LSN_BYTES = 8, FIRST_NORMAL_XID = 3, SLOTS = 2 * WALK_PAGES_MAX };

/* What is under way of a walk. */
struct walking {
  struct walk *walk;
  uint32_t ref_count;
  /* Of each reference, in the log's order: the page's place, and the reference. */
  uint16_t ref_pages[WALK_REFS_MAX];
  uint32_t refs[WALK_REFS_MAX];
  /* Places of pages, plus 1, by a hash of their key. */
  uint16_t slots[SLOTS];
  uint32_t last_fork;
};

static bool is_page(const struct page_key *one, const struct page_key *other) {
  return one->number == other->number && one->rel == other->rel && one->fork == other->fork && one->db == other->db && one->spc == other->spc;
}

static uint32_t place_of(struct walking *walking, const struct page_key *key) {
  struct walk *walk = walking->walk;
  uint32_t slot = (key->number * 2654435761u ^ key->rel * 2246822519u ^ key->fork) % SLOTS;
  for (; walking->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
    uint32_t place = walking->slots[slot] - 1u;
    if (is_page(&walk->pages[place].key, key)) return place;
  }
  walk->pages[walk->page_count] = (struct walk_page){.key = *key};
  walking->slots[slot] = (uint16_t)++walk->page_count;
  return walk->page_count - 1;
}

static void add_page(struct walking *walking, const struct page_key *key, uint32_t ref) {
  uint32_t place = place_of(walking, key);
  walking->walk->pages[place].end++;
  walking->ref_pages[walking->ref_count] = (uint16_t)place;
  walking->refs[walking->ref_count++] = ref;
}

static void add_fork(struct walking *walking, const struct block *block) {
  struct walk *walk = walking->walk;
  struct page_key key = {.spc = block->spc, .db = block->db, .rel = block->rel, .fork = block->fork, .number = block->number};
  uint32_t at = walking->last_fork;
  struct page_key *fork = &walk->forks[at];
  if (at >= walk->fork_count || fork->rel != key.rel || fork->fork != key.fork || fork->db != key.db || fork->spc != key.spc) {
    for (at = 0; at < walk->fork_count; at++) {
      fork = &walk->forks[at];
      if (fork->rel == key.rel && fork->fork == key.fork && fork->db == key.db && fork->spc == key.spc) break;
    }
    walking->last_fork = at;
    if (at == walk->fork_count) walk->forks[walk->fork_count++] = key;
  }
  if (walk->forks[at].number < key.number) walk->forks[at].number = key.number;
}

/* Takes in what a record changes. False: it is not one that is taken here; then nothing of it was. */
static bool take_record(struct walking *walking, const struct walk_of *of, const struct record *record, uint32_t number) {
  struct walk *walk = walking->walk;
  bool is_known = record->rmid < of->managers && of->known[record->rmid << 4 | record->info >> 4] == 1;
  if (!is_known || record->block_count == 0) return false;
  /* Some of hash's name blocks only to lock them; of XLOG's those are taken that PostgreSQL writes with blocks. */
  uint32_t opcode = record->info & XLOG_OPCODE_MASK;
  bool is_ours = record->rmid == RMGR_XLOG ? opcode == XLOG_FPI_FOR_HINT || opcode == XLOG_FPI : record->rmid != RMGR_HASH;
  if (!is_ours) return false;
  bool has_room = walking->ref_count + WALK_RECORD_PAGES_MAX <= WALK_REFS_MAX && walk->page_count + WALK_RECORD_PAGES_MAX <= WALK_PAGES_MAX &&
                  walk->fork_count + WALK_RECORD_PAGES_MAX <= WALK_FORKS_MAX;
  if (!has_room) return false;
  bool is_heap = record->rmid == RMGR_HEAP || record->rmid == RMGR_HEAP2;
  struct map_pages cleared = {.count = 0};
  if (is_heap && !cleared_map_pages(record, &cleared)) return false;
  bool names_map = false;
  for (unsigned index = 0; index < record->block_count; index++) {
    const struct block *block = &record->blocks[index];
    bool is_restored = (block->flags & HAS_IMAGE) != 0 && (block->image_info & IMAGE_APPLY) != 0;
    add_fork(walking, block);
    /* A hint's record names its block even when it carries no image. */
    if (!is_restored && record->rmid == RMGR_XLOG) continue;
    if (block->fork == VISIBILITY_MAP_FORK) names_map = true;
    struct page_key key = {.spc = block->spc, .db = block->db, .rel = block->rel, .fork = block->fork, .number = block->number};
    add_page(walking, &key, number << 1 | (is_restored || (block->flags & WILL_INIT) != 0));
  }
  /* PostgreSQL does not register the map's pages before 18.5. */
  const struct block *heap = &record->blocks[0];
  for (unsigned index = 0; index < cleared.count && !names_map; index++) {
    struct page_key key = {.spc = heap->spc, .db = heap->db, .rel = heap->rel, .fork = VISIBILITY_MAP_FORK, .number = cleared.numbers[index]};
    add_page(walking, &key, number << 1);
  }
  /* Later in the order that wraps around (TransactionIdPrecedes). */
  if (record->xid >= FIRST_NORMAL_XID && (walk->xid == 0 || (int32_t)(record->xid - walk->xid) > 0)) walk->xid = record->xid;
  return true;
}

/* References by page, each page's in the log's order. */
static void sort_refs(struct walking *walking) {
  struct walk *walk = walking->walk;
  uint32_t from = 0;
  for (uint32_t place = 0; place < walk->page_count; place++) {
    uint32_t count = walk->pages[place].end;
    walk->pages[place].end = from;
    from += count;
  }
  for (uint32_t index = 0; index < walking->ref_count; index++) walk->refs[walk->pages[walking->ref_pages[index]].end++] = walking->refs[index];
}

uint32_t walk_records(const struct walk_of *of, const struct walk_places *places, struct walk *walk) {
  struct walking walking = {.walk = walk};
  uint32_t taken = 0;
  walk->page_count = walk->fork_count = walk->xid = 0;
  for (size_t at = of->at; taken < places->room && of->end - at >= LSN_BYTES + RECORD_HEADER_BYTES;) {
    const uint8_t *raw = of->batch + at + LSN_BYTES;
    uint64_t lsn = get64(of->batch + at);
    uint32_t length = get32(raw + RECORD_total_length);
    struct record record;
    if (lsn >= of->limit || length > of->end - at - LSN_BYTES || !record_decode(&record, raw, length, lsn)) break;
    if (!take_record(&walking, of, &record, taken)) break;
    places->lsns[taken] = lsn;
    places->positions[taken] = of->position + (double)at;
    places->lengths[taken] = length;
    taken++;
    size_t next = at + ((LSN_BYTES + (size_t)length + 7) & ~(size_t)7);
    if (next > of->end) break;
    at = next;
  }
  sort_refs(&walking);
  return taken;
}
