/*
 * Which of PostgreSQL's writes to relation files are durable in the volume with all that is in them.
 *
 * A page's own LSN does not tell. Some changes leave it as it is: that a heap page is all visible is in the WAL, and
 * pd_lsn says nothing of it. So time is cut into epochs. A write notes the epoch in which it began. When an epoch
 * begins, the end of all WAL that PostgreSQL has put into its buffers so far is noted after the epoch was counted up:
 *
 * Invariant: what was written in an epoch before E holds changes only of records that end at or below the LSN noted for
 * E. (It had its content before it looked at the epoch, and a page changes and its record is inserted in one critical
 * section, under the page's lock.) Once that LSN is durable, so is the content; and read from the volume at that LSN or
 * above, the page has all of it.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <time.h>

/* What the agent has read ahead is not used across the epoch of an eviction: so they do not come too fast. */
#define EPOCH_MS 50

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* To be asked before a write takes a lock or touches the file. */
uint32_t write_epoch(void)
{
    return shared->settling.epoch;
}

/*
 * On a reader what was replayed is durable. A page that is written while a record is replayed may have that record's
 * changes, and the volume gives them back only once the record counts as replayed.
 */
static uint64_t inserted_lsn(void)
{
    return is_reader() ? replaying_lsn() : postgres.GetXLogInsertEndRecPtr();
}

static uint64_t given_back_lsn(void)
{
    return is_reader() ? replayed_lsn() : durable_lsn();
}

/* Moves on as far as it can without waiting: settles the epoch that is durable now, and begins the next. */
void settle(void)
{
    struct settling *s = &shared->settling;
    if (!try_lock(&s->lock))
        return;
    uint64_t lsn = s->epoch_lsn;
    if (s->epoch > s->settled_epoch && lsn != UINT64_MAX) {
        if (given_back_lsn() >= lsn) {
            s->settled_lsn = lsn;
            s->settled_epoch = s->epoch;
        } else if (!is_reader()) {
            postgres.XLogSetAsyncXactLSN(lsn); /* PostgreSQL's WAL writer flushes what no commit flushes */
        }
    }
    uint64_t now = now_ms();
    /* Before PostgreSQL knows where its WAL goes on, it inserts nothing. */
    if (s->settled_epoch == s->epoch && now - s->epoch_began >= EPOCH_MS && inserted_lsn() >= shared->wal_start) {
        s->epoch_lsn = UINT64_MAX; /* who is killed here leaves an epoch that never settles */
        s->epoch++;
        s->epoch_lsn = inserted_lsn();
        s->epoch_began = now;
    }
    s->lock = 0;
}
