/*
 * Which open file is what, learned from its path when it is opened. PostgreSQL works in its data directory: paths are
 * relative.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 65536
#define DEFAULT_TABLESPACE 1663
#define GLOBAL_TABLESPACE 1664
/* Of PostgreSQL 18: TABLESPACE_VERSION_DIRECTORY (common/relpath.h). */
#define TABLESPACE_DIRECTORY "PG_18_202506291"

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
bool has_init_fork(const char *path, size_t relation_length)
{
    char sibling[256];
    struct stat st;
    if (relation_length + 6 > sizeof sibling)
        return false;
    memcpy(sibling, path, relation_length);
    strcpy(sibling + relation_length, "_init");
    return fstatat(AT_FDCWD, sibling, &st, 0) == 0;
}

/* base/DB, global, or pg_tblspc/SPC/PG_VERSION_DIR/DB; moves past it. */
static bool take_database(const char **at, uint32_t *spc_oid, uint32_t *db_oid)
{
    take_text(at, "./");
    *db_oid = 0;
    if (take_text(at, "base/")) {
        *spc_oid = DEFAULT_TABLESPACE;
        return take_number(at, db_oid);
    }
    if (take_text(at, "global")) {
        *spc_oid = GLOBAL_TABLESPACE;
        return true;
    }
    if (!take_text(at, "pg_tblspc/") || !take_number(at, spc_oid) || !take_text(at, "/PG_"))
        return false;
    while (**at != '\0' && **at != '/')
        (*at)++;
    return take_text(at, "/") && take_number(at, db_oid);
}

bool parse_database_path(const char *path, uint32_t *spc_oid, uint32_t *db_oid)
{
    if (!take_database(&path, spc_oid, db_oid))
        return false;
    while (*path == '/')
        path++;
    return *path == '\0';
}

/*
 * A database's directory, then /REL[_fsm|_vm|_init][.SEGMENT]. Temporary relations (tN_REL) and pgsql_tmp fail the
 * number syntax.
 */
bool parse_relation_path(const char *path, struct relation_path *found)
{
    const char *p = path;
    if (!take_database(&p, &found->spc_oid, &found->db_oid))
        return false;
    found->directory_length = (size_t)(p - path);
    if (!take_text(&p, "/") || !take_number(&p, &found->rel_number))
        return false;
    found->relation_length = (size_t)(p - path);
    found->fork = MAIN_FORK;
    found->segment = 0;
    if (take_text(&p, "_fsm"))
        found->fork = FREE_SPACE_MAP;
    else if (take_text(&p, "_vm"))
        found->fork = VISIBILITY_MAP;
    else if (take_text(&p, "_init"))
        found->fork = INIT_FORK;
    if (*p == '.') {
        p++;
        if (!take_number(&p, &found->segment) || found->segment > UINT32_MAX / BLOCKS_PER_FILE)
            return false;
    }
    return *p == '\0';
}

/*
 * The main fork's file, within the data directory; its length, which is `bytes` or more when there is no room for it.
 */
int relation_file_path(char *path, size_t bytes, uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number, uint32_t segment)
{
    char directory[64];
    if (spc_oid == GLOBAL_TABLESPACE)
        snprintf(directory, sizeof directory, "global");
    else if (spc_oid == DEFAULT_TABLESPACE)
        snprintf(directory, sizeof directory, "base/%u", db_oid);
    else
        snprintf(directory, sizeof directory, "pg_tblspc/%u/" TABLESPACE_DIRECTORY "/%u", spc_oid, db_oid);
    return segment == 0 ? snprintf(path, bytes, "%s/%u", directory, rel_number)
                        : snprintf(path, bytes, "%s/%u.%u", directory, rel_number, segment);
}

/* The free-space map is not in WAL and stays local. */
struct file_entry classify_path(const char *path)
{
    const struct file_entry other = {.kind = FILE_OTHER};
    struct relation_path relation;
    const char *p = path;
    take_text(&p, "./");
    if (take_text(&p, "pg_wal/")) {
        uint64_t timeline, high, low;
        if (!take_hex8(&p, &timeline) || !take_hex8(&p, &high) || !take_hex8(&p, &low) || *p != '\0')
            return other;
        return (struct file_entry){.kind = FILE_WAL, .wal_base = (high << 32) + low * WAL_SEGMENT_BYTES};
    }
    if (!parse_relation_path(path, &relation) || relation.fork == FREE_SPACE_MAP)
        return other;
    if (relation.fork != INIT_FORK && has_init_fork(path, relation.relation_length))
        return other;
    return (struct file_entry){
        .kind = FILE_RELATION,
        .fork = relation.fork,
        .spc_oid = relation.spc_oid,
        .db_oid = relation.db_oid,
        .rel_number = relation.rel_number,
        .first_block = relation.segment * BLOCKS_PER_FILE,
    };
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
