/* spin: a lock that waits by spinning, and gives the processor up now and then.
 *
 * Zero-initialised is free. No lock is on the path of an ordinary allocation, and none is held
 * across a call into Python.
 *
 * The locks that live as long as the process have a rank each. A thread may take one only while
 * all those that it holds are of lower ranks: asserted, where asserts are on. They are all taken
 * around fork(), in the order of their ranks, so that the child finds whole what they guard.
 */
#ifndef MP_SPIN_H
#define MP_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>

struct mp_spin {
    atomic_flag taken;
};

/* All locks with a rank. */
enum mp_rank {
    MP_RANK_NONE,
    MP_RANK_LIFE,      /* mp_tracer.life: start, stop and clear of the trace */
    MP_RANK_RESERVE,   /* record/lanes: tallies of threads that get no memory for theirs */
    MP_RANK_SIDE,      /* the tracer's side table */
    MP_RANK_BIRTHS,    /* the tracer's births of code objects */
    MP_RANK_SELECTION, /* py/lines: which code is selected for line profiles */
    MP_RANK_SUSPENDED, /* py/lines: generators between two resumptions */
    MP_RANKS
};

/* From now on the lock has this rank, and is taken around fork(). Any number of times for the
 * same lock; it may be held. False when there is no memory to notice a fork. */
bool mp_spin_register(struct mp_spin *lock, enum mp_rank rank);

void mp_spin_lock(struct mp_spin *lock);
void mp_spin_unlock(struct mp_spin *lock);

#endif
