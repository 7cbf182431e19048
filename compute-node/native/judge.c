/* What may be let go of: decisions alone, over what is known of a page and of a chunk. */
#define _GNU_SOURCE
#include "chunks.h"

#include <string.h>

/* XLogRecPtr that initdb's bootstrap puts into its pages; no other page has it. */
#define BOOTSTRAP_LSN 40
/*
 * PostgreSQL's first WAL file is number 1. What is below is 0, an index being built (1), or a counter of unlogged
 * relations.
 */
#define FIRST_WAL_LSN WAL_SEGMENT_BYTES
#define BTREE_SPECIAL 8176u
#define SEQUENCE_SPECIAL 8184u
#define SEQUENCE_MAGIC 0x1717u
/* nbtree.h, MAX_BT_CYCLE_ID: other kinds of index have an id above it in the same place. */
#define MAX_CYCLE_ID 0xff7fu

uint64_t page_lsn(const char *page)
{
    uint32_t half[2]; /* high half first */
    memcpy(half, page, sizeof half);
    return ((uint64_t)half[0] << 32) | half[1];
}

static uint16_t u16_at(const char *page, size_t at)
{
    uint16_t value;
    memcpy(&value, page + at, sizeof value);
    return value;
}

/*
 * Is there more in a page than storage could give back? Pages of
 * - an index that is being built, which is logged as a whole at its end: no LSN of the WAL is in them;
 * - a sequence, whose values are logged 32 ahead: it would jump;
 * - a btree that was split while a VACUUM went over the index: the VACUUM's number, by which it sees that entries moved
 *   behind it, is not in the WAL, and entries that it misses would name rows that are gone.
 */
bool keeps_page(const char *page)
{
    uint64_t lsn = page_lsn(page);
    uint16_t special = u16_at(page, 16);
    uint32_t magic;
    if (lsn < FIRST_WAL_LSN && lsn != BOOTSTRAP_LSN)
        return !is_zero(page);
    memcpy(&magic, page + SEQUENCE_SPECIAL, sizeof magic);
    if (special == SEQUENCE_SPECIAL && magic == SEQUENCE_MAGIC)
        return true;
    uint16_t cycle_id = u16_at(page, BLOCK_BYTES - 2);
    return special == BTREE_SPECIAL && cycle_id != 0 && cycle_id <= MAX_CYCLE_ID;
}

enum verdict judge_chunk(const struct chunk *chunk, const struct horizon *horizon)
{
    bool nothing_goes = true;
    for (size_t i = 0; i < sizeof chunk->resident.bits / sizeof chunk->resident.bits[0]; i++)
        nothing_goes = nothing_goes && (chunk->resident.bits[i] & ~chunk->kept.bits[i]) == 0;
    if (nothing_goes)
        return CHUNK_IS_KEPT;
    if (chunk->written_epoch == 0)
        return CHUNK_GOES;
    if (chunk->written_epoch >= horizon->settled_epoch)
        return CHUNK_IS_UNDURABLE;
    return chunk->newest_lsn > horizon->running_lsn ? CHUNK_IS_RUNNING : CHUNK_GOES;
}
