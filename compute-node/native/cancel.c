/*
 * A process that waits for a page from storage can be cancelled and terminated, as one that waits for a disk can not.
 *
 * PostgreSQL looks for such requests (CHECK_FOR_INTERRUPTS) before and after a read, never within one. So the shim
 * looks while it waits, and makes the read fail when one is there; then PostgreSQL says "could not read blocks ...",
 * and while it makes that error it is led to look for the request, whose own error takes its place: "canceling
 * statement due to ...".
 *
 * Where giving up is safe. A failed read is an ERROR for its transaction, which PostgreSQL takes in its stride wherever
 * it reads, but a cancel it only takes where it does not hold interrupts off: while it commits, or holds a lightweight
 * lock, it waits on. A read by itself holds interrupts off, once or twice (READ_HOLDS), and a critical section covers
 * the system call alone (pgaio_io_perform_synchronously). More than that is somebody else's, and the wait goes on.
 *
 * With io_method=worker reads are done by I/O workers, on behalf of others. Who waits for a worker can be cancelled by
 * itself; its read goes on and nobody misses it. But a process that ends waits for its reads: so an I/O worker gives up
 * a read whose owner has begun to exit and is waiting.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <string.h>
#include <unistd.h>

/*
 * By the number of critical sections around the system call: smgr.c holds once; where asynchronous I/O is staged, it
 * does too.
 */
static const uint32_t READ_HOLDS[] = {1, 2};

#define QUERY_CANCELED SQLSTATE('5', '7', '0', '1', '4')

static bool gave_up;
static void become_the_request(void *unused);
static struct error_context context = {.callback = become_the_request};

/* Called by PostgreSQL for every message of this process while our context stands in the stack. */
static void become_the_request(void *unused)
{
    (void)unused;
    /* In the critical section of the read itself only a line for the log is made; the error follows. */
    if (!gave_up || *postgres.CritSectionCount != 0)
        return;
    gave_up = false;
    /* An ERROR lets go of every hold; only then would the request be looked at. */
    uint32_t holds = *postgres.InterruptHoldoffCount;
    *postgres.InterruptHoldoffCount = 0;
    postgres.ProcessInterrupts();
    /* Not reached, unless the request was withdrawn meanwhile. */
    *postgres.InterruptHoldoffCount = holds;
    postgres.errcode(QUERY_CANCELED);
}

/*
 * Frames that end take what stands above their own context off the stack: ours goes with the frame that waited, or with
 * the error.
 */
static void expect_error(void)
{
    gave_up = true;
    for (const struct error_context *one = *postgres.error_context_stack; one != NULL; one = one->previous)
        if (one == &context)
            return;
    context.previous = *postgres.error_context_stack;
    *postgres.error_context_stack = &context;
}

static bool is_io_worker(void)
{
    static pid_t known;
    static bool answer;
    if (known != getpid()) {
        answer = strcmp(postgres.GetBackendTypeDesc(*postgres.MyBackendType), "io worker") == 0;
        known = getpid();
    }
    return answer;
}

/* An I/O worker keeps the handle of what it does in its error context, so that messages can name the owner. */
static bool owner_exits(void)
{
    const struct error_context *top = *postgres.error_context_stack;
    if (top == NULL || top->argument == NULL)
        return false;
    int owner = postgres.pgaio_io_get_owner(top->argument);
    return owner >= 0 && owner < MAX_PROCESSES && shared->exiting[owner];
}

static bool interrupted(void)
{
    return *postgres.InterruptPending &&
           (*postgres.ProcDiePending || *postgres.TransactionTimeoutPending || *postgres.ClientConnectionLost ||
            (*postgres.QueryCancelPending && *postgres.QueryCancelHoldoffCount == 0));
}

bool page_read_gives_up(void)
{
    if (is_io_worker())
        return owner_exits();
    uint32_t critical_sections = *postgres.CritSectionCount;
    if (!interrupted() || critical_sections > 1 || *postgres.InterruptHoldoffCount > READ_HOLDS[critical_sections])
        return false;
    expect_error();
    return true;
}

bool file_read_gives_up(void)
{
    if (!interrupted() || *postgres.CritSectionCount > 0 || *postgres.InterruptHoldoffCount > 0)
        return false;
    expect_error();
    return true;
}

void note_wait(void)
{
    int self = *postgres.MyProcNumber;
    if (*postgres.proc_exit_inprogress && self >= 0 && self < MAX_PROCESSES)
        shared->exiting[self] = 1;
}

/* PostgreSQL gives the number of a process that ended to another. Before that one has a read done it opens the file. */
void note_relation_open(void)
{
    static pid_t noted;
    int self = *postgres.MyProcNumber;
    if (noted == getpid() || self < 0 || self >= MAX_PROCESSES)
        return;
    noted = getpid();
    shared->exiting[self] = 0;
}
