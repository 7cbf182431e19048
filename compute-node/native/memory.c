/*
 * What a killed PostgreSQL would leave of shared memory, which no new start would ever find again.
 *
 * The System V segment by which PostgreSQL sees that a data directory is in use is marked for removal as soon as it is
 * attached: Linux keeps it, and answers for it by its id, until the last process that has it is gone, however that
 * ends. The segments of parallel queries get names that say whose they are, so that the agent can remove them.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME_PREFIX "/PostgreSQL."

/* Of the segment that this postmaster made. It attaches to those of others too, to see whether they are in use. */
static int own_segment = -1;

void segment_made(int id)
{
    own_segment = id;
}

void segment_attached(int id)
{
    int saved_errno = errno;
    if (id == own_segment && getpid() == config.postmaster)
        real.shmctl(id, IPC_RMID, NULL);
    errno = saved_errno;
}

bool segment_is_going(int id)
{
    return id == own_segment;
}

const char *memory_name(const char *name, char *own, size_t bytes)
{
    size_t prefix = strlen(NAME_PREFIX);
    if (shared == NULL || strncmp(name, NAME_PREFIX, prefix) != 0)
        return name;
    snprintf(own, bytes, NAME_PREFIX "%s.%s", config.memory_tag, name + prefix);
    return own;
}
