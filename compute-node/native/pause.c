/*
 * While the writer's place goes to another server on purpose, sessions begin no transaction here: what a client asks for between two of them
 * is not read until the pause is over. So the client waits, nothing of what it asked for was done, and transactions that are under way have
 * the time to end (compute-node/src/switchover/drain-sessions.ts waits for them).
 *
 * Whether a session is between two transactions PostgreSQL knows. Nothing is read from the bytes that pass, which mean nothing here under TLS.
 * What a client has sent ahead, up to 8 KiB, PostgreSQL has read already, and does; it counts as under way.
 *
 * Invariants:
 * - nobody is held for good: the agent's file names the time at which the pause is over, and it is over then whether the agent lives or not;
 * - only what is read waits. What leaves, and what is durable, is as it is without.
 *
 * Not paused are those who connect, until they are let in; walsenders; and the agent's own sessions, by their Unix socket.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <sys/socket.h>
#include <time.h>

/* Between two looks; a signal, as of a termination, ends the wait. */
#define LOOK_NS 10000000

/*
 * Of a session that ends now: what it was asked for and has not read. A socket that is closed with something unread in it is reset, and the
 * client may not come to read why.
 */
static void discard_requests(int fd)
{
    char unread[8192];
    while (real.recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0)
        ;
}

bool is_paused(int fd)
{
    if (!are_sessions_paused() || *postgres.ClientAuthInProgress || *postgres.am_walsender || !is_clients(fd) ||
        postgres.IsTransactionOrTransactionBlock())
        return false;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    nanosleep(&pause, NULL);
    if (*postgres.ProcDiePending)
        discard_requests(fd);
    return true;
}
