/*
 * What the shim uses of PostgreSQL itself: variables and functions that it exports to its extensions, found by name in
 * the running binary. PostgreSQL 18; it is not compiled against.
 */
#ifndef AURORA_POSTGRES_H
#define AURORA_POSTGRES_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* elog.h */
#define FATAL 22
#define PANIC 23
#define SQLSTATE(a, b, c, d, e)                                                                                                \
    (((a) - '0') | ((b) - '0') << 6 | ((c) - '0') << 12 | ((d) - '0') << 18 | ((e) - '0') << 24)

/* access/xact.h, SyncCommitLevel */
#define SYNCHRONOUS_COMMIT_OFF 0

/* ErrorContextCallback: functions that are asked, innermost first, to say what was being done when an error came up. */
struct error_context {
    struct error_context *previous;
    void (*callback)(void *argument);
    void *argument;
};

/* Port (libpq/libpq-be.h) begins with the connection's socket; nothing else of it is looked at. */
typedef void (*authentication_hook)(const int *port, int status);

struct postgres {
    /* elog.h */
    bool (*errstart)(int level, const char *domain);
    int (*errcode)(int code);
    int (*errmsg)(const char *format, ...);
    int (*errdetail)(const char *format, ...);
    int (*errhint)(const char *format, ...);
    void (*errfinish)(const char *file, int line, const char *function);
    struct error_context **error_context_stack;
    /* miscadmin.h */
    const volatile sig_atomic_t *InterruptPending, *QueryCancelPending, *ProcDiePending, *TransactionTimeoutPending;
    const volatile sig_atomic_t *ClientConnectionLost;
    volatile uint32_t *InterruptHoldoffCount;
    const volatile uint32_t *QueryCancelHoldoffCount, *CritSectionCount;
    void (*ProcessInterrupts)(void);
    const int *MyBackendType;
    const char *(*GetBackendTypeDesc)(int type);
    /* storage */
    const int *MyProcNumber;
    const bool *proc_exit_inprogress;
    int (*pgaio_io_get_owner)(void *handle);
    /*
     * access/xlog.h, access/xlogrecovery.h; all take a spinlock for a moment and may be called wherever PostgreSQL does
     * I/O
     */
    uint64_t (*GetXLogInsertEndRecPtr)(void);
    uint64_t (*GetXLogReplayRecPtr)(uint32_t *timeline);  /* everything up to here was replayed */
    uint64_t (*GetCurrentReplayRecPtr)(uint32_t *timeline); /* the same, with the record that is being replayed */
    void (*XLogSetAsyncXactLSN)(uint64_t lsn);
    /* libpq/auth.h, replication/walsender.h */
    authentication_hook *ClientAuthentication_hook;
    const int *const *MyProcPort; /* begins with the socket; NULL where there is no client */
    const bool *am_walsender, *am_db_walsender;
    /* postmaster/postmaster.h: of this process's client it is not known yet who it is */
    const bool *ClientAuthInProgress;
    /* access/xact.h: this process is in the midst of a transaction, or of a block of several statements */
    bool (*IsTransactionOrTransactionBlock)(void);
    const uint64_t *XactLastCommitEnd; /* of this session's last commit record */
    const uint64_t *XactLastRecEnd;    /* of the last record of its transaction, that of its end as well; 0 when it is over */
    const int *synchronous_commit;
    /* utils/wait_event.h */
    const uint32_t *const *my_wait_event_info; /* what this process waits for: its class in the highest byte, then its number */
    const char *(*pgstat_get_wait_event)(uint32_t info);
};

extern struct postgres postgres;

/* False: this PostgreSQL does not have all of it. */
bool find_postgres(void);

#endif
