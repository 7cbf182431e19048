/*
 * Connections from the network for physical replication are refused once their password was checked, with words that say why.
 *
 * What they would get cannot be used: the local pg_wal begins, mid-segment, where this writer opened the volume, and
 * ends with the pod. pg_receivewal would store zeros in place of WAL, and a standby could not follow the next writer.
 * pg_hba.conf can only say "no entry for replication connection", so the refusal stands in ClientAuthentication_hook,
 * the variable that PostgreSQL offers libraries for this (libpq/auth.h).
 *
 * Those that name a database are let in: they are for logical replication, which sends changes that are durable, and none that
 * a slot does not know the log of.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <stddef.h>
#include <sys/socket.h>

#define FEATURE_NOT_SUPPORTED SQLSTATE('0', 'A', '0', '0', '0')
#define STATUS_OK 0

static bool is_local(int socket)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    return getsockname(socket, (struct sockaddr *)&address, &bytes) == 0 && address.ss_family == AF_UNIX;
}

/*
 * The local socket is the agent's: it may ask for a replication connection, which reads no catalogs, to see who
 * answers.
 */
static void refuse_replication(const int *port, int status)
{
    if (status != STATUS_OK || !*postgres.am_walsender || *postgres.am_db_walsender || is_local(*port) || !postgres.errstart(FATAL, NULL))
        return;
    postgres.errcode(FEATURE_NOT_SUPPORTED);
    postgres.errmsg("connections for physical replication (pg_basebackup, pg_receivewal, standbys) are not available");
    postgres.errdetail("The data and its log are in the cluster's volume, in six copies; this server's own files are a cache of it, "
                       "and its WAL files are not kept.");
    postgres.errhint("For a copy of the data use pg_dump or pg_dumpall. A standby is not needed to survive the loss of this server "
                     "or of a zone: another one opens the same volume. Logical replication is available with wal_level=logical.");
    postgres.errfinish(__FILE__, __LINE__, __func__);
}

/* Libraries that PostgreSQL loads later keep the hook and call it on. */
void watch_connections(void)
{
    *postgres.ClientAuthentication_hook = refuse_replication;
}
