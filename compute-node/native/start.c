/*
 * Comes to life once, in the process that the agent starts (the postmaster); all other PostgreSQL processes are its
 * forks and inherit what is set up here. Anything else that happens to load the library passes through untouched.
 *
 * Environment: AURORA_SHIM_SOCKET path, AURORA_SHIM_RELATIONS path, AURORA_SHIM_TOKEN decimal, AURORA_SHIM_START_LSN
 * decimal, AURORA_SHIM_AGENT_PID, AURORA_SHIM_MEMORY_TAG; AURORA_SHIM_CACHE path, without which the cache grows as it
 * likes; AURORA_SHIM_STANDBY, with any value: a reader, at first (role.c); AURORA_SHIM_LEASE path, without which replies to
 * clients need no lease and a reader stays one; AURORA_SHIM_CLIENT_SOCKETS, a directory whose Unix sockets are clients' and not the
 * agent's own.
 */
#define _GNU_SOURCE
#include "postgres.h"
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct real_calls real;
struct shared_state *shared;
struct shim_config config;

/* Wrappers may run before the constructor (other libraries' constructors open files), so they resolve on first use. */
void resolve_real_calls(void)
{
    real.open = dlsym(RTLD_NEXT, "open");
    real.close = dlsym(RTLD_NEXT, "close");
    real.fopen = dlsym(RTLD_NEXT, "fopen");
    real.read = dlsym(RTLD_NEXT, "read");
    real.write = dlsym(RTLD_NEXT, "write");
    real.send = dlsym(RTLD_NEXT, "send");
    real.recv = dlsym(RTLD_NEXT, "recv");
    real.bind = dlsym(RTLD_NEXT, "bind");
    real.pread = dlsym(RTLD_NEXT, "pread");
    real.preadv = dlsym(RTLD_NEXT, "preadv");
    real.pwrite = dlsym(RTLD_NEXT, "pwrite");
    real.pwritev = dlsym(RTLD_NEXT, "pwritev");
    real.fsync = dlsym(RTLD_NEXT, "fsync");
    real.fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real.syncfs = dlsym(RTLD_NEXT, "syncfs");
    real.sync_file_range = dlsym(RTLD_NEXT, "sync_file_range");
    real.ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real.truncate = dlsym(RTLD_NEXT, "truncate");
    real.unlink = dlsym(RTLD_NEXT, "unlink");
    real.access = dlsym(RTLD_NEXT, "access");
    real.opendir = dlsym(RTLD_NEXT, "opendir");
    real.shm_open = dlsym(RTLD_NEXT, "shm_open");
    real.shm_unlink = dlsym(RTLD_NEXT, "shm_unlink");
    real.shmget = dlsym(RTLD_NEXT, "shmget");
    real.shmat = dlsym(RTLD_NEXT, "shmat");
    real.shmctl = dlsym(RTLD_NEXT, "shmctl");
    real.epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    real.posix_fadvise = dlsym(RTLD_NEXT, "posix_fadvise");
    real.copy_file_range = dlsym(RTLD_NEXT, "copy_file_range");
}

static void refuse(const char *what)
{
    dprintf(STDERR_FILENO, "libaurora_shim: %s; PostgreSQL does not start without the volume\n", what);
    _exit(1);
}

static uint64_t number_from_environment(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL || *text == '\0')
        refuse(name);
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        refuse(name);
    return value;
}

__attribute__((constructor)) static void start(void)
{
    const char *socket_path = getenv("AURORA_SHIM_SOCKET");
    if (socket_path == NULL || strcmp(program_invocation_short_name, "postgres") != 0)
        return;
    if (strlen(socket_path) >= sizeof config.socket_path)
        refuse("AURORA_SHIM_SOCKET is longer than a Unix socket's path may be");
    strcpy(config.socket_path, socket_path);
    const char *client_sockets = getenv("AURORA_SHIM_CLIENT_SOCKETS");
    if (client_sockets != NULL) {
        if (strlen(client_sockets) >= sizeof config.client_sockets)
            refuse("AURORA_SHIM_CLIENT_SOCKETS is longer than a Unix socket's path may be");
        strcpy(config.client_sockets, client_sockets);
    }
    const char *tag = getenv("AURORA_SHIM_MEMORY_TAG");
    if (tag == NULL || *tag == '\0' || strlen(tag) >= sizeof config.memory_tag)
        refuse("AURORA_SHIM_MEMORY_TAG is not a tag");
    strcpy(config.memory_tag, tag);
    config.token = number_from_environment("AURORA_SHIM_TOKEN");
    config.postmaster = getpid();
    config.is_standby = getenv("AURORA_SHIM_STANDBY") != NULL;
    if (getenv("AURORA_SHIM_WRITER_PORT") != NULL)
        config.writer_port = (uint16_t)number_from_environment("AURORA_SHIM_WRITER_PORT");
    uint64_t start_lsn = number_from_environment("AURORA_SHIM_START_LSN");
    pid_t agent = (pid_t)number_from_environment("AURORA_SHIM_AGENT_PID");

    /* An agent that is killed takes PostgreSQL with it: SIGQUIT is the postmaster's immediate shutdown. */
    if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0)
        refuse("prctl(PR_SET_PDEATHSIG) failed");
    if (getppid() != agent)
        refuse("the agent is gone already");

    void *memory = mmap(NULL, sizeof(struct shared_state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        refuse("no shared memory");
    if (real.open == NULL)
        resolve_real_calls();
    if (!find_postgres())
        refuse("this is not the PostgreSQL that the shim knows");
    watch_connections();
    const char *relations = getenv("AURORA_SHIM_RELATIONS");
    if (relations == NULL || !map_relation_table(relations))
        refuse("AURORA_SHIM_RELATIONS names no table of the volume's relations");
    const char *cache_file = getenv("AURORA_SHIM_CACHE");
    if (cache_file != NULL && !map_cache(cache_file))
        refuse("AURORA_SHIM_CACHE names no file of the cache");
    const char *lease_file = getenv("AURORA_SHIM_LEASE");
    if (lease_file != NULL && !map_lease(lease_file))
        refuse("AURORA_SHIM_LEASE names no file of the lease");
    /* Programs that PostgreSQL runs (COPY ... PROGRAM, archive_command) are not part of the volume. */
    unsetenv("LD_PRELOAD");
    unsetenv("AURORA_SHIM_TOKEN");
    struct shared_state *state = memory;
    state->request_lsn = start_lsn;
    state->holes_lsn = start_lsn;
    state->wal_durable = start_lsn;
    state->wal_flushed = start_lsn;
    state->wal_told = start_lsn;
    state->wal_start = start_lsn;
    /* Replay knows no transaction's commands: redo gives back all that is in a reader's pages, whoever runs. */
    state->running_lsn = config.is_standby ? UINT64_MAX : start_lsn;
    state->settling.epoch = 1;
    state->settling.epoch_lsn = start_lsn;
    state->wal_dirty_from = UINT64_MAX;
    shared = state;
}
