/*
 * Whether this server is a reader (standby.c) or the volume's writer. One that was started as a reader becomes the writer
 * while it runs: its agent promotes it, and says so here, by the file that it writes for every process (lease.c), before
 * it tells PostgreSQL.
 *
 * The agent says it when everything up to an LSN was replayed and nothing more will be. So what a reader asks for, and what
 * it keeps, is then what a writer that begins at that LSN would: there is no moment between the two, and it does not
 * matter when a process hears of it, if only before the first WAL of this server's own.
 *
 * Invariants:
 * - who finds a writer here finds shared memory as a writer that was started at that LSN has it: it is brought there first,
 *   by whoever hears of it first;
 * - nothing goes back: a writer is no reader any more.
 */
#define _GNU_SOURCE
#include "shim.h"

/* Done again from the beginning when whoever did it was killed: all of it may be. */
static void become_writer(uint64_t lsn)
{
    take_lock(&shared->role_lock);
    if (!shared->is_promoted) {
        raise_lsn(&shared->request_lsn, lsn);
        raise_lsn(&shared->holes_lsn, lsn);
        shared->wal_start = lsn;
        shared->wal_durable = lsn;
        shared->wal_flushed = lsn;
        shared->wal_told = lsn;
        /* No transaction of this server has begun: those of the writer before are over, for the last of what was replayed says so. */
        shared->running_lsn = lsn;
        shared->is_promoted = true;
    }
    shared->role_lock = 0;
}

bool is_reader(void)
{
    if (!config.is_standby || shared->is_promoted)
        return false;
    uint64_t lsn = promoted_at();
    if (lsn == 0)
        return true;
    become_writer(lsn);
    return false;
}
