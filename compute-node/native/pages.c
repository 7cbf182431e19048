/*
 * Pages on demand. A relation block that reads as zeros is not cached here: the agent is asked for it and the local file
 * gets it, so that it is asked for once. Zeros can be real (a file just extended); the price is one more request.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_SPINS 200
#define MAX_STRIPES_HELD 8

static bool is_zero(const char *page)
{
    const uint64_t *words = (const uint64_t *)page;
    if ((words[0] | words[1] | words[2]) != 0)
        return false;
    return memcmp(page, page + 8, BLOCK_BYTES - 8) == 0;
}

/*
 * The volume must answer with pages that hold every change we have let go of: page images written to local files, which
 * could be dropped, and truncations. Those were flushed first (WAL before data). The one exception are files of a relation
 * just being built (smgr_bulk_write), which nobody drops: a request is capped at the durable LSN because of them.
 */
static void raise_lsn(_Atomic uint64_t *lsn, uint64_t to)
{
    uint64_t now = *lsn;
    while (to > now && !atomic_compare_exchange_weak(lsn, &now, to))
        ;
}

/*
 * Around the truncation or removal of a relation file: its blocks may come back as zeros, and then neither the volume nor what the
 * agent has read ahead may fill them with what was there before. PostgreSQL has flushed the record of it, so the durable LSN covers it.
 *
 * Invariant: a block that is a hole now has not been changed since holes_lsn. It was not written to the file since the file last lost
 * blocks, and PostgreSQL writes a page that it changed before it lets go of it, unless the file loses the block.
 */
void begin_loss(void)
{
    uint64_t durable = shared->wal_durable;
    raise_lsn(&shared->request_lsn, durable);
    raise_lsn(&shared->holes_lsn, durable);
    shared->losses_begun++;
}

void end_loss(void)
{
    shared->losses_ended++;
}

/* ---- stripes: a page from the volume must not overwrite one that another process writes at the same time ---- */

static uint32_t stripe_of(const struct file_entry *file, uint32_t block)
{
    uint32_t h = 2166136261u;
    h = (h ^ file->spc_oid) * 16777619u;
    h = (h ^ file->db_oid) * 16777619u;
    h = (h ^ file->rel_number) * 16777619u;
    h = (h ^ file->fork) * 16777619u;
    h = (h ^ (block / BLOCKS_PER_STRIPE)) * 16777619u;
    return (h >> 16) % STRIPES;
}

static void lock_stripe(uint32_t stripe)
{
    const struct timespec pause = {.tv_nsec = 20000};
    int32_t self = (int32_t)getpid();
    for (int spins = 0;; spins++) {
        int32_t holder = 0;
        if (atomic_compare_exchange_strong(&shared->stripes[stripe], &holder, self))
            return;
        if (spins < LOCK_SPINS)
            continue;
        /* A holder that was killed left at worst an unfinished write of its own: take the lock over. */
        if (kill(holder, 0) != 0 && errno == ESRCH && atomic_compare_exchange_strong(&shared->stripes[stripe], &holder, self))
            return;
        nanosleep(&pause, NULL);
    }
}

struct stripes_held {
    uint32_t stripe[MAX_STRIPES_HELD];
    int count;
};

/* Takes the stripes of [block, block + blocks) in ascending order of stripe, so that two holders never wait for each other. */
static void lock_blocks(const struct file_entry *file, uint32_t block, uint32_t blocks, struct stripes_held *held)
{
    held->count = 0;
    for (uint32_t group = block / BLOCKS_PER_STRIPE; group <= (block + blocks - 1) / BLOCKS_PER_STRIPE; group++) {
        uint32_t stripe = stripe_of(file, group * BLOCKS_PER_STRIPE);
        int at = held->count;
        while (at > 0 && held->stripe[at - 1] > stripe)
            at--;
        if (at > 0 && held->stripe[at - 1] == stripe)
            continue;
        memmove(&held->stripe[at + 1], &held->stripe[at], (size_t)(held->count - at) * sizeof held->stripe[0]);
        held->stripe[at] = stripe;
        held->count++;
    }
    for (int i = 0; i < held->count; i++)
        lock_stripe(held->stripe[i]);
}

/*
 * One relation's files are made by one process at a time. A stripe like any other: whoever holds it takes no second one, and
 * nobody opens a file while holding stripes.
 */
uint32_t lock_relation(uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number)
{
    const struct file_entry whole = {.fork = UINT8_MAX, .spc_oid = spc_oid, .db_oid = db_oid, .rel_number = rel_number};
    uint32_t stripe = stripe_of(&whole, 0);
    lock_stripe(stripe);
    return stripe;
}

void unlock_relation(uint32_t stripe)
{
    shared->stripes[stripe] = 0;
}

