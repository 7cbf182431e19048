/* What the shim's files share. Each file says what it is for at its head. */
#ifndef AURORA_SHIM_H
#define AURORA_SHIM_H

#include "shim-protocol.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define BLOCK_BYTES 8192
#define WAL_SEGMENT_BYTES (16u << 20)
#define BLOCKS_PER_FILE 131072u
#define STRIPES 1024
/* Neighbouring blocks share a lock: a PostgreSQL I/O of up to 128 blocks takes one or two. */
#define BLOCKS_PER_STRIPE 128
#define MAX_STRIPES_HELD 8
/*
 * Of PostgreSQL's process numbers, those that are kept track of; a server with more connections than this is not met.
 */
#define MAX_PROCESSES 32768

/*
 * How far what PostgreSQL wrote is durable, without a look at any page: see settle.c. Epochs count up; what was written
 * in an epoch below `settled_epoch` holds changes below `settled_lsn` alone, and these are durable.
 */
struct settling {
    _Atomic int32_t lock;
    _Atomic uint32_t epoch;         /* of writes now; begins at 1 */
    _Atomic uint64_t epoch_lsn;     /* changes in writes of epochs before this one end at or below it; UINT64_MAX: not known */
    _Atomic uint64_t epoch_began;   /* milliseconds */
    _Atomic uint32_t settled_epoch; /* 0: none yet */
    _Atomic uint64_t settled_lsn;   /* written before settled_epoch, read after it */
};

/* Which chunks of relation files are local: see cache.c. */
struct chunk_pool {
    _Atomic int32_t lock;       /* of free and used */
    uint32_t free;              /* first of the chunks that are free again; 0 for none */
    _Atomic uint32_t used;      /* chunks [1, used] were taken at some time */
    _Atomic uint32_t hand;      /* the next chunk that eviction looks at */
    _Atomic uint32_t fruitless; /* looked at since one was evicted */
    _Atomic uint64_t rest_until; /* milliseconds: nothing could be evicted, and nobody looks before then */
};

/* Shared by the postmaster and all that it forks; made anew, zeroed, by every start. */
struct shared_state {
    /* WAL. Written and read by holders of PostgreSQL's WALWriteLock; atomics because readers of counters are not. */
    _Atomic uint64_t wal_written;      /* end of the highest WAL byte written */
    _Atomic uint64_t wal_dirty_from;   /* lowest byte (re)written since the last flush; UINT64_MAX for none */
    _Atomic uint64_t wal_writes;       /* write sequence number: a tail page is rewritten in place, position alone would miss it */
    _Atomic uint64_t wal_writes_flushed;
    _Atomic uint64_t wal_told;         /* how far the agent was last told that WAL is written */
    _Atomic uint64_t wal_flushed;      /* what flushes have returned for: durable, or on its way (promise.c) */
    _Atomic uint64_t wal_durable;      /* what the agent last reported durable in answer to a flush */
    _Atomic uint32_t fenced;           /* latched: no flush succeeds after it */
    /* Pages read from the volume must be at least this new: see raise_request_lsn. */
    _Atomic uint64_t request_lsn;
    _Atomic uint64_t holes_lsn;        /* no relation file has lost blocks since: see begin_loss */
    _Atomic uint64_t running_lsn;      /* no transaction that runs has written redo that ends at or below it */
    _Atomic uint64_t wal_start;        /* where this start's WAL began; of a reader, where the volume's redo begins for it */
    _Atomic int32_t role_lock;         /* see role.c */
    _Atomic bool is_promoted;          /* it was started as a reader, and is the writer */
    _Atomic uint32_t losses_begun, losses_ended;
    _Atomic int32_t stripes[STRIPES];  /* 0 or the holder's pid */
    _Atomic uint32_t writes[STRIPES];  /* PostgreSQL's writes, counted by those that hold the stripe */
    _Atomic uint32_t punches[STRIPES]; /* odd while a holder of the stripe lets blocks go: see evict.c */
    _Atomic uint32_t arrivals[STRIPES]; /* odd while one puts pages there that nobody asked for: see keep_along */
    _Atomic uint64_t slept_ns;         /* for how long the machine has slept; 0: nobody has looked. See lease.c */
    _Atomic uint64_t awake_since_ns;   /* when the end of its last sleep was noticed */
    struct settling settling;
    struct chunk_pool pool;
    _Atomic uint8_t exiting[MAX_PROCESSES]; /* by PostgreSQL's process number: it ends, and waits for something */
};

enum file_kind { FILE_OTHER = 0, FILE_WAL, FILE_RELATION };

enum fork { MAIN_FORK = 0, FREE_SPACE_MAP = 1, VISIBILITY_MAP = 2, INIT_FORK = 3 };

/* A relation file's path, taken apart. */
struct relation_path {
    uint32_t spc_oid, db_oid, rel_number, segment;
    uint8_t fork;
    size_t directory_length; /* of the path up to and without the slash before the file's name */
    size_t relation_length;  /* of the path up to and with the relation's number */
};

