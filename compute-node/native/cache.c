/*
 * Which blocks of relation files are local, by chunks of a MiB, so that evict.c finds what to let go of.
 *
 * Only blocks are kept track of that the volume can give back: those of main forks that PostgreSQL read from it or
 * wrote itself through its buffers. Everything else is local and never let go of: temporary files, temporary and
 * unlogged relations, free-space and visibility maps (which are small), WAL, and what is copied as a file (CREATE
 * DATABASE ... STRATEGY file_copy), for the volume has that only once the copy's own record is there.
 *
 * Chunks stand in memory that all processes share. A chunk is found by a chain that belongs to its stripe, and whoever
 * changes either holds the stripe. A chunk that finds no place is not kept track of: its blocks stay.
 */
#define _GNU_SOURCE
#include "chunks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_MAGIC 0x48434143u /* "CACH" */
#define CHUNKS_MIN (1u << 16)
#define CHUNKS_MAX (1u << 24)
/* Of a chain, where no lock is held: it may change meanwhile. */
#define STEPS_MAX 32

struct cache_file *cache;
static struct chunk *chunks; /* [0] is none */
static _Atomic uint32_t *chains;
static uint32_t chunk_room, chain_count;

static void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

bool map_cache(const char *file)
{
    struct stat st;
    int fd = real.open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool known = fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof *cache;
    void *memory = known ? mmap(NULL, sizeof *cache, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    real.close(fd);
    if (memory == MAP_FAILED)
        return false;
    cache = memory;
    if (cache->magic != CACHE_MAGIC || cache->bytes != sizeof *cache)
        return false;
    /*
     * Twice as many as there may be blocks: pages that are read at random stand each in a chunk of its own, and what a
     * long transaction writes goes past the limit. Memory is taken only as chunks are.
     */
    uint64_t wanted = 2 * (uint64_t)cache->limit_blocks;
    chunk_room = wanted < CHUNKS_MIN ? CHUNKS_MIN : wanted < CHUNKS_MAX ? (uint32_t)wanted : CHUNKS_MAX;
    chain_count = STRIPES;
    while (chain_count < chunk_room / 2)
        chain_count *= 2;
    chunks = shared_memory(((size_t)chunk_room + 1) * sizeof *chunks);
    chains = shared_memory((size_t)chain_count * sizeof *chains);
    return chunks != NULL && chains != NULL;
}

/* ---- chunks and their chains ---- */

uint32_t chunks_used(void)
{
    return shared->pool.used;
}

struct chunk *chunk_at(uint32_t index)
{
    return &chunks[index];
}

struct file_entry file_of(const struct chunk *chunk)
{
    uint32_t block = chunk->number * BLOCKS_PER_CHUNK;
    return (struct file_entry){.kind = FILE_RELATION,
                               .fork = MAIN_FORK,
                               .spc_oid = chunk->spc_oid,
                               .db_oid = chunk->db_oid,
                               .rel_number = chunk->rel_number,
                               .first_block = block - block % BLOCKS_PER_FILE};
}

static bool is_tracked(const struct file_entry *file)
{
    return cache != NULL && file->fork == MAIN_FORK;
}

static bool is_of(const struct chunk *chunk, const struct file_entry *file, uint32_t number)
{
    return chunk->rel_number == file->rel_number && chunk->number == number && chunk->db_oid == file->db_oid &&
           chunk->spc_oid == file->spc_oid;
}

/* A chain of the chunk's stripe: their count is a power of two and a multiple of that of stripes. */
static _Atomic uint32_t *chain_of(const struct file_entry *file, uint32_t number)
{
    uint32_t mixed = (file->rel_number * 2654435761u ^ number) * 2246822519u;
    uint32_t chain = (mixed >> 7) * STRIPES + stripe_of(file, number * BLOCKS_PER_CHUNK);
    return &chains[chain & (chain_count - 1)];
}

static struct chunk *find_chunk(const struct file_entry *file, uint32_t number)
{
    for (uint32_t at = *chain_of(file, number); at != 0; at = chunks[at].next)
        if (is_of(&chunks[at], file, number))
            return &chunks[at];
    return NULL;
}

bool is_local_chunk(const struct chunk *chunk, const struct file_entry *file)
{
    return is_of(chunk, file, chunk->number) && find_chunk(file, chunk->number) == chunk;
}

static struct chunk *make_chunk(const struct file_entry *file, uint32_t number)
{
    struct chunk_pool *pool = &shared->pool;
    take_lock(&pool->lock);
    uint32_t index = pool->free;
    if (index != 0)
        pool->free = chunks[index].next;
    else if (pool->used < chunk_room)
        index = ++pool->used;
    pool->lock = 0;
    if (index == 0)
        return NULL;
    struct chunk *chunk = &chunks[index];
    _Atomic uint32_t *chain = chain_of(file, number);
    *chunk = (struct chunk){.spc_oid = file->spc_oid, .db_oid = file->db_oid, .rel_number = file->rel_number, .number = number};
    chunk->next = *chain;
    *chain = index;
    return chunk;
}

static void free_chunk(struct chunk *chunk)
{
    const struct file_entry file = file_of(chunk);
    uint32_t index = (uint32_t)(chunk - chunks);
    _Atomic uint32_t *link = chain_of(&file, chunk->number);
    while (*link != index)
        link = &chunks[*link].next;
    *link = chunk->next;
    struct chunk_pool *pool = &shared->pool;
    take_lock(&pool->lock);
    chunk->next = pool->free;
    pool->free = index;
    pool->lock = 0;
}

uint32_t count_blocks(const struct blocks *blocks)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof blocks->bits / sizeof blocks->bits[0]; i++)
        count += (uint32_t)__builtin_popcountll(blocks->bits[i]);
    return count;
}