static void unlock_blocks(const struct stripes_held *held)
{
    for (int i = held->count - 1; i >= 0; i--)
        shared->stripes[held->stripe[i]] = 0;
}

/* ---- reading ---- */

/* What had happened to a range of blocks when they were about to be looked at. Unchanged later, what was a hole then still is. */
struct moment {
    uint32_t block, blocks;
    uint64_t writes;
    uint32_t losses;
    bool losing;
};

static uint64_t writes_to(const struct file_entry *file, uint32_t block, uint32_t blocks)
{
    uint64_t writes = 0;
    for (uint32_t group = block / BLOCKS_PER_STRIPE; group <= (block + blocks - 1) / BLOCKS_PER_STRIPE; group++)
        writes += shared->writes[stripe_of(file, group * BLOCKS_PER_STRIPE)];
    return writes;
}

static struct moment moment_of(const struct file_entry *file, uint32_t block, uint32_t blocks)
{
    uint32_t ended = shared->losses_ended;
    uint32_t begun = shared->losses_begun;
    return (struct moment){
        .block = block, .blocks = blocks, .writes = writes_to(file, block, blocks), .losses = begun, .losing = begun != ended};
}

static bool write_run(int fd, const struct iovec *parts, int count, off_t offset)
{
    return count == 0 || real.pwritev(fd, parts, count, offset) == (ssize_t)count * BLOCK_BYTES;
}

static bool is_hole(int fd, off_t offset)
{
    char now[BLOCK_BYTES] __attribute__((aligned(8)));
    return real.pread(fd, now, BLOCK_BYTES, offset) == BLOCK_BYTES && is_zero(now);
}

/*
 * Keeps fetched pages in the local file, unless somebody has written there since. A failure costs the next reader a request.
 * Where a file lost blocks meanwhile nothing is kept: a block may have come back that the pages do not belong to.
 */
static void cache_pages(int fd, const struct file_entry *file, uint32_t block, int count, char *const *pages,
                        const struct moment *before)
{
    struct stripes_held held;
    struct iovec run[SHIM_MAX_BLOCKS];
    int length = 0;
    off_t offset = (off_t)(block - file->first_block) * BLOCK_BYTES;
    off_t run_offset = offset;
    lock_blocks(file, block, (uint32_t)count, &held);
    bool unwritten = writes_to(file, before->block, before->blocks) == before->writes;
    bool kept = !before->losing && shared->losses_begun == before->losses;
    for (int i = 0; kept && i < count; i++, offset += BLOCK_BYTES) {
        if (!is_zero(pages[i]) && (unwritten || is_hole(fd, offset))) {
            if (length == 0)
                run_offset = offset;
            run[length++] = (struct iovec){.iov_base = pages[i], .iov_len = BLOCK_BYTES};
            continue;
        }
        kept = write_run(fd, run, length, run_offset);
        length = 0;
    }
    if (kept)
        write_run(fd, run, length, run_offset);
    unlock_blocks(&held);
}

/* The LSN that a page from the volume must be as new as. */
uint64_t read_lsn(void)
{
    uint64_t lsn = shared->request_lsn;
    uint64_t durable = shared->wal_durable;
    return lsn < durable ? lsn : durable;
}

static int fetch(int fd, const struct file_entry *file, uint32_t block, int count, char *const *pages, const struct moment *before,
                 bool (*gives_up)(void))
{
    if (agent_read_pages(file, block, (uint16_t)count, pages, gives_up) != 0)
        return -1;
    if (file->writable)
        cache_pages(fd, file, block, count, pages, before);
    return 0;
}

/* Replaces the zero blocks of what was just read, run by run. -1 with errno as agent_read_pages gives it. */
static int fill_holes(int fd, const struct file_entry *file, const struct iovec *parts, int count, ssize_t got,
                      const struct moment *before, bool (*gives_up)(void))
{
    char *run[SHIM_MAX_BLOCKS];
    int length = 0;
    uint32_t block = before->block;
    uint32_t run_start = block;
    int saved_errno = errno;
    for (int i = 0; i < count && got >= BLOCK_BYTES; i++) {
        char *page = parts[i].iov_base;
        size_t left = parts[i].iov_len;
        for (; left >= BLOCK_BYTES && got >= BLOCK_BYTES; left -= BLOCK_BYTES, got -= BLOCK_BYTES, page += BLOCK_BYTES, block++) {
            bool hole = is_zero(page);
            if (length > 0 && (!hole || length == SHIM_MAX_BLOCKS)) {
                if (fetch(fd, file, run_start, length, run, before, gives_up) != 0)
                    return -1;
                length = 0;
            }
            if (!hole)
                continue;
            if (length == 0)
                run_start = block;
            run[length++] = page;
        }
        if (left > 0)
            break; /* PostgreSQL reads whole pages into whole pages */
    }
    if (length > 0 && fetch(fd, file, run_start, length, run, before, gives_up) != 0)
        return -1;
    errno = saved_errno;
    return 0;
}

