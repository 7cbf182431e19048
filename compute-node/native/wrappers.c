/*
 * The libc calls that the stock postgres binary imports and the shim stands before. It imports no *64 names.
 * Not here, because they stay local: lseek, posix_fallocate, rename, and all I/O on SLRUs, pg_control, relation maps.
 *
 * Every call that names a relation file lets the relation arrive first, so that what PostgreSQL finds, or removes, is
 * what a directory with all files in it would have shown. Who walks a database's directory needs all of it.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RESOLVE()                                                                                                              \
    do {                                                                                                                       \
        if (__builtin_expect(real.copy_file_range == NULL, 0))                                                                 \
            resolve_real_calls();                                                                                              \
    } while (0)

static struct file_entry *relation(int fd)
{
    struct file_entry *file = file_entry(fd);
    return file != NULL && file->kind == FILE_RELATION ? file : NULL;
}

EXPORT int open(const char *path, int flags, ...)
{
    RESOLVE();
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (relation_arrives(path) != 0)
        return -1;
    int fd = real.open(path, flags, mode);
    int saved_errno = errno;
    if (!remember_file(fd, path, flags)) {
        /* Reading it past the shim would show holes as empty pages. */
        real.close(fd);
        errno = EMFILE;
        return -1;
    }
    if (relation(fd) != NULL)
        note_relation_open();
    errno = saved_errno;
    return fd;
}

EXPORT int close(int fd)
{
    RESOLVE();
    forget_file(fd);
    return real.close(fd);
}

EXPORT ssize_t read(int fd, void *buffer, size_t bytes)
{
    RESOLVE();
    struct file_entry *file = relation(fd);
    return file != NULL ? relation_read_sequential(fd, file, buffer, bytes) : real.read(fd, buffer, bytes);
}

/* What read() becomes where the compiler knows the buffer's size. */
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t bytes, size_t room)
{
    if (bytes > room)
        __builtin_trap();
    return read(fd, buffer, bytes);
}

/* All that PostgreSQL says to a client, with and without TLS (secure_raw_write), on a socket that does not block. */
EXPORT ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
    RESOLVE();
    if (tells_too_early(fd)) {
        errno = EAGAIN;
        return -1;
    }
    enum reply reply = reply_of(fd, bytes, count);
    if (reply == REPLY_LEAVES)
        return real.send(fd, bytes, count, flags);
    errno = reply == REPLY_WAITS ? EAGAIN : ECONNRESET;
    return -1;
}

EXPORT ssize_t recv(int fd, void *buffer, size_t bytes, int flags)
{
    RESOLVE();
    if (config.writer_port != 0)
        admit_client(fd);
    if (is_paused(fd)) {
        errno = EAGAIN;
        return -1;
    }
    return real.recv(fd, buffer, bytes, flags);
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    RESOLVE();
    return bind_port(fd, address, bytes);
}

EXPORT ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset)
{
    RESOLVE();
    struct file_entry *file = relation(fd);
    if (file == NULL)
        return real.pread(fd, buffer, bytes, offset);
    struct iovec part = {.iov_base = buffer, .iov_len = bytes};
    return relation_read(fd, file, &part, 1, offset);
}

EXPORT ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
    RESOLVE();
    struct file_entry *file = relation(fd);
    return file != NULL ? relation_read(fd, file, parts, count, offset) : real.preadv(fd, parts, count, offset);
}

EXPORT ssize_t pwrite(int fd, const void *buffer, size_t bytes, off_t offset)
{
    RESOLVE();
    struct file_entry *file = file_entry(fd);
    if (file != NULL && file->kind == FILE_RELATION) {
        struct iovec part = {.iov_base = (void *)buffer, .iov_len = bytes};
        return relation_write(fd, file, &part, 1, offset);
    }
    ssize_t wrote = real.pwrite(fd, buffer, bytes, offset);
    if (file != NULL && wrote > 0)
        wal_wrote(file, offset, wrote);
    return wrote;
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    RESOLVE();
    struct file_entry *file = file_entry(fd);
    if (file != NULL && file->kind == FILE_RELATION)
        return relation_write(fd, file, parts, count, offset);
    ssize_t wrote = real.pwritev(fd, parts, count, offset);
    if (file != NULL && wrote > 0)
        wal_wrote(file, offset, wrote);
    return wrote;
}

EXPORT int fdatasync(int fd)
{
    RESOLVE();
    if (shared == NULL)
        return real.fdatasync(fd);
    struct file_entry *file = file_entry(fd);
    return file != NULL && file->kind == FILE_WAL ? wal_flush() : 0;
}

/* The data directory is a cache: making it durable would cost time and help nobody. */
EXPORT int fsync(int fd)
{
    RESOLVE();
    return shared == NULL ? real.fsync(fd) : 0;
}

EXPORT int syncfs(int fd)
{
    RESOLVE();
    return shared == NULL ? real.syncfs(fd) : 0;
}

EXPORT int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags)
{
    RESOLVE();
    return shared == NULL ? real.sync_file_range(fd, offset, bytes, flags) : 0;
}

/*
 * After a truncation (or a drop) the same blocks may come back as zeros, and the volume must not fill them with what
 * was there before. PostgreSQL flushes the record first, so the durable LSN covers it.
 *
 * Order: the loss is announced before the stripes of what is lost are waited for (cache_note_lost). Who fetches a page without
 * PostgreSQL's lock on the relation (local-pages.c) puts it into the file with its stripe held, and only when no loss has
 * begun; so it is done with that before the blocks go, and never makes the file longer again.
 */
