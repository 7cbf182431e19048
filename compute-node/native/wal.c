/*
 * Durability: fdatasync of a WAL file asks the agent to make everything written so far durable in the volume.
 * PostgreSQL writes and flushes WAL under WALWriteLock, so these fields have one writer at a time. Where the way to a quorum is
 * long, the agent answers when all of it is on its way, and each session waits for the quorum by itself (promise.c).
 *
 * A bulk load writes many megabytes before it asks for a flush. The agent is told of them meanwhile, so that they are
 * on their way when the flush comes, which then waits for the rest alone. It is told what is in the file, never what
 * will be: a process that dies between the two has told nothing. Small commits are flushed at once and tell nothing
 * extra.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>

/* Worth a message and a batch of its own. */
#define TELL_EVERY_BYTES (256u << 10)

void wal_wrote(const struct file_entry *file, off_t offset, ssize_t bytes)
{
    /* What comes from the volume is in it. */
    if (config.is_standby && (is_walreceiver() || is_reader()))
        return;
    uint64_t begin = file->wal_base + (uint64_t)offset;
    uint64_t end = begin + (uint64_t)bytes;
    if (begin < shared->wal_dirty_from)
        shared->wal_dirty_from = begin;
    if (end > shared->wal_written)
        shared->wal_written = end;
    shared->wal_writes++;
    if (shared->wal_written - shared->wal_told >= TELL_EVERY_BYTES && shared->wal_written > shared->wal_told && !shared->fenced) {
        shared->wal_told = shared->wal_written;
        agent_wrote(shared->wal_written);
    }
}

/*
 * Returns only when the volume has everything that was written, or the agent has taken it upon itself that nobody is told of
 * it before. PostgreSQL would end with a PANIC too, without saying why.
 */
int wal_flush(void)
{
    if (config.is_standby && is_walreceiver())
        return 0;
    if (is_reader())
        refuse_reader_wal();
    int saved_errno = errno;
    uint64_t lsn;
    if (shared->fenced)
        die_by_verdict(SHIM_FENCED);
    uint64_t writes = shared->wal_writes;
    if (writes == shared->wal_writes_flushed)
        return 0;
    if (shared->wal_written > shared->wal_told)
        shared->wal_told = shared->wal_written;
    enum shim_status status = agent_flush(shared->wal_written, shared->wal_dirty_from, &lsn);
    if (status == SHIM_FENCED)
        shared->fenced = 1;
    if (status != SHIM_OK && status != SHIM_SENT)
        die_by_verdict(status);
    if (status == SHIM_OK)
        raise_lsn(&shared->wal_durable, lsn);
    raise_lsn(&shared->wal_flushed, lsn);
    if (writes == shared->wal_writes) {
        shared->wal_writes_flushed = writes;
        shared->wal_dirty_from = UINT64_MAX;
    }
    errno = saved_errno;
    return 0;
}
