/* generation: whether what a thread has cached of instructions is still good.
 *
 * Threads remember what instruction addresses stand for. All of that is void with each new
 * trace, and some of it when a code object dies that captured stacks refer to: another one may
 * come to lie there. So each trace and each death makes a new generation, and one comparison
 * with the thread's own tells a hook both that, and whether anything is traced at all (0).
 *
 * Where code has died is kept in a ring. A thread that is a few deaths behind forgets what lay
 * there; one that is further behind, or was there before the trace, forgets all.
 *
 * Thread rule: begin and end by one thread at a time; any thread may read `now` and renew its
 * own caches meanwhile. Deaths are told at any time, those whose place is known by one thread at
 * a time.
 */
#ifndef MP_GENERATION_H
#define MP_GENERATION_H

#include "record/thread.h"

enum {
    MP_DEATHS = 32,
    MP_FEW_DEATHS = 8, /* which a thread catches up with one by one */
};

struct mp_generation {
    _Atomic uint32_t now; /* 0: nothing is traced */
    uint32_t last;        /* of the trace before; written by begin and end only */
    struct {
        _Atomic uintptr_t begin, end;
        _Atomic uint32_t birth;
    } deaths[MP_DEATHS]; /* of generation g in [g % MP_DEATHS] */
};

/* Begin a trace, or end it: true when there was one. All caches are void after that. */
void mp_generation_begin(struct mp_generation *it);
bool mp_generation_end(struct mp_generation *it);

/* A code object has died; NULL: it is not known which. Without effect when nothing is traced. */
void mp_generation_note_death(struct mp_generation *it, const struct mp_death *death);

/* Empty what is void of the calling thread's caches: they are of the generation `now` then. */
void mp_generation_renew(const struct mp_generation *it, struct mp_thread *self, uint32_t now);

/* At any time. */
bool mp_generation_check(const struct mp_generation *it, const char **why);

#endif
