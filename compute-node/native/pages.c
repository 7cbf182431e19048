/*
 * Pages on demand. A relation block that reads as zeros is not cached here: the agent is asked for it and the local
 * file gets it, so that it is asked for once. Zeros can be real (a file just extended); the price is one more request.
 */
#define _GNU_SOURCE
#include "chunks.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool is_zero(const char *page)
{
    const uint64_t *words = (const uint64_t *)page;
    if ((words[0] | words[1] | words[2]) != 0)
        return false;
    return memcmp(page, page + 8, BLOCK_BYTES - 8) == 0;
}

/*
 * The volume must answer with pages that hold every change we have let go of: page images written to local files, which
 * could be dropped, and truncations. Those were flushed first (WAL before data). The one exception are files of a
 * relation just being built (smgr_bulk_write), which nobody drops: a request is capped at the flushed LSN because of
 * them. What is flushed and not durable yet the agent waits for before it reads (VolumeAccess.readPages).
 */
void raise_lsn(_Atomic uint64_t *lsn, uint64_t to)
{
    uint64_t now = *lsn;
    while (to > now && !atomic_compare_exchange_weak(lsn, &now, to))
        ;
}

/*
 * Around the truncation or removal of a relation file: its blocks may come back as zeros, and then neither the volume
 * nor what the agent has read ahead may fill them with what was there before. PostgreSQL has flushed the record of it,
 * so the flushed LSN covers it.
 *
 * Invariant: a block that is a hole now has not been changed since holes_lsn. It was not written to the file since the
 * file last lost blocks, and PostgreSQL writes a page that it changed before it lets go of it, unless the file loses
 * the block.
 */
void begin_loss(void)
{
    uint64_t flushed = is_reader() ? replaying_lsn() : shared->wal_flushed;
    raise_lsn(&shared->request_lsn, flushed);
    raise_lsn(&shared->holes_lsn, flushed);
    shared->losses_begun++;
}

void end_loss(void)
{
    shared->losses_ended++;
}

/* ---- reading ---- */

static uint32_t block_at(const struct file_entry *file, off_t offset)
{
    return file->first_block + (uint32_t)(offset / BLOCK_BYTES);
}

/*
 * What had happened to a range of blocks when they were about to be looked at. Unchanged later, what was a hole then
 * still is.
 */
struct moment {
    uint32_t block, blocks;
    uint64_t writes;
    uint32_t losses;
    uint32_t punches, arrivals;
    bool losing, punching, arriving;
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
    struct moment moment = {
        .block = block, .blocks = blocks, .writes = writes_to(file, block, blocks), .losses = begun, .losing = begun != ended};
    moment.punches = counted_in(shared->punches, file, block, blocks, &moment.punching);
    moment.arrivals = counted_in(shared->arrivals, file, block, blocks, &moment.arriving);
    return moment;
}

/* Was something let go of since? */
static bool lost_to_punch(const struct file_entry *file, const struct moment *before)
{
    bool punching;
    return counted_in(shared->punches, file, before->block, before->blocks, &punching) != before->punches || before->punching;
}

/* May what was read after it without a lock be half of a page, or of another time than the rest? */
static bool may_be_torn(const struct file_entry *file, const struct moment *before)
{
    bool arriving;
    return lost_to_punch(file, before) || before->arriving ||
           counted_in(shared->arrivals, file, before->block, before->blocks, &arriving) != before->arrivals;
}

static bool write_run(int fd, const struct file_entry *file, const struct iovec *parts, int count, off_t offset)
{
    if (count == 0)
        return true;
    ssize_t wrote = real.pwritev(fd, parts, count, offset);
    if (wrote > 0)
        cache_note_fetched(file, block_at(file, offset), (uint32_t)(wrote / BLOCK_BYTES));
    return wrote == (ssize_t)count * BLOCK_BYTES;
}

static bool is_hole(int fd, off_t offset)
{
    char now[BLOCK_BYTES] __attribute__((aligned(8)));
    return real.pread(fd, now, BLOCK_BYTES, offset) == BLOCK_BYTES && is_zero(now);
}

/*
 * Keeps fetched pages in the local file, unless somebody has written there since; where it is not known that they were
 * holes before, each is looked at. A failure costs the next reader a request. Where a file lost blocks meanwhile nothing
 * is kept: a block may have come back that the pages do not belong to.
 */
static void cache_pages(int fd, const struct file_entry *file, uint32_t block, int count, char *const *pages,
                        const struct moment *before, bool were_holes)
{
    struct stripes_held held;
    struct iovec run[SHIM_MAX_BLOCKS];
    int length = 0;
    off_t offset = (off_t)(block - file->first_block) * BLOCK_BYTES;
    off_t run_offset = offset;
    lock_blocks(file, block, (uint32_t)count, &held);
    for (int i = 0; !were_holes && i < held.count; i++)
        shared->arrivals[held.stripe[i]] |= 1;
    bool unwritten = were_holes && writes_to(file, before->block, before->blocks) == before->writes;
    bool kept = !before->losing && shared->losses_begun == before->losses && !lost_to_punch(file, before);
    for (int i = 0; kept && i < count; i++, offset += BLOCK_BYTES) {
        if (!is_zero(pages[i]) && (unwritten || is_hole(fd, offset))) {
            if (length == 0)
                run_offset = offset;
            run[length++] = (struct iovec){.iov_base = pages[i], .iov_len = BLOCK_BYTES};
            continue;
        }
        kept = write_run(fd, file, run, length, run_offset);
        length = 0;
    }
    if (kept)
        write_run(fd, file, run, length, run_offset);
    for (int i = 0; !were_holes && i < held.count; i++)
        shared->arrivals[held.stripe[i]]++;
    unlock_blocks(&held);
}

