/* stack: the Python call stack of the calling thread, as a site of the depot.
 *
 * At each allocation the innermost frames are walked, and the outer ones compared with those
 * of an earlier walk (trail.h); the instruction addresses make a 64-bit hash, a cache of the
 * thread leads from the hash to the site, and only a miss touches code objects and the depot
 * (intern.h).
 * Built with -DMP_CHECK_WALKS each is walked to its end too, and a difference ends the process.
 *
 * Recursion: a frame is left out when its function is one of the last two that
 * were kept, further in. That bounds the stacks of functions that call themselves
 * or each other; the last frame kept is then marked MP_FOLDED. What is further out than
 * MP_FOLDED_MAX such frames, or about MP_KEPT_MAX others, is left out too.
 *
 * The hash stands for the stack: two different ones collide with a probability
 * of about n * n / 2^65 for n distinct stacks.
 */
#ifndef MP_STACK_H
#define MP_STACK_H

#include "py/stack/intern.h"
#include "py/stack/trail.h"
#include "record/tracer.h"

/* The rest of mp_stack_hash() from `frame` on, the first that is left out as recursion. */
uint64_t mp_stack_walk_folded(struct mp_trail *trail, const PyThreadState *tstate,
                              const char *frame, uint64_t hash, uintptr_t last,
                              uintptr_t before_last);

/* The rest of it outside of `frame`, the trail's anchor, which `hash` has in it already. */
uint64_t mp_stack_walk_trail(struct mp_trail *trail, const PyThreadState *tstate,
                             const char *frame, uint64_t hash, uintptr_t last);

/* The same as mp_stack_hash(), of trail->seed, without the trail; where the stack is deep, of no
 * more than MP_KEPT_MAX frames. */
uint64_t mp_stack_walk_plainly(struct mp_trail *trail, const PyThreadState *tstate);
uint64_t mp_stack_walk_deep(struct mp_trail *trail, const PyThreadState *tstate);

/* Hash of the stack, with the frames that mp_intern_site will keep: and of an incomplete one,
 * which costs less than to find out for each stack. Where it would fold another it is left out.
 * Out of line, and all that is not for every frame out of it, so that registers suffice. */
static __attribute__((noinline)) uint64_t
mp_stack_hash(struct mp_trail *trail, const PyThreadState *tstate, const uint64_t seed)
{
    const uintptr_t anchor = trail->anchor;
    uintptr_t last = 0, before_last = 0;
    uint64_t hash = seed;
    const char *frame = mp_frame_top(tstate);

    trail->seed = seed;
    if (MP_UNLIKELY(anchor == MP_TRAIL_DEEP))
        return mp_stack_walk_deep(trail, tstate);
    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (MP_UNLIKELY(!mp_frame_is_python(frame)) || MP_UNLIKELY(mp_frame_is_cleanup(code)))
            continue;
        if (MP_UNLIKELY(code == last) || MP_UNLIKELY(code == before_last))
            return mp_stack_walk_folded(trail, tstate, frame, hash, last, before_last);
        hash = hash * MP_HASH_FACTOR + mp_frame_ip(frame);
        if (MP_UNLIKELY((uintptr_t)frame == anchor))
            return mp_stack_walk_trail(trail, tstate, frame, hash, last);
        before_last = last;
        last = code;
    }
    return mp_trail_stays_short(trail) ? hash : mp_trail_missed(trail, tstate, hash);
}

/* Site of an allocation made now by the thread of `tstate`; 0 when it cannot be kept.
 * A NULL tstate gives the empty stack. The thread has entered (mp_tracer_enter). */
static inline __attribute__((always_inline)) uint32_t
mp_stack_site(struct mp_thread *thread, const PyThreadState *tstate, enum mp_kind kind,
              uint32_t domain, size_t size)
{
    struct mp_py_thread *self = mp_py_thread(thread);
    const uint16_t small =
        MP_LIKELY(kind == MP_TRACKED || size > MP_SMALL_MAX) ? 0 : mp_site_small(size);
    assert(thread == mp_thread_current && kind < MP_KINDS && (kind == MP_TRACKED || !domain));
    assert(atomic_load_explicit(&thread->guard, memory_order_relaxed) == MP_GUARD_RECORDING);
    const uint64_t seed =
        self->salt + ((uint64_t)domain << 16 | (uint64_t)small << 4 | kind);
    const uint64_t walked = tstate ? mp_stack_hash(&self->trail, tstate, seed) : seed;
    const uint64_t hash = walked ^ walked >> 32;
#ifdef MP_CHECK_WALKS
    if (tstate && self->trail.anchor > MP_TRAIL_DEEP &&
        walked != mp_stack_walk_plainly(&self->trail, tstate))
        abort();
#endif

    const struct mp_site_way *set = self->sites[hash & (MP_SITE_SETS - 1)];
#ifdef MP_CHECK_WALKS
    mp_intern_check(self, tstate, hash);
#endif
    if (MP_LIKELY(set[0].hash == hash))
        return set[0].site;
    if (MP_LIKELY(set[1].hash == hash))
        return set[1].site;
    return mp_intern_site(self, tstate, hash,
                          (struct mp_site){.kind = (uint16_t)kind, .domain = domain,
                                           .small = small});
}

#endif
