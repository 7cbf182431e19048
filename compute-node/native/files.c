/* Which open file is what, learned from its path when it is opened. PostgreSQL works in its data directory: paths are relative. */
#define _GNU_SOURCE
#include "shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 65536
#define DEFAULT_TABLESPACE 1663
#define GLOBAL_TABLESPACE 1664

static struct file_entry files[MAX_FILES];

/* Reads decimal digits that fit 32 bits and moves past them; false when there are none. */
static bool take_number(const char **at, uint32_t *value)
{
    const char *p = *at;
    uint64_t n = 0;
    while (*p >= '0' && *p <= '9') {
        n = n * 10 + (uint64_t)(*p++ - '0');
        if (n > UINT32_MAX)
            return false;
    }
    if (p == *at)
        return false;
    *at = p;
    *value = (uint32_t)n;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool take_hex8(const char **at, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 8; i++) {
        char c = (*at)[i];
        if (c >= '0' && c <= '9')
            *value = *value * 16 + (uint64_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            *value = *value * 16 + (uint64_t)(c - 'A' + 10);
        else
            return false;
    }
    *at += 8;
    return true;
}

/* An unlogged relation has an _init fork; the volume knows nothing of its other forks. */
static bool has_init_fork(const char *path, size_t relation_length)
{
    char sibling[256];
    struct stat st;
    if (relation_length + 6 > sizeof sibling)
        return false;
    memcpy(sibling, path, relation_length);
    strcpy(sibling + relation_length, "_init");
    return stat(sibling, &st) == 0;
}

/*
 * Relation files: base/DB/REL, global/REL, pg_tblspc/SPC/PG_VERSION_DIR/DB/REL, then [_vm|_init][.SEGMENT].
 * Temporary relations (tN_REL) and pgsql_tmp fail the number syntax; the free-space map is not in WAL and stays local.
 */
struct file_entry classify_path(const char *path)
{
    struct file_entry entry = {.kind = FILE_OTHER};
    const struct file_entry other = entry;
    const char *p = path;
    uint32_t segment = 0;
    take_text(&p, "./");
    if (take_text(&p, "pg_wal/")) {
        uint64_t timeline, high, low;
        if (!take_hex8(&p, &timeline) || !take_hex8(&p, &high) || !take_hex8(&p, &low) || *p != '\0')
            return other;
        entry.kind = FILE_WAL;
        entry.wal_base = (high << 32) + low * WAL_SEGMENT_BYTES;
        return entry;
    }
    if (take_text(&p, "base/")) {
        entry.spc_oid = DEFAULT_TABLESPACE;
        if (!take_number(&p, &entry.db_oid) || !take_text(&p, "/"))
            return other;
    } else if (take_text(&p, "global/")) {
        entry.spc_oid = GLOBAL_TABLESPACE;
    } else if (take_text(&p, "pg_tblspc/")) {
        if (!take_number(&p, &entry.spc_oid) || !take_text(&p, "/PG_"))
            return other;
        while (*p != '\0' && *p != '/')
            p++;
        if (!take_text(&p, "/") || !take_number(&p, &entry.db_oid) || !take_text(&p, "/"))
            return other;
    } else {
        return other;
    }
    if (!take_number(&p, &entry.rel_number))
        return other;
    size_t relation_length = (size_t)(p - path);
    if (take_text(&p, "_vm"))
        entry.fork = 2;
    else if (take_text(&p, "_init"))
        entry.fork = 3;
    if (*p == '.') {
        p++;
        if (!take_number(&p, &segment))
            return other;
    }
    if (*p != '\0' || segment > UINT32_MAX / BLOCKS_PER_FILE)
        return other;
    if (entry.fork != 3 && has_init_fork(path, relation_length))
        return other;
    entry.kind = FILE_RELATION;
    entry.first_block = segment * BLOCKS_PER_FILE;
    return entry;
}

bool path_is_relation(const char *path)
{
    return classify_path(path).kind == FILE_RELATION;
}

struct file_entry *file_entry(int fd)
{
    if (shared == NULL || fd < 0 || fd >= MAX_FILES || files[fd].kind == FILE_OTHER)
        return NULL;
    return &files[fd];
}

bool remember_file(int fd, const char *path, int flags)
{
    if (shared == NULL || fd < 0)
        return true;
    struct file_entry entry = classify_path(path);
    if (fd >= MAX_FILES)
        return entry.kind == FILE_OTHER;
    files[fd] = entry;
    files[fd].writable = (flags & O_ACCMODE) != O_RDONLY;
    return true;
}

void forget_file(int fd)
{
    if (fd >= 0 && fd < MAX_FILES)
        files[fd].kind = FILE_OTHER;
}