EXPORT int ftruncate(int fd, off_t bytes)
{
    RESOLVE();
    struct file_entry *file = relation(fd);
    if (file == NULL)
        return real.ftruncate(fd, bytes);
    struct stat before;
    begin_loss();
    if (fstat(fd, &before) == 0)
        cache_note_lost(file, bytes, before.st_size);
    int result = real.ftruncate(fd, bytes);
    end_loss();
    return result;
}

/* A wish: PostgreSQL is going to read here. */
EXPORT int posix_fadvise(int fd, off_t offset, off_t bytes, int advice)
{
    RESOLVE();
    struct file_entry *file = relation(fd);
    if (file != NULL && advice == POSIX_FADV_WILLNEED)
        relation_expect(fd, file, offset, bytes);
    return real.posix_fadvise(fd, offset, bytes, advice);
}

EXPORT int truncate(const char *path, off_t bytes)
{
    RESOLVE();
    if (relation_arrives(path) != 0)
        return -1;
    if (shared == NULL || !path_is_relation(path))
        return real.truncate(path, bytes);
    begin_loss();
    cache_note_lost_file(path, bytes);
    int result = real.truncate(path, bytes);
    end_loss();
    return result;
}

EXPORT int unlink(const char *path)
{
    RESOLVE();
    if (relation_arrives(path) != 0)
        return -1;
    if (shared == NULL || !path_is_relation(path))
        return real.unlink(path);
    begin_loss();
    cache_note_lost_file(path, 0);
    int result = real.unlink(path);
    end_loss();
    return result;
}

EXPORT int access(const char *path, int mode)
{
    RESOLVE();
    return relation_arrives(path) == 0 ? real.access(path, mode) : -1;
}

/* Builds for a glibc before 2.33 import __xstat and __lxstat, later ones stat and lstat. */
EXPORT int stat(const char *restrict path, struct stat *restrict found)
{
    RESOLVE();
    return relation_arrives(path) == 0 ? fstatat(AT_FDCWD, path, found, 0) : -1;
}

EXPORT int lstat(const char *restrict path, struct stat *restrict found)
{
    RESOLVE();
    return relation_arrives(path) == 0 ? fstatat(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW) : -1;
}

EXPORT int __xstat(int version, const char *path, struct stat *found)
{
    (void)version; /* of struct stat: there is one on 64-bit machines */
    return stat(path, found);
}

EXPORT int __lxstat(int version, const char *path, struct stat *found)
{
    (void)version;
    return lstat(path, found);
}

/* The postmaster only looks for temporary files, at its start, in every database. */
EXPORT DIR *opendir(const char *path)
{
    RESOLVE();
    if (shared != NULL && getpid() != config.postmaster && database_arrives(path) != 0)
        return NULL;
    return real.opendir(path);
}

EXPORT int shm_open(const char *name, int flags, mode_t mode)
{
    char own[NAME_MAX];
    RESOLVE();
    return real.shm_open(memory_name(name, own, sizeof own), flags, mode);
}

EXPORT int shm_unlink(const char *name)
{
    char own[NAME_MAX];
    RESOLVE();
    return real.shm_unlink(memory_name(name, own, sizeof own));
}

EXPORT int shmget(key_t key, size_t bytes, int flags)
{
    RESOLVE();
    int id = real.shmget(key, bytes, flags);
    if (shared != NULL && id >= 0 && (flags & IPC_CREAT) != 0)
        segment_made(id);
    return id;
}

EXPORT void *shmat(int id, const void *address, int flags)
{
    RESOLVE();
    void *at = real.shmat(id, address, flags);
    if (shared != NULL && at != (void *)-1)
        segment_attached(id);
    return at;
}

/* PostgreSQL removes its segment once it has let go of it, and with that it is gone already. */
EXPORT int shmctl(int id, int command, struct shmid_ds *found)
{
    RESOLVE();
    return shared != NULL && command == IPC_RMID && segment_is_going(id) ? 0 : real.shmctl(id, command, found);
}

/* How PostgreSQL's processes wait for one another. */
EXPORT int epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout)
{
    RESOLVE();
    if (shared == NULL)
        return real.epoll_wait(epoll_fd, events, count, timeout);
    note_wait();
    int ready = real.epoll_wait(epoll_fd, events, count, timeout);
    int saved_errno = errno;
    hold_commit_wait();
    errno = saved_errno;
    return ready;
}

/* The kernel would copy holes as holes (file_copy_method = clone). Read through the volume and write instead. */
EXPORT ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t bytes, unsigned flags)
{
    static char buffer[1 << 20];
    RESOLVE();
    if (relation(from) == NULL)
        return real.copy_file_range(from, from_offset, to, to_offset, bytes, flags);
    if (from_offset != NULL || to_offset != NULL) {
        errno = EXDEV;
        return -1;
    }
    ssize_t got = read(from, buffer, bytes < sizeof buffer ? bytes : sizeof buffer);
    for (ssize_t done = 0; done < got;) {
        ssize_t wrote = real.write(to, buffer + done, (size_t)(got - done));
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        done += wrote;
    }
    return got;
}
