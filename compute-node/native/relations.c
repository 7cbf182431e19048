/*
 * Relation files come into being when PostgreSQL first names one. The agent writes a table of what the volume holds
 * before PostgreSQL starts (compute-node/src/postgres/relation-table.ts has its layout); every process maps it.
 *
 * Invariant: a relation's files are touched only after its entry is `local`, and an entry that is local never changes
 * again. So who arrives first makes all files of the relation as the volume has them, holes of the right size; from
 * then on the local directory alone says what exists, and nothing that PostgreSQL removes or truncates comes back.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_MAGIC 0x4c455241u /* "AREL" */
#define NO_FORK UINT32_MAX
#define PATH_BYTES 512

struct relation_entry {
    uint32_t spc_oid, db_oid, rel_number;
    _Atomic uint32_t local;
    uint32_t main_blocks, vm_blocks, init_blocks; /* NO_FORK: there is no such fork */
    uint32_t zero;
};
_Static_assert(sizeof(struct relation_entry) == 32, "file layout");

struct relation_table {
    uint32_t magic;
    uint32_t entry_bytes;
    uint32_t count;
    uint32_t zero;
    struct relation_entry entries[]; /* ascending by tablespace, database, relation */
};

static struct relation_table *table;

bool map_relation_table(const char *file)
{
    struct stat st;
    int fd = real.open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool known = fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof *table;
    void *memory = known ? mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    real.close(fd);
    if (memory == MAP_FAILED)
        return false;
    table = memory;
    return table->magic == TABLE_MAGIC && table->entry_bytes == sizeof(struct relation_entry) &&
           (uint64_t)st.st_size == sizeof *table + (uint64_t)table->count * sizeof(struct relation_entry);
}

/* The first entry at or after a key. */
static uint32_t lower_bound(uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct relation_entry *e = &table->entries[middle];
        bool before = e->spc_oid != spc_oid ? e->spc_oid < spc_oid
                      : e->db_oid != db_oid ? e->db_oid < db_oid
                                            : e->rel_number < rel_number;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- making files ---- */

/* A file that a process left unfinished when it was killed is finished here: it was not local yet. */
static int make_file(const char *path, uint32_t blocks, const char *content)
{
    int fd = real.open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    size_t bytes = (size_t)blocks * BLOCK_BYTES;
    int result = bytes > 0 ? real.ftruncate(fd, (off_t)bytes) : 0;
    for (size_t done = 0; content != NULL && result == 0 && done < bytes;) {
        ssize_t wrote = real.pwrite(fd, content + done, bytes - done, (off_t)done);
        if (wrote > 0)
            done += (size_t)wrote;
        else if (wrote < 0 && errno != EINTR)
            result = -1;
    }
    int saved_errno = errno;
    real.close(fd);
    errno = saved_errno;
    return result;
}

static int make_holes(const char *stem, const char *suffix, uint32_t blocks)
{
    char path[PATH_BYTES];
    if (blocks == NO_FORK)
        return 0;
    for (uint32_t segment = 0; segment == 0 || blocks > 0; segment++) {
        uint32_t here = blocks < BLOCKS_PER_FILE ? blocks : BLOCKS_PER_FILE;
        if (segment == 0)
            snprintf(path, sizeof path, "%s%s", stem, suffix);
        else
            snprintf(path, sizeof path, "%s%s.%u", stem, suffix, segment);
        if (make_file(path, here, NULL) != 0)
            return -1;
        blocks -= here;
    }
    return 0;
}

/*
 * An unlogged relation begins as its init fork: PostgreSQL copies it at the end of recovery only, which this start did
 * not have. On a server that was started as a reader it is that fork alone: a promotion is such an end.
 */
static int make_unlogged(const char *stem, const struct relation_entry *entry, const char *init)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s_init", stem);
    if (make_file(path, entry->init_blocks, init) != 0)
        return -1;
    return config.is_standby ? 0 : make_file(stem, entry->init_blocks, init);
}

