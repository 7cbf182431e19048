/*
 * Connections from the network that this server has no use for are refused once it is known who they are, with words that say why: those
 * for the writer that cannot be passed on to it (writer-port.c), and those for physical replication.
 *
 * What the latter would get cannot be used: the local pg_wal begins, mid-segment, where this writer opened the volume, and
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

#define FEATURE_NOT_SUPPORTED SQLSTATE('0', 'A', '0', '0', '0')
#define CANNOT_CONNECT_NOW SQLSTATE('5', '7', 'P', '0', '3')
#define STATUS_OK 0

static void refuse_replication(void)
{
    postgres.errcode(FEATURE_NOT_SUPPORTED);
    postgres.errmsg("connections for physical replication (pg_basebackup, pg_receivewal, standbys) are not available");
    postgres.errdetail("The data and its log are in the cluster's volume, in six copies; this server's own files are a cache of it, "
                       "and its WAL files are not kept.");
    postgres.errhint("For a copy of the data use pg_dump or pg_dumpall. A standby is not needed to survive the loss of this server "
                     "or of a zone: another one opens the same volume. Logical replication is available with wal_level=logical.");
}

static void refuse_for_want_of_a_writer(void)
{
    postgres.errcode(CANNOT_CONNECT_NOW);
    postgres.errmsg("this server is a reader, and the writer cannot be reached from it");
    postgres.errdetail("The address that leads to the writer has led here; there is no writer at present, or it is not known yet.");
    postgres.errhint("Connect again in a moment, or give the client the instances' own addresses and target_session_attrs=read-write.");
}

/*
 * The local socket is the agent's own: it may ask for a replication connection, which reads no catalogs, to see who
 * answers.
 */
static void refuse_client(const int *port, int status)
{
    bool is_physical = *postgres.am_walsender && !*postgres.am_db_walsender;
    if (status != STATUS_OK || !is_clients(*port) || !(lacks_writer() || is_physical) || !postgres.errstart(FATAL, NULL))
        return;
    if (lacks_writer())
        refuse_for_want_of_a_writer();
    else
        refuse_replication();
    postgres.errfinish(__FILE__, __LINE__, __func__);
}

/* Libraries that PostgreSQL loads later keep the hook and call it on. */
void watch_connections(void)
{
    *postgres.ClientAuthentication_hook = refuse_client;
}
