#include "stack.h"

#include "code.h"

#include <limits.h>
#include <string.h>

/* ---- hash ------------------------------------------------------------------------- */

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

/* ---- what is not in the cache ------------------------------------------------------- */

/* The frames to keep, innermost first, in self->frames; -1 when there is no memory. `cut` when
 * there are more, further out. Keeps and folds exactly as mp_stack_hash does. */
static ptrdiff_t
collect(struct mp_thread *self, const PyThreadState *tstate, bool *cut)
{
    uintptr_t last = 0, before_last = 0;
    size_t count = 0;
    const char *frame = mp_frame_first(mp_frame_top(tstate));

    if (frame && mp_frame_is_incomplete(frame))
        frame = mp_frame_previous(frame);
    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (!mp_frame_is_python(frame) || mp_frame_learn_cleanup(code))
            continue;
        if (code == last || code == before_last) {
            frame = mp_frame_skip_folded(frame, last, before_last);
            if (count)
                self->frames[count - 1].folded = true;
            if ((*cut = !frame))
                break;
            continue;
        }
        before_last = last;
        last = code;
        if ((*cut = count == MP_KEPT_MAX))
            break;
        if (!mp_thread_reserve_frames(self, count + 1))
            return -1;
        self->frames[count++] = (struct mp_frame_key){code, mp_frame_ip(frame), false};
    }
    return (ptrdiff_t)count;
}

/* The outermost frame of a stack that was cut; its text says why. */
static uint32_t
cut_mark(const char *text)
{
    const struct mp_location mark = {
        .file = mp_names_intern(&mp_tracer.depot.names, text, strlen(text))};
    return mp_depot_stack(&mp_tracer.depot, 0, mp_depot_location(&mp_tracer.depot, &mark));
}

/* The stack of a location on top of another; 0: no room for it. */
static uint32_t
push(struct mp_thread *self, uint32_t parent, uint32_t location)
{
    const uint64_t hash = mp_hash_mix(parent, location);
    struct mp_stack_slot *slot = &self->stacks[hash >> 20 & (MP_STACK_SLOTS - 1)];
    if (slot->stack && slot->parent == parent && slot->location == location)
        return slot->stack;
    const uint32_t stack = mp_depot_stack(&mp_tracer.depot, parent, location);
    if (stack)
        *slot = (struct mp_stack_slot){parent, location, stack};
    return stack;
}

/* Stack id of the frames, outermost first into the trie. False: no room for it. */
static bool
intern_frames(struct mp_thread *self, ptrdiff_t count, bool cut, uint32_t *stack)
{
    *stack = cut ? cut_mark("<frames left out: deep recursion>") : 0;
    if (count > MP_CUT_DEPTH && mp_table_count(&mp_tracer.depot.stacks) >= MP_STACKS_BEFORE_CUT) {
        count = MP_CUT_DEPTH;
        *stack = cut_mark("<frames left out: too many call stacks>");
    }
    while (count-- > 0) {
        const struct mp_frame_key *frame = &self->frames[count];
        const uint32_t location = mp_code_location(self, frame);
        if (!location)
            return false;
        *stack = push(self, *stack, location | (frame->folded ? MP_FOLDED : 0));
        if (!*stack)
            return false;
    }
    return true;
}

/* Put a way first, where the others up to `last` move on by one. */
static void
put_first(struct mp_site_way *set, struct mp_site_way first, int last)
{
    for (int way = last; way > 0; way--)
        set[way] = set[way - 1];
    set[0] = first;
}

uint32_t
mp_stack_miss(struct mp_thread *self, const PyThreadState *tstate, uint64_t hash,
               struct mp_site site)
{
    struct mp_site_way *set = self->sites[hash & (MP_SITE_SETS - 1)];
    for (int way = 2; way < MP_SITE_WAYS; way++)
        if (set[way].hash == hash) {
            put_first(set, set[way], way);
            return set->site;
        }
    bool cut = false;
    const ptrdiff_t count = tstate ? collect(self, tstate, &cut) : 0;
    if (count < 0 || !intern_frames(self, count, cut, &site.stack))
        return 0;
    const uint32_t id = mp_tracer_site(&site);
    if (!id)
        return 0;
    put_first(set, (struct mp_site_way){hash, id}, MP_SITE_WAYS - 1);
    return id;
}
