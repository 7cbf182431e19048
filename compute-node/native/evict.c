/*
 * Keeps the local cache of relation pages inside its limit: whoever brings pages in lets others go, holes in their
 * files again.
 *
 * A page that was let go of is read again from the volume, as of the request LSN or later. So:
 *
 * Invariants:
 * - a block is let go of only when everything in it is durable in the volume (settle.c), none of it was written by a
 *   transaction that still runs (redo does not give back its command ids), and it is no page that redo does not give
 *   back at all (judge.c);
 * - before the hole is there, request_lsn and holes_lsn are at or above every change in it. Whoever sees the hole asks
 *   at such an LSN, and takes nothing that was read ahead below it;
 * - a hole is made by a holder of the block's stripe, so beside no write. Reads take no lock; a page is two pages of
 *   the kernel, of which a read may see one gone. `punches` is odd meanwhile and higher afterwards: a read that saw it
 *   change is done again, locked;
 * - what was fetched for a hole is put into the file only if nothing was let go of in its stripes since the hole was
 *   seen: the block may have been fetched, changed, written and let go of by others meanwhile.
 *
 * Which: a hand goes round over the chunks; one that was read since it last came by gets a second chance. Hot pages are
 * in PostgreSQL's own buffers; this is for those around them. Who finds nothing to let go of goes on, past the limit:
 * nothing fails for it.
 */
#define _GNU_SOURCE
#include "chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 128
/* A call looks at so many chunks at most, and lets go of at least a chunk where it can. */
#define LOOKS_MAX 256u
/* Nobody looks for so long after every chunk was looked at and nothing could go. */
#define REST_MS 20

/* What can go of a chunk, of which a running transaction may have written some: pages older than it. */
static struct blocks blocks_to_go(int fd, const struct chunk *chunk, off_t start, uint64_t running_lsn, bool some)
{
    struct blocks going;
    for (size_t i = 0; i < sizeof going.bits / sizeof going.bits[0]; i++)
        going.bits[i] = chunk->resident.bits[i] & ~chunk->kept.bits[i];
    for (uint32_t at = 0; some && at < BLOCKS_PER_CHUNK; at++) {
        char head[8];
        if (has_block(&going, at) && (real.pread(fd, head, sizeof head, start + (off_t)at * BLOCK_BYTES) != sizeof head ||
                                      page_lsn(head) > running_lsn))
            set_block(&going, at, false);
    }
    return going;
}

/*
 * Makes holes of blocks. With the stripe held, and the LSNs raised. What could not be made a hole stays in `going` no
 * longer.
 */
static void punch(int fd, struct blocks *going, off_t start, uint32_t stripe)
{
    shared->punches[stripe] |= 1;
    for (uint32_t at = 0; at < BLOCKS_PER_CHUNK;) {
        uint32_t end = at;
        while (end < BLOCKS_PER_CHUNK && has_block(going, end))
            end++;
        if (end == at) {
            at++;
            continue;
        }
        int result;
        do
            result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start + (off_t)at * BLOCK_BYTES,
                               (off_t)(end - at) * BLOCK_BYTES);
        while (result != 0 && errno == EINTR);
        if (result != 0) {
            cache->punch_errno = errno;
            for (uint32_t stays = at; stays < end; stays++)
                set_block(going, stays, false);
        }
        at = end;
    }
    shared->punches[stripe] = (shared->punches[stripe] | 1) + 1;
}

/* With the chunk's stripe held. Gives the blocks that went. */
static uint32_t let_go(struct chunk *chunk, const struct horizon *horizon, uint64_t settled_lsn, bool some)
{
    char path[PATH_BYTES];
    struct blocks all = {.bits = {UINT64_MAX, UINT64_MAX}};
    const struct file_entry file = file_of(chunk);
    uint32_t first = chunk->number * BLOCKS_PER_CHUNK;
    uint32_t segment = first / BLOCKS_PER_FILE;
    off_t start = (off_t)(first - file.first_block) * BLOCK_BYTES;
    int stem = relation_file_path(path, sizeof path, chunk->spc_oid, chunk->db_oid, chunk->rel_number, 0);
    bool unlogged = has_init_fork(path, (size_t)stem);
    relation_file_path(path, sizeof path, chunk->spc_oid, chunk->db_oid, chunk->rel_number, segment);
    int fd = unlogged ? -1 : real.open(path, O_RDWR | O_CLOEXEC);
    if (unlogged || (fd < 0 && errno == ENOENT)) {
        /* It is local for good, or gone. */
        take_blocks_out(chunk, &all);
        return 0;
    }
    if (fd < 0)
        return 0;
    struct blocks going = blocks_to_go(fd, chunk, start, horizon->running_lsn, some);
    if (chunk->written_epoch != 0) {
        raise_lsn(&shared->request_lsn, settled_lsn);
        raise_lsn(&shared->holes_lsn, settled_lsn);
    }
    punch(fd, &going, start, stripe_of(&file, first));
    real.close(fd);
    uint32_t went = count_blocks(&going);
    take_blocks_out(chunk, &going);
    cache->evicted += went;
    return went;
}

