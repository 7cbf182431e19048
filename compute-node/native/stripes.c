/*
 * Locks on blocks, for processes that share nothing but memory. A page from the volume must not overwrite one that
 * another process writes at the same time, and a block must not be let go of under either.
 *
 * Who holds stripes takes no others but by lock_blocks, opens no file through the wrappers, and waits for nobody.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_SPINS 200

static uint32_t block_hash(uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number, uint32_t fork, uint32_t block)
{
    uint32_t h = 2166136261u;
    h = (h ^ spc_oid) * 16777619u;
    h = (h ^ db_oid) * 16777619u;
    h = (h ^ rel_number) * 16777619u;
    h = (h ^ fork) * 16777619u;
    return (h ^ (block / BLOCKS_PER_STRIPE)) * 16777619u;
}

uint32_t stripe_of(const struct file_entry *file, uint32_t block)
{
    return (block_hash(file->spc_oid, file->db_oid, file->rel_number, file->fork, block) >> 16) % STRIPES;
}

bool try_lock(_Atomic int32_t *lock)
{
    int32_t holder = 0;
    return atomic_compare_exchange_strong(lock, &holder, (int32_t)getpid());
}

void take_lock(_Atomic int32_t *lock)
{
    const struct timespec pause = {.tv_nsec = 20000};
    int32_t self = (int32_t)getpid();
    for (int spins = 0;; spins++) {
        int32_t holder = 0;
        if (atomic_compare_exchange_strong(lock, &holder, self))
            return;
        if (spins < LOCK_SPINS)
            continue;
        /* A holder that was killed left at worst an unfinished write of its own: take the lock over. */
        if (kill(holder, 0) != 0 && errno == ESRCH && atomic_compare_exchange_strong(lock, &holder, self))
            return;
        nanosleep(&pause, NULL);
    }
}

/*
 * Takes the stripes of [block, block + blocks) in ascending order of stripe, so that two holders never wait for each
 * other.
 */
void lock_blocks(const struct file_entry *file, uint32_t block, uint32_t blocks, struct stripes_held *held)
{
    held->count = 0;
    for (uint32_t group = block / BLOCKS_PER_STRIPE; group <= (block + blocks - 1) / BLOCKS_PER_STRIPE; group++) {
        uint32_t stripe = stripe_of(file, group * BLOCKS_PER_STRIPE);
        int at = held->count;
        while (at > 0 && held->stripe[at - 1] > stripe)
            at--;
        if (at > 0 && held->stripe[at - 1] == stripe)
            continue;
        memmove(&held->stripe[at + 1], &held->stripe[at], (size_t)(held->count - at) * sizeof held->stripe[0]);
        held->stripe[at] = stripe;
        held->count++;
    }
    for (int i = 0; i < held->count; i++)
        take_lock(&shared->stripes[held->stripe[i]]);
}

void unlock_blocks(const struct stripes_held *held)
{
    for (int i = held->count - 1; i >= 0; i--)
        shared->stripes[held->stripe[i]] = 0;
}

/* What was counted in the stripes of blocks, of counts that are odd while something is under way there. */
uint32_t counted_in(const _Atomic uint32_t *by_stripe, const struct file_entry *file, uint32_t block, uint32_t blocks, bool *under_way)
{
    uint32_t all = 0;
    *under_way = false;
    for (uint32_t group = block / BLOCKS_PER_STRIPE; group <= (block + blocks - 1) / BLOCKS_PER_STRIPE; group++) {
        uint32_t here = by_stripe[stripe_of(file, group * BLOCKS_PER_STRIPE)];
        *under_way = *under_way || (here & 1) != 0;
        all += here;
    }
    return all;
}

/*
 * One relation's files are made by one process at a time. A stripe like any other: whoever holds it takes no second
 * one, and nobody opens a file while holding stripes.
 */
uint32_t lock_relation(uint32_t spc_oid, uint32_t db_oid, uint32_t rel_number)
{
    const struct file_entry whole = {.fork = UINT8_MAX, .spc_oid = spc_oid, .db_oid = db_oid, .rel_number = rel_number};
    uint32_t stripe = stripe_of(&whole, 0);
    take_lock(&shared->stripes[stripe]);
    return stripe;
}

void unlock_relation(uint32_t stripe)
{
    shared->stripes[stripe] = 0;
}
