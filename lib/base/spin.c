#include "base/spin.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>

static struct mp_spin *_Atomic ranked[MP_RANKS];

/* ---- what a thread holds, where asserts are on ------------------------------------------ */

#ifndef NDEBUG

enum { MOST_HELD = MP_RANKS + 1 };
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
    const struct mp_spin *locks[MOST_HELD];
    int count;
} held;

static int
rank_of(const struct mp_spin *lock)
{
    int rank = MP_RANKS - 1;
    while (rank > MP_RANK_NONE && atomic_load(&ranked[rank]) != lock)
        rank--;
    return rank;
}

/* Locks without a rank go with all others, but not with themselves. */
static bool
may_take(const struct mp_spin *lock)
{
    const int rank = rank_of(lock);
    for (int i = 0; i < held.count; i++)
        if (held.locks[i] == lock || (rank && rank <= rank_of(held.locks[i])))
            return false;
    return held.count < MOST_HELD;
}

static void
note_taken(const struct mp_spin *lock)
{
    held.locks[held.count++] = lock;
}

/* False: the thread does not hold it. */
static bool
note_given_back(const struct mp_spin *lock)
{
    for (int i = held.count; i-- > 0;)
        if (held.locks[i] == lock) {
            held.locks[i] = held.locks[--held.count];
            return true;
        }
    return false;
}

#endif

/* ---- the lock ----------------------------------------------------------------------------- */

void
mp_spin_lock(struct mp_spin *lock)
{
    assert(may_take(lock));
    for (int tries = 0; atomic_flag_test_and_set_explicit(&lock->taken, memory_order_acquire);)
        if (++tries % 64 == 0)
            sched_yield();
#ifndef NDEBUG
    note_taken(lock);
#endif
}

void
mp_spin_unlock(struct mp_spin *lock)
{
#ifndef NDEBUG
    const bool was_held = note_given_back(lock);
    assert(was_held);
#endif
    atomic_flag_clear_explicit(&lock->taken, memory_order_release);
}

/* ---- fork --------------------------------------------------------------------------------- */

static struct mp_spin forking;               /* taken first, given back last */
static struct mp_spin *taken_then[MP_RANKS]; /* in front of the fork; guarded by `forking` */

static void
before_fork(void)
{
    mp_spin_lock(&forking);
    for (int rank = 0; rank < MP_RANKS; rank++) {
        taken_then[rank] = atomic_load(&ranked[rank]);
        if (taken_then[rank])
            mp_spin_lock(taken_then[rank]);
    }
}

static void
after_fork(void)
{
    for (int rank = MP_RANKS; rank-- > 0;)
        if (taken_then[rank])
            mp_spin_unlock(taken_then[rank]);
    mp_spin_unlock(&forking);
}

static bool
notice_forks(void)
{
    static _Atomic bool noticed;
    if (atomic_exchange(&noticed, true) ||
        pthread_atfork(before_fork, after_fork, after_fork) == 0)
        return true;
    atomic_store(&noticed, false);
    return false;
}

bool
mp_spin_register(struct mp_spin *lock, enum mp_rank rank)
{
    assert(rank > MP_RANK_NONE && rank < MP_RANKS);
    assert(!atomic_load(&ranked[rank]) || atomic_load(&ranked[rank]) == lock);
    if (!notice_forks())
        return false;
    atomic_store(&ranked[rank], lock);
    return true;
}
