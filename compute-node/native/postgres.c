#define _GNU_SOURCE
#include "postgres.h"

#include <dlfcn.h>
#include <stddef.h>

struct postgres postgres;

#define NAME(symbol) {#symbol, (void **)&postgres.symbol}
static const struct {
    const char *name;
    void **place;
} symbols[] = {
    NAME(errstart),
    NAME(errcode),
    NAME(errmsg),
    NAME(errdetail),
    NAME(errhint),
    NAME(errfinish),
    NAME(error_context_stack),
    NAME(InterruptPending),
    NAME(QueryCancelPending),
    NAME(ProcDiePending),
    NAME(TransactionTimeoutPending),
    NAME(ClientConnectionLost),
    NAME(InterruptHoldoffCount),
    NAME(QueryCancelHoldoffCount),
    NAME(CritSectionCount),
    NAME(ProcessInterrupts),
    NAME(MyBackendType),
    NAME(GetBackendTypeDesc),
    NAME(MyProcNumber),
    NAME(proc_exit_inprogress),
    NAME(pgaio_io_get_owner),
    NAME(GetXLogInsertEndRecPtr),
    NAME(GetXLogReplayRecPtr),
    NAME(GetCurrentReplayRecPtr),
    NAME(XLogSetAsyncXactLSN),
    NAME(ClientAuthentication_hook),
    NAME(am_walsender),
    NAME(ClientAuthInProgress),
    NAME(am_db_walsender),
    NAME(MyProcPort),
    NAME(IsTransactionOrTransactionBlock),
    NAME(XactLastCommitEnd),
    NAME(XactLastRecEnd),
    NAME(my_wait_event_info),
    NAME(pgstat_get_wait_event),
    NAME(synchronous_commit),
};

bool find_postgres(void)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        *symbols[i].place = dlsym(RTLD_DEFAULT, symbols[i].name);
        if (*symbols[i].place == NULL)
            return false;
    }
    return true;
}
