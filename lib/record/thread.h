/* thread: what each thread of the traced program owns.
 *
 * One pointer of thread-local storage leads to a block from our own memory with
 * the thread's guard and caches. A block is written by its thread only; when a
 * thread ends its block is kept for the next one.
 *
 * Guard: set while the thread is inside a hook. It stops nested calls from being
 * recorded twice and lets mp_thread_quiesce wait for hooks in flight.
 *
 * Locks: there are five in memprof, all spin locks, none on the path of an
 * ordinary allocation. They are ranked in the order below, are never held across
 * a call into Python, and are taken around fork().
 *     1. mp_tracer.life            start, stop and clear of the trace
 *     2. mp_tracer.reserve_lock    tallies of threads that get no memory for theirs
 *     3. mp_tracer.side.lock       the side table
 *     4. of py/lines/counters.c    which code is selected for line profiles
 *     5. of py/lines/suspended.c   generators between two resumptions
 */
#ifndef MP_THREAD_H
#define MP_THREAD_H

#include <pthread.h>

#include "base/linetable.h"
#include "base/mem.h"
#include "base/spin.h"

/* ---- the thread's block ------------------------------------------------------ */

enum {
    MP_SITE_SETS = 2048,
    MP_SITE_WAYS = 4, /* a cache line; the latest first */
    MP_LOCATION_SLOTS = 2048,
    MP_LINE_CURSORS = 16, /* power of two */
};

/* Hash of a stack -> site id. */
struct mp_site_way {
    uint64_t hash;
    uint32_t site;
};

/* Instruction address -> location id (depot.h); `ip` 0 is free. */
struct mp_location_slot {
    uintptr_t ip;
    uint32_t location;
};

/* One Python frame as captured: identity of the code and of the instruction. */
struct mp_frame_key {
    uintptr_t code;
    uintptr_t ip;
    bool folded; /* frames of the same function, further out, were left out */
};

/* What the thread itself allocates and frees, for lib/py/lines/counters.c. Counted only while the
 * thread's idle guard is MP_GUARD_METERED; read and reset by the thread only. Bytes. */
struct mp_meter {
    uint64_t allocated, freed;
    int64_t high;         /* maximum of allocated - freed since its user has set it */
    int64_t high_before;  /* `high` without the allocation made last */
    uintptr_t last;       /* the block allocated last */
};

/* The outer frames of a stack that was walked, from the frame outside of `anchor` on
 * (lib/py/stack/trail.h). The last step has frame 0. */
enum { MP_TRAIL_FRAMES = 1024 };

struct mp_trail {
    uintptr_t anchor;        /* a frame that is kept; 0: there was no walk yet */
    uintptr_t code;          /* of the anchor */
    uintptr_t next_code;     /* of the first frame outside that is kept */
    uint64_t seed;           /* of the hash being made */
    uint64_t power, hash;    /* the frames outside make hash * power + hash of a hash */
    bool folded;             /* some of them are left out */
    bool begun_again;        /* the walk of now, behind an incomplete frame */
    bool shared;             /* the interpreter's anchor is not ours alone (anchor_315.h) */
    uint8_t met;             /* how often it was followed, modulo 256 */
    uint8_t misses, made;    /* how often it was not met; trails so far */
    uint8_t failures;        /* trails in a row that did not pay */
    uintptr_t held, held_at; /* what the interpreter's anchor was set to, and its count then */
    uint32_t stack;          /* of the depot: the frames outside; 0: not known */
    uint32_t kept;           /* how many of them `stack` has */
    bool anchor_folded;      /* frames right outside of the anchor are left out */
    struct mp_trail_step {
        uintptr_t frame, ip;
    } steps[MP_TRAIL_FRAMES + 1];
};

/* The stack that was interned last, outermost frame first: what a new one has in common with
 * it is not looked up again. */
enum { MP_PATH_FRAMES = 256 };

struct mp_path {
    uint32_t count;
    struct mp_path_step {
        uintptr_t ip;
        uint32_t stack; /* of the depot, from here out */
        bool folded;
    } steps[MP_PATH_FRAMES];
};

struct mp_thread {
    _Atomic uint32_t guard;
    uintptr_t fresh;     /* the block allocated last, until an object is made in it */
    uint64_t salt;       /* of the hashes in `sites`: another one voids them all */
    uint32_t generation; /* of the trace that the caches belong to, see tracer.h */
    uint32_t idle;       /* `guard` outside of hooks: MP_GUARD_FREE or MP_GUARD_METERED */
    _Atomic bool in_use;
    _Atomic int64_t pending; /* bytes of its lane that the clock was not told of yet */
    struct mp_lane *_Atomic lane; /* tallies (tally.h), or NULL; stay when the thread ends */
    struct mp_thread *next;       /* registry; fixed once published */
    struct mp_meter meter;
    void *activations;            /* of lib/py/lines/counters.c; kept when the thread ends */
    void (*chained)(void);        /* lib/py/lines/events_settrace.c: the trace function before ours */
    uintptr_t stack_end;          /* and how deep calls may go; 0: not known yet */
    struct mp_frame_key *frames;  /* scratch of the stack walk */
    size_t frame_capacity;
    char *text;                   /* scratch for encoding names */
    size_t text_capacity;
    _Alignas(64) struct mp_site_way sites[MP_SITE_SETS][MP_SITE_WAYS];
    struct mp_location_slot locations[MP_LOCATION_SLOTS];
    struct mp_line_cursor lines[MP_LINE_CURSORS]; /* by code object */
    _Alignas(64) struct mp_trail trail;
    struct mp_path path;
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

static inline int64_t
mp_meter_net(const struct mp_meter *meter)
{
    return (int64_t)(meter->allocated - meter->freed);
}

static inline void
mp_meter_alloc(struct mp_meter *meter, uintptr_t address, uint64_t size)
{
    meter->allocated += size;
    meter->last = address;
    meter->high_before = meter->high;
    if (mp_meter_net(meter) > meter->high)
        meter->high = mp_meter_net(meter);
}

static inline void
mp_meter_free(struct mp_meter *meter, uint64_t size)
{
    meter->freed += size;
    meter->last = 0;
}

/* No trace has this generation. */
#define MP_NO_GENERATION UINT32_MAX

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

/* Wait until no other thread is inside a hook that it entered before the call, but not for who
 * is in the allocator below: that may wait, even for the GIL that the caller holds
 * (tracemalloc's does). `patience`: milliseconds at most, for a thread that is held by a debugger,
 * or has no processor. What such a straggler records after a clear is counted in the next trace
 * or not at all. */
enum { MP_QUIESCE_PATIENCE = 100 };
void mp_thread_quiesce(int patience);

/* Start a thread of our own: signals are the program's, so none is delivered to it, and its stack
 * is small. 0, or what pthread_create() says. */
int mp_thread_start(pthread_t *thread, void *(*run)(void *), void *data);

/* In a forked child: the blocks of all other threads are free again. */
void mp_thread_after_fork(void);

/* Empty all caches of instructions: they belong to `generation` from now on. */
void mp_thread_flush(struct mp_thread *self, uint32_t generation);

/* The same where only the code from `begin` up to `end` has died. Stacks are known by hashes,
 * which do not tell of what: those are void, all of them. */
void mp_thread_forget(struct mp_thread *self, uint32_t generation, uintptr_t begin,
                      uintptr_t end);

/* Make room for `count` frames in the thread's scratch; false when there is no memory. */
bool mp_thread_reserve_frames(struct mp_thread *self, size_t count);

/* Make room for `size` bytes of text in the thread's scratch. */
bool mp_thread_reserve_text(struct mp_thread *self, size_t size);

#endif