/* The LSN that a page from the volume must be as new as. */
uint64_t read_lsn(void)
{
    if (is_reader())
        return replayed_lsn();
    uint64_t lsn = shared->request_lsn;
    uint64_t flushed = shared->wal_flushed;
    return lsn < flushed ? lsn : flushed;
}

/*
 * Pages that came along go into the file alone, and PostgreSQL finds them there: one request in place of several, while
 * nobody waits for any but the first.
 *
 * Invariant: a block that is a hole in the file, with its stripes held, and of which nothing was lost or let go of since
 * before the request, is what was read ahead of it at `holes_lsn` or later, or PostgreSQL has it in a buffer. What it
 * changes there it writes over this before it lets go of the buffer.
 * Others may read such a block at that moment, which is no buffer of theirs alone as one that was asked for is: they read it again, locked, when
 * they see `arrivals` change, since they may have seen half of it.
 */
static void keep_along(int fd, const struct file_entry *file, const struct pages_along *along, const struct moment *before)
{
    char *pages[SHIM_MAX_BLOCKS];
    uint32_t left = file->first_block + BLOCKS_PER_FILE - along->block;
    uint32_t count = along->count < left ? along->count : left;
    if (along->block - file->first_block >= BLOCKS_PER_FILE || !cache_make_room(count))
        return;
    for (uint32_t i = 0; i < count; i++)
        pages[i] = along->pages[i];
    cache_pages(fd, file, along->block, (int)count, pages, before, false);
}

static int fetch(int fd, const struct file_entry *file, uint32_t block, int count, char *const *pages, const struct moment *before,
                 bool (*gives_up)(void))
{
    static char room[SHIM_MAX_BLOCKS][BLOCK_BYTES] __attribute__((aligned(8))); /* touched by those that scan */
    struct pages_along along = {.pages = room, .room = file->writable ? SHIM_MAX_BLOCKS - (uint32_t)count : 0};
    struct moment beyond = moment_of(file, block + (uint32_t)count, SHIM_ALONG_WITHIN);
    if (agent_read_pages(file, block, (uint16_t)count, pages, &along, gives_up) != 0)
        return -1;
    if (file->writable && cache_make_room((uint32_t)count))
        cache_pages(fd, file, block, count, pages, before, true);
    else if (cache != NULL)
        cache->not_kept += (uint64_t)count;
    if (along.count > 0)
        keep_along(fd, file, &along, &beyond);
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
    uint32_t holes = 0;
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
            holes++;
            if (length == 0)
                run_start = block;
            run[length++] = page;
        }
        if (left > 0)
            break; /* PostgreSQL reads whole pages into whole pages */
    }
    if (length > 0 && fetch(fd, file, run_start, length, run, before, gives_up) != 0)
        return -1;
    cache_note_read(file, before->block, block - before->block - holes, holes);
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

/* What was read without a lock while blocks were let go of, or came along, may be half a page: reads it again beside nobody. */
static ssize_t read_locked(int fd, const struct file_entry *file, const struct iovec *parts, int count, off_t offset,
                           struct moment *before)
{
    struct stripes_held held;
    lock_blocks(file, before->block, before->blocks, &held);
    *before = moment_of(file, before->block, before->blocks);
    before->punching = before->arriving = false; /* of a holder who was killed */
    ssize_t got = real.preadv(fd, parts, count, offset);
    int saved_errno = errno;
    unlock_blocks(&held);
    errno = saved_errno;
    return got;
}

ssize_t relation_read(int fd, struct file_entry *file, const struct iovec *parts, int count, off_t offset)
{
    size_t blocks = room_of(parts, count) / BLOCK_BYTES;
    if (blocks == 0 || offset % BLOCK_BYTES != 0)
        return real.preadv(fd, parts, count, offset);
    struct moment before = moment_of(file, block_at(file, offset), (uint32_t)blocks);
    ssize_t got = count == 1 ? real.pread(fd, parts[0].iov_base, parts[0].iov_len, offset) : real.preadv(fd, parts, count, offset);
    if (may_be_torn(file, &before))
        got = read_locked(fd, file, parts, count, offset, &before);
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
    if (may_be_torn(file, &before) && read_locked(fd, file, &part, 1, offset, &before) != got) {
        errno = EIO; /* it is shorter now: nobody copies a file that loses blocks */
        return -1;
    }
    return fill_holes(fd, file, &part, 1, got, &before, file_read_gives_up) == 0 ? got : -1;
}

/*
 * PostgreSQL is going to read these blocks: the agent reads those ahead that are not here. The first words of a page
 * tell.
 */
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
            uint64_t lsn = page_lsn(page + at);
            if (lsn > newest)
                newest = lsn;
        }
    }
    raise_lsn(&shared->request_lsn, newest);
}

/*
 * Counted when it is done, under the lock: who saw a hole before it finds the count changed, who looks after it finds
 * no hole.
 */
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
    uint32_t epoch = write_epoch(); /* before anything else: what is written was all there */
    note_page_lsns(parts, count);
    uint32_t first = block_at(file, offset);
    uint32_t last = block_at(file, offset + (off_t)bytes - 1);
    lock_blocks(file, first, last - first + 1, &held);
    ssize_t wrote = count == 1 ? real.pwrite(fd, parts[0].iov_base, bytes, offset) : real.pwritev(fd, parts, count, offset);
    int saved_errno = errno;
    count_writes(&held);
    cache_note_written(file, first, parts, count, epoch);
    unlock_blocks(&held);
    cache_make_room(0);
    errno = saved_errno;
    return wrote;
}