void take_blocks_out(struct chunk *chunk, const struct blocks *gone)
{
    uint32_t before = count_blocks(&chunk->resident);
    for (size_t i = 0; i < sizeof gone->bits / sizeof gone->bits[0]; i++) {
        chunk->resident.bits[i] &= ~gone->bits[i];
        chunk->kept.bits[i] &= ~gone->bits[i];
    }
    uint32_t after = count_blocks(&chunk->resident);
    cache->resident -= before - after;
    if (after == 0 && before != 0)
        free_chunk(chunk);
}

static void add_block(struct chunk *chunk, uint32_t block, bool kept)
{
    uint32_t at = block % BLOCKS_PER_CHUNK;
    if (!has_block(&chunk->resident, at))
        cache->resident++;
    set_block(&chunk->resident, at, true);
    set_block(&chunk->kept, at, kept);
}

/* ---- what happens to blocks ---- */

/* A hint, without a lock: at worst a chunk counts as read that was not. */
void cache_note_read(const struct file_entry *file, uint32_t block, uint32_t found, uint32_t fetched)
{
    if (!is_tracked(file))
        return;
    cache->read_here += found;
    cache->fetched += fetched;
    if (found == 0)
        return;
    for (uint32_t number = block / BLOCKS_PER_CHUNK; number <= (block + found + fetched - 1) / BLOCKS_PER_CHUNK; number++) {
        uint32_t at = *chain_of(file, number);
        for (int steps = 0; at != 0 && at <= chunk_room && steps < STEPS_MAX; steps++, at = chunks[at].next)
            if (is_of(&chunks[at], file, number)) {
                if (!chunks[at].referenced)
                    chunks[at].referenced = 1;
                break;
            }
    }
}

/* These came from the volume and are in the file now. */
void cache_note_fetched(const struct file_entry *file, uint32_t block, uint32_t blocks)
{
    if (!is_tracked(file))
        return;
    for (; blocks > 0; block++, blocks--) {
        struct chunk *chunk = find_chunk(file, block / BLOCKS_PER_CHUNK);
        if (chunk == NULL && (chunk = make_chunk(file, block / BLOCKS_PER_CHUNK)) == NULL)
            return;
        add_block(chunk, block, false);
    }
}

/* PostgreSQL has written these, in a write that began in `epoch`. */
void cache_note_written(const struct file_entry *file, uint32_t block, const struct iovec *parts, int count, uint32_t epoch)
{
    if (!is_tracked(file))
        return;
    for (int i = 0; i < count; i++) {
        const char *page = parts[i].iov_base;
        for (size_t at = 0; at + BLOCK_BYTES <= parts[i].iov_len; at += BLOCK_BYTES, block++) {
            struct chunk *chunk = find_chunk(file, block / BLOCKS_PER_CHUNK);
            if (chunk == NULL && (chunk = make_chunk(file, block / BLOCKS_PER_CHUNK)) == NULL)
                return;
            uint64_t lsn = page_lsn(page + at);
            if (lsn > chunk->newest_lsn)
                chunk->newest_lsn = lsn;
            if (epoch > chunk->written_epoch)
                chunk->written_epoch = epoch;
            /* What a reader has written all came from redo. */
            add_block(chunk, block, !is_reader() && keeps_page(page + at));
        }
    }
}

/* The file has lost what was in [from, to), bytes of it. */
void cache_note_lost(const struct file_entry *file, off_t from, off_t to)
{
    struct stripes_held held;
    if (!is_tracked(file) || from >= to)
        return;
    uint32_t first = file->first_block + (uint32_t)((from + BLOCK_BYTES - 1) / BLOCK_BYTES);
    uint32_t past = file->first_block + (uint32_t)((to + BLOCK_BYTES - 1) / BLOCK_BYTES);
    while (first < past) {
        uint32_t number = first / BLOCKS_PER_CHUNK;
        struct blocks gone = {0};
        for (; first < past && first / BLOCKS_PER_CHUNK == number; first++)
            set_block(&gone, first % BLOCKS_PER_CHUNK, true);
        lock_blocks(file, number * BLOCKS_PER_CHUNK, 1, &held);
        struct chunk *chunk = find_chunk(file, number);
        if (chunk != NULL)
            take_blocks_out(chunk, &gone);
        unlock_blocks(&held);
    }
}

/* The same of a file by its path, up to its end. To be asked for its end before it is lost. */
void cache_note_lost_file(const char *path, off_t from)
{
    struct stat st;
    const struct file_entry file = classify_path(path);
    if (cache != NULL && file.kind == FILE_RELATION && fstatat(AT_FDCWD, path, &st, 0) == 0)
        cache_note_lost(&file, from, st.st_size);
}
