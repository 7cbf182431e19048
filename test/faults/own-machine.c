/*
 * Loaded into every program of a system whose parts are cut off from one another, and whose clocks jump, in namespaces of its own
 * (own-machine.ts). It does what the kernel would do for a pod with a network and a clock of its own:
 *
 * - what a pod sends comes from the pod's address, so that a rule can tell whose it is;
 * - a program's wall clock can be moved: CLOCKS is a file of one 64-bit number for each process id, the nanoseconds by which the clock of that
 *   program, and of those that it forks, is ahead. The monotonic clock goes on as it is, as it does when a real wall clock is set.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL

static const volatile int64_t *ahead;

__attribute__((constructor)) static void find_clock(void)
{
    int fd = open(CLOCKS, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const long page = sysconf(_SC_PAGESIZE);
    const off_t at = (off_t)getpid() * (off_t)sizeof(int64_t);
    char *mapped = mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, at / page * page);
    close(fd);
    if (mapped != MAP_FAILED)
        ahead = (const volatile int64_t *)(mapped + at % page);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const int result = real(clock, time);
    if (result == 0 && ahead != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        const int64_t now = time->tv_sec * BILLION + time->tv_nsec + *ahead;
        time->tv_sec = now / BILLION;
        time->tv_nsec = now % BILLION;
    }
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}

/* Of a socket that has no address yet. Where the pod's address cannot be taken the connection is made without it. */
static void come_from_pod(int fd)
{
    const char *pod = getenv("LOCAL_KUBE_POD_IP");
    struct sockaddr_in own = {0};
    socklen_t length = sizeof own;
    if (pod == NULL || getsockname(fd, (struct sockaddr *)&own, &length) != 0)
        return;
    if (own.sin_family != AF_INET || own.sin_port != 0 || own.sin_addr.s_addr != INADDR_ANY)
        return;
    const int yes = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (inet_pton(AF_INET, pod, &own.sin_addr) == 1)
        (void)!bind(fd, (struct sockaddr *)&own, sizeof own);
}

int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        real = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    if (to->sa_family == AF_INET)
        come_from_pod(fd);
    return real(fd, to, length);
}
