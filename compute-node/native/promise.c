/*
 * Flushes that return before their quorum. Where the way to it is long, a session that commits would hold PostgreSQL's WAL write
 * lock for all of it, and the next could only begin then. So the agent may let a flush return when its WAL is on its way, and
 * have each session wait for the quorum by itself, many at a time: as for a synchronous standby, which the agent plays
 * (compute-node/src/commit-wait). What makes that safe is here and there together:
 *
 * Invariants:
 * - nobody is told of a commit of their own before it is durable, whatever they wait for: a session's reply leaves only when the
 *   end of its last commit is durable. That holds without the standby too, and for `synchronous_commit = local`; of `off` it is what the
 *   user asked for;
 * - no session shows what another has committed before that is durable: PostgreSQL shows a transaction when its wait is over. A standby's
 *   wait can be cancelled, and ends with its session; this one cannot, as a flush cannot (hold_commit_wait). Who asks for `local` does
 *   not wait, and neither does one that was cancelled in the moment between its flush and its wait: others see these a round trip early;
 * - whoever streams changes, or is a client of another server (a subscription that says how far it has come, a foreign table), says
 *   nothing while anything that was flushed is not durable: what it would tell cannot be told apart;
 * - a page is asked for as of what was flushed (read_lsn), and the agent waits until that is durable; what is let go of from the
 *   local files is durable (settle.c).
 *
 * The agent writes how far WAL is durable, and how far flushes have returned, into the file of the lease: the second before a flush
 * returns, the first before any wait ends. Where all is durable this costs a reply one look at it.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* Between two looks of a process that has something to say, or to do, and may not. */
#define HOLD_NS 500000
/* Of what processes wait for, the class that waits for other processes (PG_WAIT_IPC). */
#define CLASS_OF(info) ((info) & 0xff000000u)
#define WAIT_IPC 0x08000000u

static void hold(void)
{
    const struct timespec pause = {.tv_nsec = HOLD_NS};
    nanosleep(&pause, NULL);
}

uint64_t durable_lsn(void)
{
    uint64_t answered = shared->wal_durable, written = wal_points().durable;
    return answered > written ? answered : written;
}

/* Up to where what is sent there may tell of WAL. */
static uint64_t told_by(int fd, const struct wal_points *points)
{
    const int *port = *postgres.MyProcPort;
    if (port == NULL || *port != fd)
        return points->promised;
    if (!is_clients(fd) || *postgres.ClientAuthInProgress)
        return 0;
    if (*postgres.am_walsender)
        return points->promised;
    return *postgres.synchronous_commit == SYNCHRONOUS_COMMIT_OFF ? 0 : *postgres.XactLastCommitEnd;
}

bool tells_too_early(int fd)
{
    if (shared == NULL)
        return false;
    struct wal_points points = wal_points();
    if (__builtin_expect(points.promised <= points.durable, 1) || says_last_words() || told_by(fd, &points) <= durable_lsn())
        return false;
    hold();
    return true;
}

static bool waits_for_standby(void)
{
    static uint32_t known;
    uint32_t info = **postgres.my_wait_event_info;
    if (CLASS_OF(info) != WAIT_IPC || (known != 0 && info != known))
        return false;
    if (known == 0 && strcmp(postgres.pgstat_get_wait_event(info), "SyncRep") == 0)
        known = info;
    return info == known;
}

/*
 * Something has ended a wait for other processes: if it is one for the standby, it was its answer, or somebody who cancels or
 * terminates the session. In that case this returns when the commit is durable, whatever PostgreSQL makes of it then.
 */
void hold_commit_wait(void)
{
    if (!waits_for_standby())
        return;
    uint64_t end = *postgres.XactLastRecEnd;
    while (wal_points().promised >= end && durable_lsn() < end && getppid() == config.postmaster)
        hold();
}