/* What the shim knows of an open file. */
struct file_entry {
    uint8_t kind;
    uint8_t fork;
    bool writable;
    uint32_t spc_oid, db_oid, rel_number;
    uint32_t first_block; /* of this 1 GiB file in its fork */
    uint64_t wal_base;    /* LSN of the WAL file's first byte */
};

/* The file that the shim and the agent share (compute-node/src/postgres/cache-file.ts has its layout). */
struct cache_file {
    uint32_t magic;
    uint32_t bytes;
    _Atomic uint32_t limit_blocks; /* set by the agent, at any time */
    _Atomic int32_t punch_errno;   /* why blocks cannot be let go of on this file system; 0 while they can */
    _Atomic uint64_t resident;     /* blocks of relation files that can be evicted, now or later */
    _Atomic uint64_t read_here;    /* blocks that PostgreSQL read and found here */
    _Atomic uint64_t fetched;      /* blocks that it read and that came from the volume */
    _Atomic uint64_t evicted;
    _Atomic uint64_t not_kept;     /* blocks that came from the volume and found no room */
    /* Of what no sweep could evict, when the cache is over its limit; all 0 when it is not. */
    _Atomic uint64_t held_by_transactions;
    _Atomic uint64_t held_undurable;
    _Atomic uint64_t held_for_good;
};

struct stripes_held {
    uint32_t stripe[MAX_STRIPES_HELD];
    int count;
};

