/*
 * Evictions at the worst moment, in one process: the shim's own code over calls of the C library that let somebody else
 * do something in the middle. Prints what each case came to; compute-node/src/postgres/shim-evict.test.ts has what that
 * must be.
 */
#define _GNU_SOURCE
#include "../chunks.h"
#include "../postgres.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RELATION "base/5/1000"
#define START_LSN 0x2000000u
/* What PostgreSQL has changed, and put into its WAL, without a page's LSN that shows it. */
#define INSERTED_LSN (START_LSN + 5000)
#define PAGE_LSN (START_LSN + 1000)

struct real_calls real;
struct shared_state *shared;
struct shim_config config;
struct postgres postgres;

static int fd;
static void (*meanwhile)(void);
static uint64_t asked_lsn, asked_holes_lsn;
static char from_volume;
static char comes_along; /* with a page, of the block after it; 0 for nothing */

static void happen(void)
{
    void (*now)(void) = meanwhile;
    meanwhile = NULL;
    if (now != NULL)
        now();
}

/* The kernel copies page by page of its own, which are half of ours. */
static ssize_t pread_in_halves(int file, void *buffer, size_t bytes, off_t offset)
{
    if (bytes != BLOCK_BYTES)
        return pread(file, buffer, bytes, offset);
    ssize_t first = pread(file, buffer, bytes / 2, offset);
    happen();
    ssize_t second = pread(file, (char *)buffer + bytes / 2, bytes / 2, offset + (off_t)bytes / 2);
    return first + second;
}

int agent_read_pages(const struct file_entry *file, uint32_t block, uint16_t count, char *const *pages, struct pages_along *along,
                     bool (*gives_up)(void))
{
    (void)file, (void)gives_up;
    asked_lsn = read_lsn();
    asked_holes_lsn = shared->holes_lsn;
    char content = from_volume;
    happen();
    for (uint16_t i = 0; i < count; i++)
        memset(pages[i], content, BLOCK_BYTES);
    if (comes_along != 0 && along != NULL && along->room > 0) {
        along->block = block + count;
        along->count = 1;
        memset(along->pages[0], comes_along, BLOCK_BYTES);
    }
    return 0;
}

void agent_expect_pages(const struct file_entry *file, uint32_t block, uint16_t count)
{
    (void)file, (void)block, (void)count;
}

bool page_read_gives_up(void)
{
    return false;
}

bool file_read_gives_up(void)
{
    return false;
}

static uint64_t insert_lsn(void)
{
    return INSERTED_LSN;
}

static void flush_soon(uint64_t lsn)
{
    (void)lsn;
}

/* On a standby: everything up to here was replayed, and the record that ends at the other is under replay. */
static uint64_t replayed = START_LSN, replaying = START_LSN;

static uint64_t replayed_up_to(uint32_t *timeline)
{
    (void)timeline;
    return replayed;
}

static uint64_t replaying_up_to(uint32_t *timeline)
{
    (void)timeline;
    return replaying;
}

static uint64_t promoted;

uint64_t promoted_at(void)
{
    return promoted;
}

static struct file_entry relation(void)
{
    struct file_entry file = classify_path(RELATION);
    file.writable = true;
    return file;
}

static void write_block(uint32_t block, char content)
{
    struct file_entry file = relation();
    char page[BLOCK_BYTES];
    memset(page, content, sizeof page);
    uint32_t lsn[2] = {0, PAGE_LSN};
    memcpy(page, lsn, sizeof lsn);
    struct iovec part = {.iov_base = page, .iov_len = sizeof page};
    relation_write(fd, &file, &part, 1, (off_t)block * BLOCK_BYTES);
}

static void write_page(char content)
{
    write_block(0, content);
}

/* All that is local and may go goes; what was written is settled first. */
static void evict(void)
{
    for (int i = 0; i < 50; i++) {
        shared->settling.epoch_began = 0;
        settle();
    }
    uint32_t limit = cache->limit_blocks;
    cache->limit_blocks = 0;
    for (int i = 0; i < 20; i++) {
        shared->pool.rest_until = 0;
        cache_make_room(0);
    }
    cache->limit_blocks = limit;
}

/* 'x' for content x everywhere, '.' for a hole, '!' for anything else. */
static char content_of(const char *page)
{
    if (is_zero(page))
        return '.';
    for (int i = 16; i < BLOCK_BYTES; i++)
        if (page[i] != page[8])
            return '!';
    return page[8];
}

static char block_in_file(uint32_t block)
{
    char page[BLOCK_BYTES];
    return pread(fd, page, sizeof page, (off_t)block * BLOCK_BYTES) == BLOCK_BYTES ? content_of(page) : '?';
}

static char in_file(void)
{
    return block_in_file(0);
}

static char read_page(void)
{
    struct file_entry file = relation();
    char page[BLOCK_BYTES];
    struct iovec part = {.iov_base = page, .iov_len = sizeof page};
    return relation_read(fd, &file, &part, 1, 0) == BLOCK_BYTES ? content_of(page) : '?';
}

static void changed_written_and_evicted(void)
{
    write_page('n');
    evict();
    from_volume = 'n';
}

static void make_cache(const char *path)
{
    struct cache_file made = {.magic = 0x48434143u, .bytes = sizeof made, .limit_blocks = 1000};
    int file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (file < 0 || write(file, &made, sizeof made) != sizeof made || !map_cache(path))
        exit(1);
    close(file);
}

