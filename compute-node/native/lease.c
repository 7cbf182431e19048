/*
 * Replies to clients leave only under the writer's lease (packages/volume/src/lease.ts): a server that was overtaken while its
 * agent could not hear of it must not answer from its cache what has changed since.
 *
 * The agent writes until when replies may leave into a file that is mapped here (compute-node/src/postgres/lease-file.ts
 * has its layout); each send() on a client's socket looks at it, after whatever it tells was read. While there is no lease the
 * socket looks as if it had no room: PostgreSQL waits as it does for a slow client, and takes cancels and
 * terminations meanwhile. Nothing is held back on the Unix socket of the agent's own sessions; on the one by which it passes clients on
 * (compute-node/src/token-port) everything is as on the network.
 *
 * Who is being let in is not left to wait for long: a client that was given several hosts goes on to the next one only when this
 * one says no. What is said in place of the request for a password shows nothing of the database.
 *
 * Nor does a session wait for ever: by then another writer is there as a rule, and a client that hears nothing does not look for it.
 * Its connection is closed, with no word more: it may be in the midst of a message.
 *
 * Replies of a reader need none: it shows the past by nature. Its file says so, until it is promoted; that stands there too, and
 * where the writer is meanwhile (writer-port.c). Of a writer it says for how long its sessions begin nothing new (pause.c), and how
 * far its WAL is durable (promise.c).
 *
 * The times are of CLOCK_MONOTONIC, which stands still while the machine sleeps, for us and for the agent, and not for
 * storage: a lease that was asked for before such a sleep holds no more.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LEASE_MAGIC 0x5341454cu /* "LEAS" */
#define ASKED_FACTOR 0x9e3779b185ebca87u
#define UNTIL_FACTOR 0xc2b2ae3d27d4eb4fu
#define PORT_FACTOR 0x165667b19e3779f9u
/* Between two looks of a process that has something to say and may not. */
#define HOLD_NS 3000000
/*
 * For so long somebody who connects waits to be let in: longer than a new writer waits for the lease of the one before,
 * which is two and a half seconds as leases are by default.
 */
#define ADMIT_NS 3000000000u
/* For so long a session's reply waits until its connection is closed. */
#define HELD_NS 10000000000u
/* The two clocks are not read in the same moment. */
#define SLEPT_NS 5000000

struct lease_file {
    uint32_t magic;
    uint32_t bytes;
    _Atomic uint64_t asked_ns;
    _Atomic uint64_t until_ns;
    _Atomic uint64_t check; /* of both: the agent's write is no single store */
    _Atomic uint64_t promoted_at;
    _Atomic uint64_t promoted_check;
    _Atomic uint64_t writer_host[2];
    _Atomic uint64_t writer_port;
    _Atomic uint64_t writer_check;
    _Atomic uint64_t pause_until_ns;
    _Atomic uint64_t pause_check;
    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t promised_lsn;
    _Atomic uint64_t wal_check;
};