struct real_calls {
    int (*open)(const char *, int, ...);
    int (*close)(int);
    FILE *(*fopen)(const char *, const char *);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*send)(int, const void *, size_t, int);
    ssize_t (*recv)(int, void *, size_t, int);
    int (*bind)(int, const struct sockaddr *, socklen_t);
    ssize_t (*pread)(int, void *, size_t, off_t);
    ssize_t (*preadv)(int, const struct iovec *, int, off_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    ssize_t (*pwritev)(int, const struct iovec *, int, off_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
    int (*syncfs)(int);
    int (*sync_file_range)(int, off64_t, off64_t, unsigned);
    int (*ftruncate)(int, off_t);
    int (*truncate)(const char *, off_t);
    int (*unlink)(const char *);
    int (*access)(const char *, int);
    DIR *(*opendir)(const char *);
    int (*shm_open)(const char *, int, mode_t);
    int (*shm_unlink)(const char *);
    int (*shmget)(key_t, size_t, int);
    void *(*shmat)(int, const void *, int);
    int (*shmctl)(int, int, struct shmid_ds *);
    int (*epoll_wait)(int, struct epoll_event *, int, int);
    int (*posix_fadvise)(int, off_t, off_t, int);
    ssize_t (*copy_file_range)(int, off64_t *, int, off64_t *, size_t, unsigned);
};

struct shim_config {
    char socket_path[104];
    char client_sockets[104]; /* directory of the Unix sockets by which the agent passes clients on; empty: there is none */
    uint64_t token;
    char memory_tag[32]; /* in the names of this data directory's shared memory */
    pid_t postmaster; /* the process the agent started; everybody else is its fork */
    bool is_standby;  /* started as a reader: see role.c */
    uint16_t writer_port; /* see writer-port.c; 0: there is none */
};

/* start.c */
extern struct real_calls real;
extern struct shared_state *shared; /* NULL: this process is not ours, every wrapper passes through */
extern struct shim_config config;
void resolve_real_calls(void);

/* files.c */
struct file_entry *file_entry(int fd); /* NULL when the shim does not care for this file */
bool remember_file(int fd, const char *path, int flags); /* false: one of ours, with a descriptor too high to keep track of */
void forget_file(int fd);
bool path_is_relation(const char *path);
bool parse_relation_path(const char *path, struct relation_path *found);
bool parse_database_path(const char *path, uint32_t *spc_oid, uint32_t *db_oid);
struct file_entry classify_path(const char *path);
bool has_init_fork(const char *path, size_t relation_length);
int relation_file_path(char *path, size_t bytes, uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number, uint32_t segment);

/* relations.c: 0, or -1 with errno when the files cannot be made. */
bool map_relation_table(const char *file);
int relation_arrives(const char *path);
int database_arrives(const char *path);

/*
 * agent.c: a flush and a read do not return when the postmaster is gone. A flush gives what the agent said, SHIM_FAILED
 * when it said nothing. A read gives 0, or -1 with errno EIO, or ECANCELED when `gives_up` said so; without it nothing
 * but the agent ends the wait.
 */
void agent_wrote(uint64_t written_lsn); /* never waits for the agent; may be lost */
enum shim_status agent_flush(uint64_t written_lsn, uint64_t dirty_lsn, uint64_t *flushed_lsn);

/* Blocks further on in the same fork that nobody has asked for, which the agent had at hand. */
struct pages_along {
    char (*pages)[BLOCK_BYTES]; /* room for so many */
    uint32_t room;
    uint32_t block, count; /* what came */
};
/* `along` may be NULL. */
int agent_read_pages(const struct file_entry *file, uint32_t block, uint16_t count, char *const *pages, struct pages_along *along,
                     bool (*gives_up)(void));
void agent_expect_pages(const struct file_entry *file, uint32_t block, uint16_t count);

/* cancel.c */
bool page_read_gives_up(void); /* in pread and preadv, by which PostgreSQL reads pages */
bool file_read_gives_up(void); /* in read, by which it copies files */
void note_wait(void);
void note_relation_open(void);

/* pages.c */
ssize_t relation_read(int fd, struct file_entry *file, const struct iovec *parts, int count, off_t offset);
ssize_t relation_read_sequential(int fd, struct file_entry *file, void *buffer, size_t bytes);
ssize_t relation_write(int fd, struct file_entry *file, const struct iovec *parts, int count, off_t offset);
void relation_expect(int fd, const struct file_entry *file, off_t offset, off_t bytes);
void begin_loss(void);
void end_loss(void);
uint64_t read_lsn(void);
void raise_lsn(_Atomic uint64_t *lsn, uint64_t to);
bool is_zero(const char *page);

/* stripes.c */
uint32_t stripe_of(const struct file_entry *file, uint32_t block);
uint32_t counted_in(const _Atomic uint32_t *by_stripe, const struct file_entry *file, uint32_t block, uint32_t blocks, bool *under_way);
void lock_blocks(const struct file_entry *file, uint32_t block, uint32_t blocks, struct stripes_held *held);
void unlock_blocks(const struct stripes_held *held);
bool try_lock(_Atomic int32_t *lock);
void take_lock(_Atomic int32_t *lock);
uint32_t lock_relation(uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number);
void unlock_relation(uint32_t stripe);

/* cache.c, chunks.h; without a cache file all of these do nothing */
extern struct cache_file *cache;
bool map_cache(const char *file);
void cache_note_read(const struct file_entry *file, uint32_t block, uint32_t found, uint32_t fetched);
void cache_note_fetched(const struct file_entry *file, uint32_t block, uint32_t blocks);
void cache_note_written(const struct file_entry *file, uint32_t block, const struct iovec *parts, int count, uint32_t epoch);
void cache_note_lost(const struct file_entry *file, off_t from, off_t to);
void cache_note_lost_file(const char *path, off_t from);

/* evict.c */
bool cache_make_room(uint32_t blocks);

/* settle.c */
uint32_t write_epoch(void);
void settle(void);
uint64_t now_ms(void);

/* lease.c; without a lease file replies need no lease */
bool map_lease(const char *file);
enum reply {
    REPLY_LEAVES,
    REPLY_WAITS,   /* a moment has passed meanwhile */
    REPLY_REFUSED, /* its connection is over */
};
enum reply reply_of(int fd, const void *reply, size_t bytes);
void say_last_words(void); /* from now on nothing of this process is held back */
uint64_t promoted_at(void); /* of a server that was started as a reader: where its own WAL begins; 0: it is a reader */

/* The volume's writer, as storage names it. */
struct writer_address {
    uint8_t host[16]; /* of IPv6, or an IPv4 address that is mapped to one */
    uint16_t port;
};
bool find_writer(struct writer_address *writer); /* false: it is not known */
bool are_sessions_paused(void);
/* Is this the connection to this process's client, from the network or passed on by the agent? Not the agent's own. */
bool is_clients(int fd);

/* How far the agent has made WAL durable, and how far it has let flushes return; without a lease file both 0. */
struct wal_points {
    uint64_t durable, promised;
};
struct wal_points wal_points(void);
bool says_last_words(void);

/* promise.c */
uint64_t durable_lsn(void);
bool tells_too_early(int fd); /* it must not be sent yet; a moment has passed meanwhile */
void hold_commit_wait(void);

/* pause.c */
bool is_paused(int fd); /* what its client asks is not to be read yet; a moment has passed meanwhile */

/* writer-port.c */
int bind_port(int fd, const struct sockaddr *wanted, socklen_t bytes);
void admit_client(int fd); /* does not return where the client is another server's */
bool lacks_writer(void);   /* the client wants the writer, and there is none to pass it on to */

/* role.c */
bool is_reader(void);

/* memory.c */
void segment_made(int id);
void segment_attached(int id);
bool segment_is_going(int id);
const char *memory_name(const char *name, char *own, size_t bytes);

/* connections.c */
void watch_connections(void);

/* verdict.c */
_Noreturn void die_by_verdict(enum shim_status status);

/* standby.c */
uint64_t replayed_lsn(void);
uint64_t replaying_lsn(void);
bool replay_has_begun(void);
bool is_walreceiver(void);
bool ends_recovery(void);
_Noreturn void refuse_reader_wal(void);

/* wal.c */
void wal_wrote(const struct file_entry *file, off_t offset, ssize_t bytes);
int wal_flush(void);

#endif
