/* thread: what each thread of the traced program owns.
 *
 * One pointer of thread-local storage leads to a block from our own memory with the thread's
 * guard, its lane and its meter. A block is written by its thread only; when a thread ends its
 * block is kept for the next one.
 *
 * Guard: set while the thread is inside a hook. It stops nested calls from being recorded twice
 * and lets mp_thread_quiesce wait for hooks in flight.
 *
 * What captures stacks keeps more of each thread, and behind the same pointer: a struct whose
 * first member is `struct mp_thread`. mp_thread_extend() says how large it is, and how its caches
 * are emptied. Without such a room above, blocks are of this struct alone.
 */
#ifndef MP_THREAD_H
#define MP_THREAD_H

#include <pthread.h>

#include "base/mem.h"
#include "base/spin.h"
#include "os/threads.h"
#include "record/meter.h"

struct mp_thread {
    _Atomic uint32_t guard; /* the first: then its address costs hooks no instruction */
    uint32_t generation; /* of the trace that its caches belong to, see generation.h */
    uint32_t idle;       /* `guard` outside of hooks: MP_GUARD_FREE or MP_GUARD_METERED */
    _Atomic bool in_use;
    _Atomic int64_t pending;      /* bytes of its lane that the clock was not told of yet */
    struct mp_lane *_Atomic lane; /* tallies (lanes.h), or NULL; stay when the thread ends */
    struct mp_thread *next;       /* registry; fixed once published */
    struct mp_meter meter;
};

/* NULL until the thread meets its first hook. */
extern MP_HIDDEN _Thread_local __attribute__((tls_model("initial-exec")))
struct mp_thread *mp_thread_current;

/* Values of mp_thread.guard. */
enum {
    MP_GUARD_FREE = 0,
    MP_GUARD_RECORDING, /* in a hook */
    MP_GUARD_BELOW,     /* in the allocator below a hook, which may wait; touches nothing of ours */
    MP_GUARD_PROBING,   /* finding out whether hooks are reached */
    MP_GUARD_QUIET,     /* memprof's own work: allocations are left out */
    MP_GUARD_METERED,   /* free, and the thread's meter counts too */
};

/* No trace has this generation. */
#define MP_NO_GENERATION UINT32_MAX

/* ---- blocks ---------------------------------------------------------------------------- */

/* A code object has died: its instructions were from `begin` up to `end`. Those of its birth and
 * later were first met after all others had been (mp_tracer_mark_code). */
struct mp_death {
    uintptr_t begin, end;
    uint32_t birth;
};

/* A struct with more of each thread. The functions are called for blocks of that size only. */
struct mp_thread_extension {
    size_t size; /* of the whole block */
    /* Everything that is cached of instructions is void; `self->generation` is new. */
    void (*flush)(struct mp_thread *self);
    /* The same where only one code object has died. */
    void (*forget)(struct mp_thread *self, const struct mp_death *death);
    /* The thread has ended: nothing may stay that was its own. Memory does, for the next one. */
    void (*end)(struct mp_thread *self);
};

/* Blocks are larger from now on. Before any other function of memprof is called: once there is a
 * block it is too late for it to grow, and MP_BAD_ARGUMENT. The same again changes nothing. */
MP_WARN_UNUSED int mp_thread_extend(const struct mp_thread_extension *extension);

/* Bytes of each block. */
size_t mp_thread_size(void);

/* All blocks there ever were, by `next`; those not in use hold what ended threads left. */
struct mp_thread *mp_thread_first(void);

/* Blocks in use: threads that met a hook and have not ended. */
uint32_t mp_thread_count(void);

/* Slow path of mp_thread_self. */
struct mp_thread *mp_thread_attach(void);

/* The calling thread's block; NULL when there is no memory for one. */
static inline struct mp_thread *
mp_thread_self(void)
{
    struct mp_thread *self = mp_thread_current;
    return MP_LIKELY(self != NULL) ? self : mp_thread_attach();
}

/* In a forked child: the blocks of all other threads are free again. */
void mp_thread_after_fork(void);

/* Are all blocks that are free as a thread shall find them? At any time. */
bool mp_thread_check(const struct mp_thread *first, const char **why);

/* ---- hooks in flight --------------------------------------------------------------------- */

/* Wait until no other thread is inside a hook that it entered before the call, but not for who
 * is in the allocator below: that may wait, even for the GIL that the caller holds
 * (tracemalloc's does). `patience`: milliseconds at most, for a thread that is held by a debugger,
 * or has no processor. What such a straggler records after a clear is counted in the next trace
 * or not at all. */
enum { MP_QUIESCE_PATIENCE = 100 };
void mp_thread_quiesce(int patience);

/* ---- caches of instructions -------------------------------------------------------------- */

/* Empty all of the thread's: they belong to `generation` from now on. */
void mp_thread_flush(struct mp_thread *self, uint32_t generation);

/* The same where only one code object has died. */
void mp_thread_forget(struct mp_thread *self, uint32_t generation, const struct mp_death *death);

#endif