static const struct lease_file *lease; /* NULL: replies need none */
static bool last_words;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool map_lease(const char *file)
{
    struct stat st;
    int fd = real.open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool known = fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof *lease;
    void *memory = known ? mmap(NULL, sizeof *lease, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    real.close(fd);
    if (memory == MAP_FAILED)
        return false;
    const struct lease_file *mapped = memory;
    if (mapped->magic != LEASE_MAGIC || mapped->bytes != sizeof *mapped)
        return false;
    lease = mapped;
    return true;
}

uint64_t promoted_at(void)
{
    if (lease == NULL)
        return 0;
    uint64_t lsn = lease->promoted_at;
    return lease->promoted_check == lsn * UNTIL_FACTOR ? lsn : 0;
}

bool find_writer(struct writer_address *writer)
{
    if (lease == NULL)
        return false;
    uint64_t host[] = {lease->writer_host[0], lease->writer_host[1]}, port = lease->writer_port;
    if (port == 0 || lease->writer_check != (host[0] * ASKED_FACTOR ^ host[1] * UNTIL_FACTOR ^ port * PORT_FACTOR))
        return false;
    memcpy(writer->host, host, sizeof writer->host);
    writer->port = (uint16_t)port;
    return true;
}

bool are_sessions_paused(void)
{
    if (lease == NULL)
        return false;
    uint64_t until = lease->pause_until_ns;
    return __builtin_expect(until != 0, 0) && lease->pause_check == until * UNTIL_FACTOR && now_ns(CLOCK_MONOTONIC) < until;
}

/* A look amid the agent's write knows nothing of what is durable. */
struct wal_points wal_points(void)
{
    if (lease == NULL)
        return (struct wal_points){0};
    struct wal_points points = {.durable = lease->durable_lsn, .promised = lease->promised_lsn};
    if (lease->wal_check != (points.durable * ASKED_FACTOR ^ points.promised * UNTIL_FACTOR))
        return (struct wal_points){.durable = 0, .promised = UINT64_MAX};
    return points;
}

/* Since when the machine has not slept, as far as anybody here has seen. */
static uint64_t awake_since(uint64_t now)
{
    uint64_t slept = now_ns(CLOCK_BOOTTIME) - now;
    uint64_t seen = shared->slept_ns;
    if (slept > seen + SLEPT_NS || seen == 0) {
        /* In this order: who sees the new sum sees that what was asked for before is void. */
        if (seen != 0)
            raise_lsn(&shared->awake_since_ns, now);
        shared->slept_ns = slept == 0 ? 1 : slept;
    }
    return shared->awake_since_ns;
}

static bool lease_holds(void)
{
    uint64_t asked = lease->asked_ns, until = lease->until_ns;
    if (lease->check != (asked * ASKED_FACTOR ^ until * UNTIL_FACTOR))
        return false;
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    return now < until && asked >= awake_since(now);
}

/* Was a connection taken on the socket by which the agent passes clients on? Its own name is the path that it was bound to. */
static bool is_passed_on(const struct sockaddr_un *address, socklen_t bytes)
{
    size_t length = strlen(config.client_sockets);
    return length > 0 && bytes > offsetof(struct sockaddr_un, sun_path) + length &&
           strncmp(address->sun_path, config.client_sockets, length) == 0 && address->sun_path[length] == '/';
}

bool is_clients(int fd)
{
    static const int *known_port;
    static int known_fd = -1;
    static bool answer;
    const int *port = *postgres.MyProcPort;
    if (port == NULL || *port != fd)
        return false;
    if (port != known_port || fd != known_fd) {
        struct sockaddr_storage address;
        socklen_t bytes = sizeof address;
        int saved_errno = errno;
        answer = getsockname(fd, (struct sockaddr *)&address, &bytes) != 0 || address.ss_family != AF_UNIX ||
                 is_passed_on((const struct sockaddr_un *)&address, bytes);
        errno = saved_errno;
        known_port = port;
        known_fd = fd;
    }
    return answer;
}

/* The message that asks for a password, or says that none is needed (protocol 3, Authentication). */
#define AUTHENTICATION 'R'
/* The answer to a request for encryption, before the connection proper: it is one byte, and says nothing but yes or no. */
#define NEGOTIATION_BYTES 1
#define ERROR_BYTES_MAX 512

/* ErrorResponse (protocol 3): its type, its length from there on, fields that end with a zero byte each, and another one. */
#define FIELDS                                                                                                                 \
    "SFATAL\0"                                                                                                                 \
    "VFATAL\0"                                                                                                                 \
    "C57P03\0"                                                                                                                 \
    "Mthis server may not answer: storage has not renewed its lease\0"                                                         \
    "DIt was cut off from storage, or another server has become the writer.\0"                                                 \
    "HConnect again; the address that leads to the writer may lead elsewhere by then.\0"

static void send_error(int fd, const char *fields, size_t bytes)
{
    char message[1 + 4 + ERROR_BYTES_MAX] = {'E'};
    if (bytes > ERROR_BYTES_MAX)
        return;
    uint32_t length = htonl((uint32_t)(4 + bytes));
    memcpy(message + 1, &length, sizeof length);
    memcpy(message + 5, fields, bytes);
    real.send(fd, message, 1 + 4 + bytes, MSG_NOSIGNAL);
}

/* Of a connection whose client is not let in yet: has it waited for long enough? */
static bool is_refused(int fd, const char *reply)
{
    static const char fields[] = FIELDS; /* with the zero byte that ends them all */
    static bool over;
    static uint64_t waits_since_ns;
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    if (waits_since_ns == 0)
        waits_since_ns = now;
    if (!over && now - waits_since_ns < ADMIT_NS)
        return false;
    /* Under TLS only PostgreSQL could say it; the connection ends without words there. */
    if (!over && *reply == AUTHENTICATION)
        send_error(fd, fields, sizeof fields);
    over = true;
    return true;
}

/*
 * Of a session: has its reply waited for so long that its connection is closed? A lease that came meanwhile, and is over as
 * well, lets it begin anew: what was ready has left under that one.
 */
static bool is_given_up(int fd)
{
    static uint64_t waits_since_ns, waits_after_ns;
    uint64_t now = now_ns(CLOCK_MONOTONIC), until = lease->until_ns;
    if (waits_since_ns == 0 || waits_after_ns != until) {
        waits_since_ns = now;
        waits_after_ns = until;
    }
    if (now - waits_since_ns < HELD_NS)
        return false;
    /* The client sees it at once, whatever this process is doing. */
    shutdown(fd, SHUT_RDWR);
    return true;
}

enum reply reply_of(int fd, const void *reply, size_t bytes)
{
    if (lease == NULL || shared == NULL || !is_clients(fd) || last_words || __builtin_expect(lease_holds(), 1))
        return REPLY_LEAVES;
    if (*postgres.ClientAuthInProgress) {
        if (bytes == NEGOTIATION_BYTES)
            return REPLY_LEAVES;
        if (bytes > 0 && is_refused(fd, reply))
            return REPLY_REFUSED;
    } else if (is_given_up(fd))
        return REPLY_REFUSED;
    const struct timespec pause = {.tv_nsec = HOLD_NS};
    nanosleep(&pause, NULL);
    return REPLY_WAITS;
}

void say_last_words(void)
{
    last_words = true;
}

bool says_last_words(void)
{
    return last_words;
}
