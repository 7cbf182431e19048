/*
 * Chunks of relation files, as cache.c keeps them and evict.c chooses from them. Everything here is called with the
 * chunk's stripe held.
 */
#ifndef AURORA_CHUNKS_H
#define AURORA_CHUNKS_H

#include "shim.h"

/* The blocks of one stripe: a MiB of a main fork's file. */
#define BLOCKS_PER_CHUNK BLOCKS_PER_STRIPE

/* One bit for each block of a chunk. */
struct blocks {
    uint64_t bits[BLOCKS_PER_CHUNK / 64];
};

struct chunk {
    uint32_t spc_oid, db_oid, rel_number;
    uint32_t number;            /* in its fork */
    _Atomic uint32_t next;      /* in its chain, or among the free ones; 0 for none */
    uint32_t written_epoch;     /* when PostgreSQL last wrote here; 0: what is here came from the volume */
    uint64_t newest_lsn;        /* of the pages that PostgreSQL wrote here */
    struct blocks resident;     /* nothing else is let go of; none: the chunk is free */
    struct blocks kept;         /* of these, what storage could not give back: see keeps_page */
    _Atomic uint8_t referenced; /* read since the hand came by */
};

/* What can be let go of now, of what PostgreSQL wrote. */
struct horizon {
    uint32_t settled_epoch; /* of writes in epochs before it all is durable */
    uint64_t running_lsn;   /* no transaction that runs has written redo that ends at or below it */
};

enum verdict {
    CHUNK_GOES,
    CHUNK_IS_KEPT,     /* for good: nothing but pages that storage could not give back */
    CHUNK_IS_UNDURABLE, /* until what PostgreSQL wrote is durable */
    CHUNK_IS_RUNNING,   /* a running transaction may have changed some of its pages, which redo does not give back as they are */
};

enum verdict judge_chunk(const struct chunk *chunk, const struct horizon *horizon);
bool keeps_page(const char *page);
uint64_t page_lsn(const char *page);

uint32_t chunks_used(void);
struct chunk *chunk_at(uint32_t index);
/* Is it that file's, now that its stripe is held? Free chunks are nobody's. */
bool is_local_chunk(const struct chunk *chunk, const struct file_entry *file);
struct file_entry file_of(const struct chunk *chunk);
void take_blocks_out(struct chunk *chunk, const struct blocks *gone);
uint32_t count_blocks(const struct blocks *blocks);

static inline bool has_block(const struct blocks *blocks, uint32_t block)
{
    return (blocks->bits[block / 64] >> (block % 64) & 1) != 0;
}

static inline void set_block(struct blocks *blocks, uint32_t block, bool is)
{
    uint64_t bit = (uint64_t)1 << (block % 64);
    blocks->bits[block / 64] = is ? blocks->bits[block / 64] | bit : blocks->bits[block / 64] & ~bit;
}

#endif
