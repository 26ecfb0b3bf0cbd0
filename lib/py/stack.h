/* stack: the Python call stack of the calling thread, as a site of the depot.
 *
 * The frames are walked at each allocation (about 1 ns a frame) and their
 * instruction addresses folded into a 64-bit hash; a cache of the thread leads
 * from the hash to the site, and only a miss touches code objects and the depot.
 *
 * Recursion: a frame is left out when its function is one of the last two that
 * were kept, further in. That bounds the stacks of functions that call themselves
 * or each other; the last frame kept is then marked MP_FOLDED. What is further out than
 * MP_FOLDED_MAX such frames is left out too.
 *
 * The hash stands for the stack: two different ones collide with a probability
 * of about n * n / 2^65 for n distinct stacks.
 */
#ifndef MP_STACK_H
#define MP_STACK_H

#include "compat.h"

#include "../tracer.h"

/* The number of stacks after which new ones are cut to their innermost frames. */
#define MP_STACKS_BEFORE_CUT (1u << 20)
#define MP_CUT_DEPTH 16

/* The number of frames of a recursion, at least, further out than which a stack is cut: each
 * allocation passes over them, so that a recursion would cost the square of its depth. */
#define MP_FOLDED_MAX 4096

/* Slow path of mp_stack_site: look at the other ways, intern what the cache does not know. */
uint32_t mp_stack_miss(struct mp_thread *self, const PyThreadState *tstate, uint64_t hash,
                       struct mp_site site);

/* Code of the frames that 3.13 and later put between a constructor's call and __init__, or 0:
 * none was met yet. They are left out like the interpreter's own. */
extern MP_HIDDEN _Atomic uintptr_t mp_stack_cleanup;

static inline bool
mp_frame_is_cleanup(uintptr_t code)
{
    return MP_FRAME_HAS_CLEANUP &&
           code == atomic_load_explicit(&mp_stack_cleanup, memory_order_relaxed);
}

/* A frame that has not begun its function yet: it makes its cells or its generator. CPython
 * leaves it out of tracebacks. Only the innermost frame can be one. */
static inline bool
mp_frame_is_incomplete(const char *frame)
{
    const PyCodeObject *code = (const PyCodeObject *)mp_frame_code(frame);
    const uintptr_t ip = mp_frame_ip(frame);
    const uintptr_t first =
        mp_code_start(code, ip) + (uintptr_t)code->_co_firsttraceable * 2;
    return mp_frame_owner(frame) != MP_FRAME_OWNER_GENERATOR && ip < first;
}

/* The first frame of Python code from `frame` out. */
static inline const char *
mp_frame_first(const char *frame)
{
    while (frame && (!mp_frame_is_python(frame) || mp_frame_is_cleanup(mp_frame_code(frame))))
        frame = mp_frame_previous(frame);
    return frame;
}

/* The last of the frames, from `frame` out, that are left out as recursion; NULL: they are too
 * many to pass over. */
static inline const char *
mp_frame_skip_folded(const char *frame, uintptr_t last, uintptr_t before_last)
{
    for (int left = MP_FOLDED_MAX; left > 0; left--) {
        const char *next = mp_frame_previous(frame);
        if (!next)
            return frame;
        const uintptr_t code = mp_frame_code(next);
        if (code != last && code != before_last && mp_frame_is_python(next) &&
            !mp_frame_is_cleanup(code))
            return frame;
        frame = next;
    }
    return NULL;
}

#define MP_HASH_FACTOR 0x9e3779b97f4a7c15u
#define MP_HASH_FOLD 0x5851f42d4c957f2du

/* Hash of the stack, with the frames that mp_stack_miss will keep: and of an incomplete one,
 * which costs less than to find out for each stack. Where it would fold another it is left out. */
static inline __attribute__((always_inline)) uint64_t
mp_stack_hash(const PyThreadState *tstate, const uint64_t seed)
{
    uintptr_t last = 0, before_last = 0;
    uint64_t hash = seed;
    const char *frame = mp_frame_first(mp_frame_top(tstate));
    const char *first = frame;

    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (MP_UNLIKELY(!mp_frame_is_python(frame)) || MP_UNLIKELY(mp_frame_is_cleanup(code)))
            continue;
        if (MP_UNLIKELY(code == last) || MP_UNLIKELY(code == before_last)) {
            if (first && mp_frame_is_incomplete(first)) { /* begin again behind it */
                hash = seed * MP_HASH_FACTOR + mp_frame_ip(first);
                last = before_last = 0;
                frame = first;
                first = NULL;
                continue;
            }
            first = NULL;
            frame = mp_frame_skip_folded(frame, last, before_last);
            hash = hash * MP_HASH_FACTOR + MP_HASH_FOLD;
            if (MP_UNLIKELY(!frame))
                break;
            continue;
        }
        before_last = last;
        last = code;
        hash = hash * MP_HASH_FACTOR + mp_frame_ip(frame);
    }
    return hash ^ hash >> 32;
}

/* Site of an allocation made now by the thread of `tstate`; 0 when it cannot be kept.
 * A NULL tstate gives the empty stack. The thread has entered (mp_tracer_enter). */
static inline __attribute__((always_inline)) uint32_t
mp_stack_site(struct mp_thread *self, const PyThreadState *tstate, enum mp_kind kind,
              uint32_t domain, size_t size)
{
    const uint16_t small =
        MP_LIKELY(kind == MP_TRACKED || size > MP_SMALL_MAX) ? 0 : mp_site_small(size);
    const uint64_t seed =
        self->salt + ((uint64_t)domain << 16 | (uint64_t)small << 4 | kind);
    const uint64_t hash = tstate ? mp_stack_hash(tstate, seed) : seed;

    const struct mp_site_way *set = self->sites[hash & (MP_SITE_SETS - 1)];
    if (MP_LIKELY(set[0].hash == hash))
        return set[0].site;
    if (MP_LIKELY(set[1].hash == hash))
        return set[1].site;
    return mp_stack_miss(self, tstate, hash,
                         (struct mp_site){.kind = (uint16_t)kind, .domain = domain,
                                          .small = small});
}

#endif