/* A page that is written while a record is replayed that changed it stays until the record counts as replayed. */
static int on_standby(void)
{
    config.is_standby = true;
    shared->running_lsn = UINT64_MAX;
    replayed = START_LSN + 500;
    replaying = PAGE_LSN;
    write_page('a');
    evict();
    printf("under replay: %c\n", in_file());
    replayed = PAGE_LSN;
    evict();
    printf("replayed: %c\n", in_file());
    from_volume = 'a';
    char again = read_page();
    printf("read again: %c, asked at +%llu and +%llu\n", again, (unsigned long long)asked_lsn - START_LSN,
           (unsigned long long)asked_holes_lsn - START_LSN);
    replaying = START_LSN + 2000;
    begin_loss();
    end_loss();
    printf("lost blocks: nothing read ahead below +%llu\n", (unsigned long long)shared->holes_lsn - START_LSN);
    return 0;
}

static void next_is_written(void)
{
    write_block(1, 'n');
}

static void next_is_written_and_evicted(void)
{
    write_block(1, 'n');
    evict();
}

static void blocks_are_lost(void)
{
    begin_loss();
    end_loss();
}

/* Another process reads the block before, and has this one come along. */
static void comes_along_with_another(void)
{
    if (read_page() != 'o')
        exit(1);
}

/* Of a hole the block after it comes along, as it was before what happens meanwhile. */
static int along(void)
{
    const struct {
        const char *what;
        void (*meanwhile)(void);
        off_t blocks;
    } cases[] = {{"nothing", NULL, 2},
                 {"it was written", next_is_written, 2},
                 {"it was written and evicted", next_is_written_and_evicted, 2},
                 {"blocks were lost", blocks_are_lost, 2},
                 {"past the end", NULL, 1}};
    shared->wal_durable = shared->wal_flushed = INSERTED_LSN;
    shared->running_lsn = PAGE_LSN;
    if (ftruncate(fd, 2 * BLOCK_BYTES) != 0)
        return 1;
    from_volume = comes_along = 'o';
    meanwhile = comes_along_with_another;
    struct file_entry file = relation();
    char next[BLOCK_BYTES];
    struct iovec part = {.iov_base = next, .iov_len = sizeof next};
    ssize_t got = relation_read(fd, &file, &part, 1, BLOCK_BYTES);
    printf("while it is read itself: read %zd, %c\n", got, content_of(next));
    real.pread = pread;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stat end;
        evict();
        if (ftruncate(fd, 0) != 0 || ftruncate(fd, cases[i].blocks * BLOCK_BYTES) != 0)
            return 1;
        from_volume = comes_along = 'o';
        meanwhile = cases[i].meanwhile;
        char seen = read_page();
        if (fstat(fd, &end) != 0)
            return 1;
        printf("%s: read %c, the next %c, %lld in the file\n", cases[i].what, seen, block_in_file(1), (long long)(end.st_size / BLOCK_BYTES));
    }
    return 0;
}

/* Every flush waits for its quorum here (promise.c). */
uint64_t durable_lsn(void)
{
    return shared->wal_durable;
}

int main(int arguments, char **argument)
{
    real.open = open;
    real.close = close;
    real.read = read;
    real.pread = pread_in_halves;
    real.preadv = preadv;
    real.pwrite = pwrite;
    real.pwritev = pwritev;
    postgres.GetXLogInsertEndRecPtr = insert_lsn;
    postgres.XLogSetAsyncXactLSN = flush_soon;
    postgres.GetXLogReplayRecPtr = replayed_up_to;
    postgres.GetCurrentReplayRecPtr = replaying_up_to;
    shared = calloc(1, sizeof *shared);
    shared->request_lsn = shared->holes_lsn = shared->wal_durable = shared->wal_flushed = shared->wal_start = shared->running_lsn = START_LSN;
    shared->settling.epoch = 1;
    shared->settling.epoch_lsn = START_LSN;
    make_cache("volume_cache");
    if ((fd = open(RELATION, O_CREAT | O_RDWR | O_TRUNC, 0600)) < 0 || ftruncate(fd, BLOCK_BYTES) != 0)
        return 1;
    if (arguments > 1 && strcmp(argument[1], "standby") == 0)
        return on_standby();
    if (arguments > 1 && strcmp(argument[1], "along") == 0)
        return along();

    shared->running_lsn = PAGE_LSN;
    write_page('a');
    evict();
    printf("not durable: %c\n", in_file());
    shared->wal_durable = shared->wal_flushed = INSERTED_LSN;
    shared->running_lsn = START_LSN;
    evict();
    printf("a transaction runs: %c\n", in_file());
    shared->running_lsn = PAGE_LSN;
    evict();
    printf("may go: %c, %llu left\n", in_file(), (unsigned long long)cache->resident);

    from_volume = 'a';
    char again = read_page();
    printf("read again: %c, asked at +%llu and +%llu\n", again, (unsigned long long)asked_lsn - START_LSN,
           (unsigned long long)asked_holes_lsn - START_LSN);
    printf("kept: %c\n", in_file());

    meanwhile = evict;
    char seen = read_page();
    printf("evicted in the middle of a read: %c\n", seen);

    evict();
    meanwhile = NULL;
    from_volume = 'o';
    /* What is fetched is old by the time that it comes. */
    char old[BLOCK_BYTES];
    struct file_entry file = relation();
    struct iovec part = {.iov_base = old, .iov_len = sizeof old};
    real.pread = pread;
    meanwhile = changed_written_and_evicted;
    ssize_t got = relation_read(fd, &file, &part, 1, 0);
    printf("evicted while it was fetched: read %zd, in the file %c\n", got, in_file());

    write_page('b');
    if (close(open("base/5/1000_init", O_CREAT | O_WRONLY, 0600)) != 0)
        return 1;
    evict();
    printf("unlogged: %c, %llu left\n", in_file(), (unsigned long long)cache->resident);
    return 0;
}
