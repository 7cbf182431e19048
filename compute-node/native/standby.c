/*
 * A reader: PostgreSQL as a hot standby on the volume. It replays the volume's redo, which its walreceiver gets from
 * the agent, and keeps what it changes in its own files. Nothing of it goes to the volume.
 *
 * Pages are asked for as of the LSN that is replayed. Why that is right for whoever reads: a block that is a hole here
 * was not changed by replay since the volume was at that LSN or before, unless what was let go of is replayed by now
 * (settle.c), or the file lost it. A record that is being replayed and changes the block waits for the buffer that the
 * block is read into, finds the page as it was, and changes it.
 *
 * Invariants:
 * - the volume is asked as of what was replayed (GetXLogReplayRecPtr), and never past it: a page from the future would
 *   show rows of transactions whose end was not replayed yet;
 * - what is let go of, or lost, counts as changed by the record that is being replayed as well
 *   (GetCurrentReplayRecPtr);
 * - only the walreceiver writes WAL, and its flush means nothing but that it is in the local file. Anybody else who
 *   makes WAL durable has been told that this server is a writer now (pg_promote), which it is only if its agent has said
 *   so (role.c): it ends before any transaction could be acknowledged.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEATURE_NOT_SUPPORTED SQLSTATE('0', 'A', '0', '0', '0')

/* Everything up to here was replayed, and no record after it was begun; where this start began, before that. */
uint64_t replayed_lsn(void)
{
    uint64_t lsn = postgres.GetXLogReplayRecPtr(NULL);
    return lsn > shared->wal_start ? lsn : shared->wal_start;
}

/* Nothing past this was replayed, not even in part. */
uint64_t replaying_lsn(void)
{
    uint64_t lsn = postgres.GetCurrentReplayRecPtr(NULL);
    return lsn > shared->wal_start ? lsn : shared->wal_start;
}

/*
 * Before it replays anything, PostgreSQL looks in every database for what unlogged relations have left. There is
 * nothing: the directory was just made.
 */
bool replay_has_begun(void)
{
    return postgres.GetXLogReplayRecPtr(NULL) != 0;
}

static bool is_process(const char *kind)
{
    return strcmp(postgres.GetBackendTypeDesc(*postgres.MyBackendType), kind) == 0;
}

bool is_walreceiver(void)
{
    static pid_t known;
    static bool answer;
    if (known != getpid()) {
        answer = is_process("walreceiver");
        known = getpid();
    }
    return answer;
}

/* Is this the process that replays, once there is nothing more to replay? */
bool ends_recovery(void)
{
    return config.is_standby && is_process("startup") && !is_reader();
}

_Noreturn void refuse_reader_wal(void)
{
    if (postgres.errstart(PANIC, NULL)) {
        postgres.errcode(FEATURE_NOT_SUPPORTED);
        postgres.errmsg("this server is a reader, and cannot become the writer by a promotion of its own");
        postgres.errdetail("What it would write from here on would be in no copy of the volume.");
        postgres.errhint("It starts again as a reader. The cluster's writer is reached through the Service that ends with -rw.");
        postgres.errfinish(__FILE__, __LINE__, __func__);
    }
    abort();
}