/* The init fork's pages as the volume has them; NULL with errno. */
static char *fetch_init_fork(const struct relation_entry *entry)
{
    const struct file_entry file = {
        .fork = INIT_FORK, .spc_oid = entry->spc_oid, .db_oid = entry->db_oid, .rel_number = entry->rel_number};
    char *content = malloc((size_t)entry->init_blocks * BLOCK_BYTES);
    char *pages[SHIM_MAX_BLOCKS];
    for (uint32_t block = 0; content != NULL && block < entry->init_blocks;) {
        uint32_t left = entry->init_blocks - block;
        uint16_t count = (uint16_t)(left < SHIM_MAX_BLOCKS ? left : SHIM_MAX_BLOCKS);
        for (uint16_t i = 0; i < count; i++)
            pages[i] = content + (size_t)(block + i) * BLOCK_BYTES;
        if (agent_read_pages(&file, block, count, pages, NULL, NULL) != 0) {
            int saved_errno = errno;
            free(content);
            errno = saved_errno;
            return NULL;
        }
        block += count;
    }
    return content;
}

/* Makes all files of a relation in `directory`, unless they are here. */
static int arrive(struct relation_entry *entry, const char *directory, size_t directory_length)
{
    char stem[PATH_BYTES - 32];
    char *init = NULL;
    int saved_errno = errno;
    if (entry->local)
        return 0;
    int length = snprintf(stem, sizeof stem, "%.*s/%u", (int)directory_length, directory, entry->rel_number);
    if (length < 0 || (size_t)length >= sizeof stem) {
        errno = ENAMETOOLONG;
        return -1;
    }
    bool unlogged = entry->init_blocks != NO_FORK;
    /* Before the lock: it may take as long as storage takes. Nobody changes an init fork that is not local yet. */
    if (unlogged && entry->init_blocks > 0 && (init = fetch_init_fork(entry)) == NULL)
        return -1;
    uint32_t lock = lock_relation(entry->spc_oid, entry->db_oid, entry->rel_number);
    int result = 0;
    if (!entry->local) {
        if (unlogged)
            result = make_unlogged(stem, entry, init);
        else if ((result = make_holes(stem, "", entry->main_blocks)) == 0)
            result = make_holes(stem, "_vm", entry->vm_blocks);
        if (result == 0)
            entry->local = 1;
    }
    if (result != 0)
        saved_errno = errno;
    unlock_relation(lock);
    free(init);
    errno = saved_errno;
    return result;
}

int relation_arrives(const char *path)
{
    struct relation_path relation;
    if (shared == NULL || !parse_relation_path(path, &relation))
        return 0;
    uint32_t at = lower_bound(relation.spc_oid, relation.db_oid, relation.rel_number);
    if (at == table->count)
        return 0;
    struct relation_entry *entry = &table->entries[at];
    if (entry->spc_oid != relation.spc_oid || entry->db_oid != relation.db_oid || entry->rel_number != relation.rel_number)
        return 0;
    return arrive(entry, path, relation.directory_length);
}

/*
 * Everything in a database's directory: somebody is about to list, copy or remove it. At the end of recovery PostgreSQL
 * lists them all for the init forks in them, and every client waits for that: nothing else arrives then.
 */
int database_arrives(const char *path)
{
    uint32_t spc_oid, db_oid;
    if (!parse_database_path(path, &spc_oid, &db_oid))
        return 0;
    if (config.is_standby && !replay_has_begun())
        return 0;
    bool unlogged_alone = ends_recovery();
    for (uint32_t at = lower_bound(spc_oid, db_oid, 0); at < table->count; at++) {
        struct relation_entry *entry = &table->entries[at];
        if (entry->spc_oid != spc_oid || entry->db_oid != db_oid)
            break;
        if (unlogged_alone && entry->init_blocks == NO_FORK)
            continue;
        if (arrive(entry, path, strlen(path)) != 0)
            return -1;
    }
    return 0;
}