/* What a whole round over the chunks could not let go of. */
struct held_back {
    uint64_t running, undurable, kept;
};

/* Looks at the chunk under the hand. Gives the blocks that went. */
static uint32_t look(uint32_t index, bool in_need, struct held_back *held_back)
{
    struct chunk *chunk = chunk_at(index);
    const struct file_entry file = file_of(chunk);
    uint32_t first = chunk->number * BLOCKS_PER_CHUNK;
    _Atomic int32_t *lock = &shared->stripes[stripe_of(&file, first)];
    if (chunk->referenced && !in_need) {
        chunk->referenced = 0;
        return 0;
    }
    if (!try_lock(lock))
        return 0;
    uint32_t went = 0;
    /* It may have become another's before it was locked. */
    if (is_local_chunk(chunk, &file)) {
        /* In this order: settled_lsn is written before settled_epoch. */
        struct horizon horizon = {.settled_epoch = shared->settling.settled_epoch, .running_lsn = shared->running_lsn};
        uint64_t settled_lsn = shared->settling.settled_lsn;
        uint32_t blocks = count_blocks(&chunk->resident);
        switch (judge_chunk(chunk, &horizon)) {
        case CHUNK_GOES:
            went = let_go(chunk, &horizon, settled_lsn, false);
            break;
        case CHUNK_IS_RUNNING:
            if (in_need)
                went = let_go(chunk, &horizon, settled_lsn, true);
            held_back->running += blocks - went;
            break;
        case CHUNK_IS_UNDURABLE:
            held_back->undurable += blocks;
            break;
        case CHUNK_IS_KEPT:
            held_back->kept += blocks;
            break;
        }
    }
    *lock = 0;
    return went;
}

static void publish(const struct held_back *held_back)
{
    cache->held_by_transactions = held_back->running;
    cache->held_undurable = held_back->undurable;
    cache->held_for_good = held_back->kept;
}

/*
 * Called with no lock held by who is about to bring in blocks, or has. Is there room for them? Lets go of as much as
 * came in, and of a chunk more, so that many who do so come back under the limit together.
 */
bool cache_make_room(uint32_t blocks)
{
    static struct held_back seen; /* by this process, since something went */
    struct chunk_pool *pool = &shared->pool;
    if (cache == NULL || cache->resident + blocks <= cache->limit_blocks)
        return true;
    settle();
    if (cache->punch_errno != 0 || now_ms() < pool->rest_until)
        return false;
    int saved_errno = errno;
    uint32_t went = 0;
    uint32_t used = chunks_used();
    for (uint32_t looks = 0; looks < LOOKS_MAX && used > 0 && went < blocks + BLOCKS_PER_CHUNK; looks++) {
        if (cache->resident + blocks <= cache->limit_blocks)
            break;
        uint32_t fruitless = pool->fruitless++;
        uint32_t here = look(pool->hand++ % used + 1, fruitless > used, &seen);
        if (here > 0) {
            went += here;
            pool->fruitless = 0;
            memset(&seen, 0, sizeof seen);
        } else if (fruitless > 2 * used) {
            publish(&seen);
            memset(&seen, 0, sizeof seen);
            pool->fruitless = 0;
            pool->rest_until = now_ms() + REST_MS;
            break;
        }
    }
    errno = saved_errno;
    bool has_room = cache->resident + blocks <= cache->limit_blocks;
    if (has_room)
        publish(&(struct held_back){0});
    return has_room;
}