static size_t room_of(const struct iovec *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

static uint32_t block_at(const struct file_entry *file, off_t offset)
{
    return file->first_block + (uint32_t)(offset / BLOCK_BYTES);
}

ssize_t relation_read(int fd, struct file_entry *file, const struct iovec *parts, int count, off_t offset)
{
    size_t blocks = room_of(parts, count) / BLOCK_BYTES;
    if (blocks == 0 || offset % BLOCK_BYTES != 0)
        return real.preadv(fd, parts, count, offset);
    struct moment before = moment_of(file, block_at(file, offset), (uint32_t)blocks);
    ssize_t got = count == 1 ? real.pread(fd, parts[0].iov_base, parts[0].iov_len, offset) : real.preadv(fd, parts, count, offset);
    if (got < BLOCK_BYTES)
        return got;
    return fill_holes(fd, file, parts, count, got, &before, page_read_gives_up) == 0 ? got : -1;
}

/* read(2): how copy_file (CREATE DATABASE ... STRATEGY file_copy) goes through a relation. */
ssize_t relation_read_sequential(int fd, struct file_entry *file, void *buffer, size_t bytes)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (bytes < BLOCK_BYTES || offset < 0 || offset % BLOCK_BYTES != 0)
        return real.read(fd, buffer, bytes);
    struct moment before = moment_of(file, block_at(file, offset), (uint32_t)(bytes / BLOCK_BYTES));
    ssize_t got = real.read(fd, buffer, bytes);
    if (got < BLOCK_BYTES)
        return got;
    struct iovec part = {.iov_base = buffer, .iov_len = (size_t)got};
    return fill_holes(fd, file, &part, 1, got, &before, file_read_gives_up) == 0 ? got : -1;
}

/* PostgreSQL is going to read these blocks: the agent reads those ahead that are not here. The first words of a page tell. */
void relation_expect(int fd, const struct file_entry *file, off_t offset, off_t bytes)
{
    uint64_t head[3];
    int saved_errno = errno;
    uint32_t length = 0;
    off_t end = offset + bytes;
    offset -= offset % BLOCK_BYTES;
    for (; offset < end; offset += BLOCK_BYTES) {
        bool hole = real.pread(fd, head, sizeof head, offset) == sizeof head && (head[0] | head[1] | head[2]) == 0;
        if (length > 0 && (!hole || length == SHIM_MAX_BLOCKS)) {
            agent_expect_pages(file, block_at(file, offset) - length, (uint16_t)length);
            length = 0;
        }
        if (hole)
            length++;
    }
    if (length > 0)
        agent_expect_pages(file, block_at(file, offset) - length, (uint16_t)length);
    errno = saved_errno;
}

/* ---- writing ---- */

static void note_page_lsns(const struct iovec *parts, int count)
{
    uint64_t newest = 0;
    for (int i = 0; i < count; i++) {
        const char *page = parts[i].iov_base;
        for (size_t at = 0; at + BLOCK_BYTES <= parts[i].iov_len; at += BLOCK_BYTES) {
            const uint32_t *lsn = (const uint32_t *)(page + at); /* pd_lsn: high half first */
            uint64_t value = ((uint64_t)lsn[0] << 32) | lsn[1];
            if (value > newest)
                newest = value;
        }
    }
    raise_lsn(&shared->request_lsn, newest);
}

/* Counted when it is done, under the lock: who saw a hole before it finds the count changed, who looks after it finds no hole. */
static void count_writes(const struct stripes_held *held)
{
    for (int i = 0; i < held->count; i++)
        shared->writes[held->stripe[i]]++;
}

ssize_t relation_write(int fd, struct file_entry *file, const struct iovec *parts, int count, off_t offset)
{
    size_t bytes = room_of(parts, count);
    struct stripes_held held;
    if (bytes == 0 || bytes > (size_t)(MAX_STRIPES_HELD - 1) * BLOCKS_PER_STRIPE * BLOCK_BYTES)
        return real.pwritev(fd, parts, count, offset); /* PostgreSQL writes at most 128 pages at once: only zeros come here */
    note_page_lsns(parts, count);
    uint32_t first = block_at(file, offset);
    uint32_t last = block_at(file, offset + (off_t)bytes - 1);
    lock_blocks(file, first, last - first + 1, &held);
    ssize_t wrote = count == 1 ? real.pwrite(fd, parts[0].iov_base, bytes, offset) : real.pwritev(fd, parts, count, offset);
    int saved_errno = errno;
    count_writes(&held);
    unlock_blocks(&held);
    errno = saved_errno;
    return wrote;
}
