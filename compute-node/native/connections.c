/*
 * Replication connections from the network are refused once their password was checked, with words that say why.
 *
 * What they would get cannot be used: the local pg_wal begins, mid-segment, where this writer opened the volume, and ends
 * with the pod. pg_receivewal would store zeros in place of WAL, and a standby could not follow the next writer. pg_hba.conf
 * can only say "no entry for replication connection", so the refusal stands in ClientAuthentication_hook, the variable that
 * PostgreSQL offers libraries for this (libpq/auth.h). PostgreSQL is not compiled against: what is used of it is found by name.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <sys/socket.h>

/* elog.h */
#define FATAL 22
#define MAKE_SQLSTATE(a, b, c, d, e)                                                                                           \
    (((a) - '0') | ((b) - '0') << 6 | ((c) - '0') << 12 | ((d) - '0') << 18 | ((e) - '0') << 24)
#define FEATURE_NOT_SUPPORTED MAKE_SQLSTATE('0', 'A', '0', '0', '0')
#define STATUS_OK 0

/* Port (libpq/libpq-be.h) begins with the connection's socket; nothing else of it is looked at. */
typedef void (*authentication_hook)(const int *port, int status);

static struct {
    const bool *am_walsender;
    bool (*errstart)(int level, const char *domain);
    int (*errcode)(int code);
    int (*errmsg)(const char *format, ...);
    int (*errdetail)(const char *format, ...);
    int (*errhint)(const char *format, ...);
    void (*errfinish)(const char *file, int line, const char *function);
} postgres;

static bool is_local(int socket)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    return getsockname(socket, (struct sockaddr *)&address, &bytes) == 0 && address.ss_family == AF_UNIX;
}

/* The local socket is the agent's: it may ask for a replication connection, which reads no catalogs, to see who answers. */
static void refuse_replication(const int *port, int status)
{
    if (status != STATUS_OK || !*postgres.am_walsender || is_local(*port) || !postgres.errstart(FATAL, NULL))
        return;
    postgres.errcode(FEATURE_NOT_SUPPORTED);
    postgres.errmsg("replication connections (pg_basebackup, pg_receivewal, standbys, subscriptions) are not available");
    postgres.errdetail("The data and its log are in the cluster's volume, in six copies; this server's own files are a cache of it, "
                       "and its WAL files are not kept.");
    postgres.errhint("For a copy of the data use pg_dump or pg_dumpall. A standby is not needed to survive the loss of this server "
                     "or of a zone: another one opens the same volume.");
    postgres.errfinish(__FILE__, __LINE__, __func__);
}

/* False: this PostgreSQL does not have what is needed. Libraries that PostgreSQL loads later keep the hook and call it on. */
bool watch_connections(void)
{
    authentication_hook *hook = dlsym(RTLD_DEFAULT, "ClientAuthentication_hook");
    postgres.am_walsender = dlsym(RTLD_DEFAULT, "am_walsender");
    postgres.errstart = dlsym(RTLD_DEFAULT, "errstart");
    postgres.errcode = dlsym(RTLD_DEFAULT, "errcode");
    postgres.errmsg = dlsym(RTLD_DEFAULT, "errmsg");
    postgres.errdetail = dlsym(RTLD_DEFAULT, "errdetail");
    postgres.errhint = dlsym(RTLD_DEFAULT, "errhint");
    postgres.errfinish = dlsym(RTLD_DEFAULT, "errfinish");
    if (hook == NULL || postgres.am_walsender == NULL || postgres.errstart == NULL || postgres.errcode == NULL ||
        postgres.errmsg == NULL || postgres.errdetail == NULL || postgres.errhint == NULL || postgres.errfinish == NULL)
        return false;
    *hook = refuse_replication;
    return true;
}
