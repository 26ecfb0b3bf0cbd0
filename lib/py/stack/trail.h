/* trail: the outer frames of an earlier walk, to compare with instead of walking them again.
 *
 * Most allocations of a thread are made below the same outer frames. A walk waits for each
 * frame's pointer to the next one, and for its code; the trail knows the addresses of all
 * of them beforehand, so that nothing waits, and what they add to the hash. Each frame is
 * still looked at: it is the one that the frame inside of it has as its caller now, so it is
 * alive, and its instruction is the same, so its code is. Where the interpreter tells which
 * frames have never ended since (anchor_315.h) only the others are looked at.
 *
 * The trail begins behind the anchor, a frame that is not folded. Which frames outside of it
 * are folded depends on the code of the anchor and of the frame kept before it: see
 * mp_trail_fits(). Used by its thread only.
 */
#ifndef MP_TRAIL_H
#define MP_TRAIL_H

#include "py/cpython/frames.h"

#include "py/stack/cache.h"

#include MP_ANCHOR_HEADER

#define MP_HASH_FACTOR 0x9e3779b97f4a7c15u
#define MP_HASH_FOLD 0x5851f42d4c957f2du

/* Not frames: the stack was too short for a trail, or changes too often; or it is too deep. */
#define MP_TRAIL_SHORT ((uintptr_t)1)
#define MP_TRAIL_DEEP ((uintptr_t)2)

/* True, but each 256th time: it may be long enough by now. */
static inline bool
mp_trail_stays_short(struct mp_trail *trail)
{
    return trail->anchor == MP_TRAIL_SHORT && MP_LIKELY(++trail->met != 0);
}

/* The trail was not met, or did not hold: a new one, when that is so often. Returns `hash`. */
uint64_t mp_trail_missed(struct mp_trail *trail, const PyThreadState *tstate, uint64_t hash);

/* The trail held: what is to be done now and then, after it was met 256 times, and where the
 * interpreter is to tell from now on what ends. */
void mp_trail_tend(struct mp_trail *trail, const PyThreadState *tstate);

/* Would the trail's frames be folded as they were, outside of an anchor with this code, where
 * `last` is the code of the frame kept before it? */
static inline bool
mp_trail_fits(const struct mp_trail *trail, const PyThreadState *tstate, uintptr_t code,
              uintptr_t last)
{
    return code == trail->code && trail->next_code != last &&
           !(trail->folded && mp_frame_is_incomplete(mp_frame_first(mp_frame_top(tstate))));
}

/* Are the frames outside of the anchor, which is on the stack, those of the trail, at the same
 * instructions? `kept` is what mp_anchor_kept() says. */
static inline __attribute__((always_inline)) bool
mp_trail_holds(const struct mp_trail *trail, const uintptr_t kept)
{
    const struct mp_trail_step *step = trail->steps;
    const bool all_kept = MP_HAS_ANCHOR && kept == trail->anchor;
    assert(trail->anchor > MP_TRAIL_DEEP);
    uintptr_t next = (uintptr_t)mp_frame_previous((const char *)trail->anchor);

    for (; step->frame == next; step++) {
        const char *frame = (const char *)step->frame;
        if (!frame)
            return true;
        if (mp_frame_ip(frame) != step->ip)
            return false;
        if (MP_HAS_ANCHOR && (all_kept || (step->frame == kept && mp_anchor_end_is_told(frame))))
            return true;
        next = (uintptr_t)mp_frame_previous(frame);
    }
    return false;
}

/* If the trail holds, make *hash the hash of the whole stack. */
static inline bool
mp_trail_follow(struct mp_trail *trail, const PyThreadState *tstate, uint64_t *hash)
{
    const uintptr_t kept = mp_anchor_kept(trail, tstate);
    if (!mp_trail_holds(trail, kept))
        return false;
    *hash = *hash * trail->power + trail->hash;
    if (MP_UNLIKELY(++trail->met == 0) || (MP_HAS_ANCHOR && MP_UNLIKELY(kept != trail->anchor)))
        mp_trail_tend(trail, tstate);
    return true;
}

#endif
