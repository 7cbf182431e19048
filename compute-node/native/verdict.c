/*
 * The last words of a process whose WAL cannot become durable. A failed fdatasync is a PANIC in PostgreSQL whatever we
 * do, and it would tell its client "could not fdatasync file ...: Input/output error". This PANIC, made in the same
 * place, says what happened, with an SQLSTATE that drivers and poolers know.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <stdlib.h>

#define ADMIN_SHUTDOWN SQLSTATE('5', '7', 'P', '0', '1')
#define CRASH_SHUTDOWN SQLSTATE('5', '7', 'P', '0', '2')

_Noreturn void die_by_verdict(enum shim_status status)
{
    /* They tell nothing of the data, but that what was being done failed. */
    say_last_words();
    if (postgres.errstart(PANIC, NULL)) {
        switch (status) {
        case SHIM_FENCED:
            postgres.errcode(ADMIN_SHUTDOWN);
            postgres.errmsg("another writer has taken over this database");
            break;
        case SHIM_STOPPED:
            postgres.errcode(ADMIN_SHUTDOWN);
            postgres.errmsg("the database server ends before storage has taken its log");
            break;
        case SHIM_DAMAGED:
            postgres.errcode(CRASH_SHUTDOWN);
            postgres.errmsg("the log that this server wrote cannot be read back, so that the database is opened anew");
            break;
        default:
            postgres.errcode(CRASH_SHUTDOWN);
            postgres.errmsg("the agent that makes this server's log durable does not answer");
        }
        postgres.errdetail("If a transaction was being committed, it is not known whether it was.");
        postgres.errhint("Connect again, and look for its changes before it is repeated.");
        postgres.errfinish(__FILE__, __LINE__, __func__);
    }
    abort();
}
