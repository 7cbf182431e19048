/*
 * The local pages, as the agent's own session asks for them: pg_read_binary_file() is the one function of the core that
 * reads a file by its name, and it reads through stdio, which no other wrapper sees.
 *
 * - PAGES_FILE is no file: it reads as what cache.c knows to be local, one `struct listed` for each chunk.
 * - A relation's main fork, on a reader, reads as PostgreSQL itself would read it: what is not here comes from the
 *   volume, as of what is replayed, and is kept. There is no second way to fill the cache.
 *
 * Who reads so holds no lock on the relation and no buffer. Invariant: nothing is put into a file that has lost the block
 * meanwhile, and nothing in place of what PostgreSQL wrote. cache_pages looks at both with the block's stripe held, and
 * whoever takes blocks from a file says so before it waits for their stripes (begin_loss, then cache_note_lost). A buffer that is
 * newer than what was fetched is dirty, and is written over it before PostgreSQL lets go of it.
 */
#define _GNU_SOURCE
#include "chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PAGES_FILE "kube_aurora_local_pages"
#define READ_BLOCKS 64

/* Little-endian, as it stands; compute-node/src/warm-cache/local-pages.ts has it as a table. */
struct listed {
    uint32_t spc_oid, db_oid, rel_number, number;
    uint64_t bits[BLOCKS_PER_CHUNK / 64];
    uint32_t referenced;
    uint32_t unused;
};

/* What a stream of ours reads from: the list, or a relation's file. */
struct source {
    off_t at, size;
    char *list;
    int fd;
    char *pages;
};

static ssize_t read_list(struct source *source, char *buffer, size_t bytes)
{
    if (source->at >= source->size)
        return 0;
    if (bytes > (size_t)(source->size - source->at))
        bytes = (size_t)(source->size - source->at);
    memcpy(buffer, source->list + source->at, bytes);
    return (ssize_t)bytes;
}

static ssize_t read_pages(struct source *source, char *buffer, size_t bytes)
{
    /* Whole pages, wherever the reader stands. */
    off_t skip = source->at % BLOCK_BYTES;
    ssize_t got = pread(source->fd, source->pages, READ_BLOCKS * BLOCK_BYTES, source->at - skip);
    if (got <= skip)
        return got < 0 ? -1 : 0;
    if (bytes > (size_t)(got - skip))
        bytes = (size_t)(got - skip);
    memcpy(buffer, source->pages + skip, bytes);
    return (ssize_t)bytes;
}

static ssize_t source_read(void *cookie, char *buffer, size_t bytes)
{
    struct source *source = cookie;
    ssize_t got = source->list != NULL ? read_list(source, buffer, bytes) : read_pages(source, buffer, bytes);
    if (got > 0)
        source->at += got;
    return got;
}

static int source_seek(void *cookie, off64_t *offset, int whence)
{
    struct source *source = cookie;
    off_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source->at : source->size;
    if (from + *offset < 0) {
        errno = EINVAL;
        return -1;
    }
    source->at = from + *offset;
    *offset = source->at;
    return 0;
}

static int source_close(void *cookie)
{
    struct source *source = cookie;
    if (source->fd >= 0)
        close(source->fd);
    free(source->list);
    free(source->pages);
    free(source);
    return 0;
}

static FILE *stream_of(struct source *source)
{
    const cookie_io_functions_t functions = {.read = source_read, .seek = source_seek, .close = source_close};
    FILE *stream = fopencookie(source, "r", functions);
    if (stream == NULL)
        source_close(source);
    return stream;
}

/* Without locks: what it says was so a moment ago, each for itself. */
static bool list_chunks(struct source *source)
{
    uint32_t used = chunks_used();
    struct listed *list = calloc((size_t)used + 1, sizeof *list);
    size_t count = 0;
    if (list == NULL)
        return false;
    for (uint32_t index = 1; index <= used; index++) {
        const struct chunk *chunk = chunk_at(index);
        struct listed *one = &list[count];
        if (count_blocks(&chunk->resident) == 0)
            continue;
        *one = (struct listed){.spc_oid = chunk->spc_oid,
                               .db_oid = chunk->db_oid,
                               .rel_number = chunk->rel_number,
                               .number = chunk->number,
                               .referenced = chunk->referenced};
        memcpy(one->bits, chunk->resident.bits, sizeof one->bits);
        count++;
    }
    source->list = (char *)list;
    source->size = (off_t)(count * sizeof *list);
    return true;
}

static bool open_relation(struct source *source, const char *path)
{
    source->pages = aligned_alloc(BLOCK_BYTES, (size_t)READ_BLOCKS * BLOCK_BYTES);
    source->fd = source->pages == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (source->fd < 0)
        return false;
    source->size = lseek(source->fd, 0, SEEK_END);
    return source->size >= 0;
}

static bool is_of_reader(const char *path)
{
    struct file_entry file = classify_path(path);
    return file.kind == FILE_RELATION && file.fork == MAIN_FORK && is_reader();
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
    if (real.fopen == NULL)
        resolve_real_calls();
    bool reads = shared != NULL && cache != NULL && mode[0] == 'r' && strchr(mode, '+') == NULL;
    bool is_list = reads && strcmp(path, PAGES_FILE) == 0;
    if (!is_list && !(reads && is_of_reader(path)))
        return real.fopen(path, mode);
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return NULL;
    source->fd = -1;
    if (is_list ? list_chunks(source) : open_relation(source, path))
        return stream_of(source);
    int saved_errno = errno;
    source_close(source);
    errno = saved_errno;
    return NULL;
}
