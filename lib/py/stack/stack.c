#include "py/stack/stack.h"

#include <limits.h>

/* mp_stack_hash from `frame` on, `most` kept frames. `at_anchor`: where the trail is met, go on
 * with it. */
static inline __attribute__((always_inline)) uint64_t
walk(struct mp_trail *trail, const PyThreadState *tstate, const char *frame, uint64_t hash,
     uintptr_t last, uintptr_t before_last, const bool at_anchor, int most)
{
    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (!mp_frame_is_python(frame) || mp_frame_is_cleanup(code))
            continue;
        if (code == last || code == before_last) {
            const char *first = mp_frame_first(mp_frame_top(tstate));
            if (!trail->begun_again && mp_frame_is_incomplete(first)) {
                trail->begun_again = true;
                hash = trail->seed * MP_HASH_FACTOR + mp_frame_ip(first);
                last = before_last = 0;
                frame = first;
                continue;
            }
            frame = mp_frame_skip_folded(frame, last, before_last);
            hash = hash * MP_HASH_FACTOR + MP_HASH_FOLD;
            if (MP_UNLIKELY(!frame))
                break;
            continue;
        }
        hash = hash * MP_HASH_FACTOR + mp_frame_ip(frame);
        if (at_anchor && (uintptr_t)frame == trail->anchor)
            return mp_stack_walk_trail(trail, tstate, frame, hash, last);
        before_last = last;
        last = code;
        if (!at_anchor && --most == 0)
            break;
    }
    if (at_anchor && !mp_trail_stays_short(trail))
        return mp_trail_missed(trail, tstate, hash);
    return hash;
}

uint64_t
mp_stack_walk_folded(struct mp_trail *trail, const PyThreadState *tstate, const char *frame,
                     uint64_t hash, uintptr_t last, uintptr_t before_last)
{
    trail->begun_again = false;
    return walk(trail, tstate, frame, hash, last, before_last, true, 0);
}

uint64_t
mp_stack_walk_trail(struct mp_trail *trail, const PyThreadState *tstate, const char *frame,
                    uint64_t hash, uintptr_t last)
{
    const uintptr_t code = mp_frame_code(frame);
    trail->begun_again = false;
    if (mp_trail_fits(trail, tstate, code, last) && mp_trail_follow(trail, tstate, &hash))
        return hash;
    hash = walk(trail, tstate, mp_frame_previous(frame), hash, code, last, false, INT_MAX);
    return mp_trail_missed(trail, tstate, hash);
}

uint64_t
mp_stack_walk_plainly(struct mp_trail *trail, const PyThreadState *tstate)
{
    trail->begun_again = false;
    return walk(trail, tstate, mp_frame_top(tstate), trail->seed, 0, 0, false, INT_MAX);
}

uint64_t
mp_stack_walk_deep(struct mp_trail *trail, const PyThreadState *tstate)
{
    if (++trail->met == 0)
        trail->anchor = 0; /* perhaps it is no longer */
    trail->begun_again = false;
    return walk(trail, tstate, mp_frame_top(tstate), trail->seed, 0, 0, false, MP_KEPT_MAX);
}
