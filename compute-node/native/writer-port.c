/*
 * A second port, for clients that want the writer. NAME-rw leads to it, so that it leads to the writer even when it leads to
 * the wrong pod: nobody moves a Service's endpoints while the API server is down.
 *
 * PostgreSQL listens on both, and on a writer both are the same: nothing stands between it and its clients. On a reader the
 * process that was forked for a connection by the second port becomes a relay before it reads a byte: it passes the connection on
 * to the first port of the compute that storage names as the writer, whose address the agent writes into the file of lease.c.
 *
 * PostgreSQL has one number for all its ports, but any number of addresses. The agent gives it each address twice, and the second
 * socket is bound to the second port here.
 *
 * Invariants:
 * - a connection is passed on once: it goes to the writer's first port, where nobody passes anything on;
 * - it is passed on only for as long as this is a reader and that writer is the one that storage names;
 * - what a client gets is the writer's own answer, which left it under its lease; a relay makes up nothing, and reads nothing of what
 *   passes: under TLS the writer is at its other end.
 *
 * Where there is no writer to pass it on to, PostgreSQL takes the connection after all, as far as who it is: what it says to a client that
 * insists on TLS nobody else could say. Then it is refused (connections.c).
 *
 * A relay touches nothing that the server's processes share: it is where PostgreSQL itself may end a process at any moment
 * without a word (process_startup_packet_die), and it ends in the same way.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ADDRESSES_MAX 8
/* A writer that is there takes a connection at once. */
#define CONNECT_MS 2000
/* Between two looks at whether the writer is still the same. */
#define LOOK_MS 200
#define BUFFER_BYTES 65536

struct way {
    int from, to;
    size_t at, end;
    char bytes[BUFFER_BYTES];
};

static uint16_t port_of(const struct sockaddr_storage *address)
{
    switch (address->ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    default:
        return 0;
    }
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

int bind_port(int fd, const struct sockaddr *wanted, socklen_t bytes)
{
    static struct sockaddr_storage seen[ADDRESSES_MAX];
    static int count;
    struct sockaddr_storage address = {0};
    if (config.writer_port == 0 || getpid() != config.postmaster || bytes > sizeof address ||
        (wanted->sa_family != AF_INET && wanted->sa_family != AF_INET6))
        return real.bind(fd, wanted, bytes);
    memcpy(&address, wanted, bytes);
    for (int i = 0; i < count; i++) {
        if (memcmp(&seen[i], &address, sizeof address) != 0)
            continue;
        set_port(&address, config.writer_port);
        int bound = real.bind(fd, (struct sockaddr *)&address, bytes);
        if (bound == 0)
            return 0;
        /* PostgreSQL would go on with what it has, and NAME-rw would lead nowhere. */
        dprintf(STDERR_FILENO, "FATAL:  could not bind the writer's port %u: %s\n", (unsigned)config.writer_port, strerror(errno));
        _exit(1);
    }
    if (count < ADDRESSES_MAX)
        seen[count++] = address;
    return real.bind(fd, wanted, bytes);
}

/* Is there something to read, or room to write, within so long? */
static bool is_soon(int fd, short events, int within_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};
    return poll(&wait, 1, within_ms) == 1;
}

static int connect_to(const struct writer_address *writer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(writer->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(writer->port)};
    bool is_v4 = memcmp(writer->host, mapped, sizeof mapped) == 0;
    memcpy(&v4.sin_addr, writer->host + sizeof mapped, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, writer->host, sizeof v6.sin6_addr);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const struct sockaddr *address = is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    int failed = connect(fd, address, is_v4 ? sizeof v4 : sizeof v6) != 0 && errno != EINPROGRESS;
    socklen_t bytes = sizeof failed;
    if (!failed && (!is_soon(fd, POLLOUT, CONNECT_MS) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &bytes) != 0))
        failed = true;
    if (failed) {
        real.close(fd);
        return -1;
    }
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    return fd;
}

/* False: one of the ends is over. */
static bool carry(struct way *way)
{
    if (way->at == way->end) {
        ssize_t received = real.recv(way->from, way->bytes, sizeof way->bytes, MSG_DONTWAIT);
        if (received <= 0)
            return received < 0 && (errno == EAGAIN || errno == EINTR);
        way->at = 0;
        way->end = (size_t)received;
    }
    ssize_t sent = real.send(way->to, way->bytes + way->at, way->end - way->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    way->at += (size_t)sent;
    return true;
}

static bool is_same(const struct writer_address *writer)
{
    struct writer_address now;
    return find_writer(&now) && now.port == writer->port && memcmp(now.host, writer->host, sizeof now.host) == 0;
}

/* Until one of the ends is over, or it would be wrong to go on. */
static void relay(int client, int server, const struct writer_address *writer)
{
    static struct way up, down;
    up = (struct way){.from = client, .to = server};
    down = (struct way){.from = server, .to = client};
    while (is_same(writer) && is_reader() && getppid() == config.postmaster) {
        bool up_waits = up.at < up.end, down_waits = down.at < down.end;
        short of_client = (short)((up_waits ? 0 : POLLIN) | (down_waits ? POLLOUT : 0));
        short of_server = (short)((down_waits ? 0 : POLLIN) | (up_waits ? POLLOUT : 0));
        /* An end that nothing is wanted of is left out: one that hung up would wake us for nothing until the other one takes its rest. */
        struct pollfd ends[] = {
            {.fd = of_client != 0 ? client : -1, .events = of_client},
            {.fd = of_server != 0 ? server : -1, .events = of_server},
        };
        int ready = poll(ends, 2, LOOK_MS);
        if (ready < 0 && errno != EINTR)
            return;
        if (ready > 0 && (!carry(&up) || !carry(&down)))
            return;
    }
}

static bool has_no_writer;

bool lacks_writer(void)
{
    return has_no_writer;
}

static void pass_on(int client)
{
    struct writer_address writer;
    int server = find_writer(&writer) ? connect_to(&writer) : -1;
    if (server < 0) {
        has_no_writer = true;
        return;
    }
    /* PostgreSQL's own limit on how long a client may take to say who it is. */
    const struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    relay(client, server, &writer);
    _exit(0);
}

/* Of a process that reads from its client for the first time. */
void admit_client(int fd)
{
    static bool is_admitted;
    const int *port = *postgres.MyProcPort;
    if (is_admitted || port == NULL || *port != fd)
        return;
    is_admitted = true;
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) == 0 && port_of(&address) == config.writer_port && is_reader())
        pass_on(fd);
}
