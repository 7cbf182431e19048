/*
 * One connection from each PostgreSQL process to the agent; requests are answered in turn.
 *
 * Success is only ever what the agent said on this connection. A connection that breaks during a flush is an error
 * (PANIC), since nobody knows any more whether the volume has the WAL. A read may be asked again on a new connection.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How often a process that waits looks whether it still should. */
#define LOOK_MS 100
#define RECONNECT_MS 20
#define READ_ATTEMPTS 50

static int connection = -1;
static pid_t connection_owner; /* a fork must not talk on its parent's connection */
static uint32_t next_id;

/* A blocked call would outlive a killed postmaster; nothing it could do then is wanted. */
static void exit_when_orphaned(void)
{
    if (getpid() != config.postmaster && getppid() != config.postmaster)
        _exit(1);
}

static void disconnect(void)
{
    int saved_errno = errno;
    if (connection >= 0)
        real.close(connection);
    connection = -1;
    errno = saved_errno;
}

static bool connect_to_agent(void)
{
    if (connection >= 0 && connection_owner == getpid())
        return true;
    disconnect();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, config.socket_path);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == EINTR)
            continue;
        real.close(fd);
        return false;
    }
    const struct timeval timeout = {.tv_usec = LOOK_MS * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
        real.close(fd);
        return false;
    }
    connection = fd;
    connection_owner = getpid();
    return true;
}

static bool send_all(const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length > 0) {
        ssize_t n = real.send(connection, p, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        length -= (size_t)n;
    }
    return true;
}

/* Past `bytes` of what `parts` have room for. */
static void advance(struct iovec **parts, int *count, size_t bytes)
{
    while (*count > 0 && bytes >= (*parts)->iov_len) {
        bytes -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (*count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + bytes;
        (*parts)->iov_len -= bytes;
    }
}

/*
 * Fills `parts`, which it changes. ECANCELED in errno: `gives_up` said so. The connection has a timeout, so that it is
 * asked.
 */
static bool receive_all(struct iovec *parts, int count, bool (*gives_up)(void))
{
    while (count > 0) {
        if (gives_up != NULL && gives_up()) {
            errno = ECANCELED;
            return false;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t n = recvmsg(connection, &message, MSG_WAITALL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            exit_when_orphaned();
        else if (n == 0 || (n < 0 && errno != EINTR)) {
            errno = EIO;
            return false;
        }
        if (n > 0)
            advance(&parts, &count, (size_t)n);
    }
    return true;
}

static void prepare(struct shim_request *request)
{
    request->magic = SHIM_REQUEST_MAGIC;
    request->token = config.token;
    request->id = ++next_id;
}

/* Is it the answer to that, with a payload as it should be? */
static bool answers(const struct shim_request *request, const struct shim_response *response)
{
    if (response->magic != SHIM_RESPONSE_MAGIC || response->id != request->id)
        return false;
    if (response->status != SHIM_OK || request->operation != SHIM_READ_PAGES)
        return response->payload_bytes == 0;
    uint64_t past = (uint64_t)request->block + request->count;
    uint64_t from = response->along.block;
    uint32_t count = response->along.count;
    if (count > request->room || (count > 0 && (from < past || from + count > past + SHIM_ALONG_WITHIN)))
        return false;
    return response->payload_bytes == (request->count + count) * BLOCK_BYTES;
}

/* Sends and waits for the header; false, disconnected, when the connection or the protocol broke. */
static bool exchange(const struct shim_request *request, struct shim_response *response, bool (*gives_up)(void))
{
    struct iovec head = {.iov_base = response, .iov_len = sizeof *response};
    errno = 0;
    if (connect_to_agent() && send_all(request, sizeof *request) && receive_all(&head, 1, gives_up) &&
        answers(request, response)) {
        raise_lsn(&shared->running_lsn, response->running_lsn);
        return true;
    }
    disconnect();
    return false;
}

/*
 * Nothing may wait here: PostgreSQL holds its WAL write lock and has asked for nothing. What an agent that is busy or
 * paused has no room for is left out, since the next message says more.
 */
void agent_wrote(uint64_t written_lsn)
{
    int saved_errno = errno;
    struct shim_request request = {.operation = SHIM_WROTE, .lsn = written_lsn};
    prepare(&request);
    if (connect_to_agent()) {
        ssize_t sent = real.send(connection, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT);
        bool has_no_room = sent < 0 && (errno == EAGAIN || errno == EINTR);
        /* Half a message would be taken for the head of the next. */
        if (sent != (ssize_t)sizeof request && !has_no_room)
            disconnect();
    }
    errno = saved_errno;
}

enum shim_status agent_flush(uint64_t written_lsn, uint64_t dirty_lsn, uint64_t *flushed_lsn)
{
    struct shim_request request = {.operation = SHIM_FLUSH, .lsn = written_lsn, .dirty_lsn = dirty_lsn};
    struct shim_response response;
    prepare(&request);
    if (!exchange(&request, &response, NULL)) {
        exit_when_orphaned();
        return SHIM_FAILED;
    }
    *flushed_lsn = response.flushed_lsn;
    return (enum shim_status)response.status;
}

static struct shim_request about_pages(uint8_t operation, const struct file_entry *file, uint32_t block, uint16_t count)
{
    return (struct shim_request){
        .operation = operation,
        .fork = file->fork,
        .count = count,
        .spc_oid = file->spc_oid,
        .db_oid = file->db_oid,
        .rel_number = file->rel_number,
        .block = block,
        .lsn = read_lsn(),
        .holes_lsn = shared->holes_lsn,
    };
}

int agent_read_pages(const struct file_entry *file, uint32_t block, uint16_t count, char *const *pages, struct pages_along *along,
                     bool (*gives_up)(void))
{
    struct shim_request request = about_pages(SHIM_READ_PAGES, file, block, count);
    const struct timespec pause = {.tv_nsec = RECONNECT_MS * 1000000L};
    struct shim_response response;
    struct iovec parts[SHIM_MAX_BLOCKS + 1];
    request.room = along == NULL ? 0 : along->room;
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        if (attempt > 0) {
            exit_when_orphaned();
            nanosleep(&pause, NULL);
        }
        prepare(&request);
        if (exchange(&request, &response, gives_up)) {
            if (response.status != SHIM_OK)
                break;
            for (uint16_t i = 0; i < count; i++)
                parts[i] = (struct iovec){.iov_base = pages[i], .iov_len = BLOCK_BYTES};
            int more = response.along.count > 0 ? 1 : 0;
            if (more > 0) {
                along->block = response.along.block;
                along->count = response.along.count;
                parts[count] = (struct iovec){.iov_base = along->pages, .iov_len = (size_t)along->count * BLOCK_BYTES};
            }
            if (receive_all(parts, count + more, gives_up))
                return 0;
            disconnect();
        }
        if (errno == ECANCELED)
            return -1;
    }
    errno = EIO;
    return -1;
}

/* Nobody waits for anything: there is no answer. */
void agent_expect_pages(const struct file_entry *file, uint32_t block, uint16_t count)
{
    struct shim_request request = about_pages(SHIM_EXPECT_PAGES, file, block, count);
    prepare(&request);
    if (!connect_to_agent())
        return;
    ssize_t sent = real.send(connection, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0 ? sent < (ssize_t)sizeof request : errno != EAGAIN && errno != EINTR)
        disconnect();
}
