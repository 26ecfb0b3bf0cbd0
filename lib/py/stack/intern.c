/* The slow path of mp_stack_site (stack.h): the call stack is not in the thread's cache. */
#include "py/stack/stack.h"

#include "py/stack/code.h"

#include <string.h>

/* ---- the frames to keep -------------------------------------------------------------- */

/* A stack as it is collected for the depot. */
struct collected {
    ptrdiff_t count;  /* of self->frames, innermost first; -1: no memory for them */
    ptrdiff_t anchor; /* which of them is the anchor of a trail that holds; -1: none is */
    bool known;       /* the trail's stack is: nothing was collected outside of its anchor */
    bool cut;         /* there are more frames, further out */
};

/* Is the frame the anchor of the trail, and do the frames outside of it, which are folded as
 * they were, have not changed? */
static bool
is_anchor(const struct mp_trail *trail, const PyThreadState *tstate, const char *frame,
          uintptr_t last)
{
    return (uintptr_t)frame == trail->anchor &&
           mp_trail_fits(trail, tstate, mp_frame_code(frame), last) &&
           mp_trail_holds(trail, mp_anchor_kept(trail, tstate));
}

/* The frames to keep: keeps and folds exactly as mp_stack_hash does. `whole`: all of them. */
static struct collected
collect(struct mp_thread *self, const PyThreadState *tstate, bool whole)
{
    const struct mp_trail *trail = &self->trail;
    struct collected stack = {.anchor = -1};
    uintptr_t last = 0, before_last = 0;
    const char *frame = mp_frame_first(mp_frame_top(tstate));

    if (frame && mp_frame_is_incomplete(frame))
        frame = mp_frame_previous(frame);
    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (!mp_frame_is_python(frame) || mp_frame_learn_cleanup(code))
            continue;
        if (code == last || code == before_last) {
            frame = mp_frame_skip_folded(frame, last, before_last);
            if (stack.count)
                self->frames[stack.count - 1].folded = true;
            if ((stack.cut = !frame))
                break;
            continue;
        }
        if ((stack.cut = stack.count == MP_KEPT_MAX))
            break;
        if (!mp_thread_reserve_frames(self, (size_t)stack.count + 1)) {
            stack.count = -1;
            break;
        }
        self->frames[stack.count] = (struct mp_frame_key){code, mp_frame_ip(frame), false};
        if (is_anchor(trail, tstate, frame, last)) {
            stack.anchor = stack.count;
            stack.known = !whole && trail->stack;
        }
        stack.count++;
        if (stack.known)
            break;
        before_last = last;
        last = code;
    }
    return stack;
}

/* ---- into the trie ------------------------------------------------------------------- */

/* The outermost frame of a stack that was cut; its text says why. */
static uint32_t
cut_mark(const char *text)
{
    const struct mp_location mark = {
        .file = mp_names_intern(&mp_tracer.depot.names, text, strlen(text))};
    return mp_depot_stack(&mp_tracer.depot, 0, mp_depot_location(&mp_tracer.depot, &mark));
}

/* Are there so many stacks that new ones are cut? */
static bool
depot_is_crowded(void)
{
    return mp_stacks_count(&mp_tracer.depot.stacks) >= MP_STACKS_BEFORE_CUT;
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

/* The frames outside of the anchor of a trail that holds are `kept` ones, and this stack. */
static void
tell_trail(struct mp_trail *trail, const struct mp_frame_key *anchor, uint32_t stack, uint32_t kept)
{
    trail->stack = stack;
    trail->kept = kept;
    trail->anchor_folded = anchor->folded;
}

/* The stack of a frame on top of `parent`, which has `depth` frames; 0: no room for it.
 * Those that are the same as on the path are known. */
static uint32_t
push_frame(struct mp_thread *self, const struct mp_frame_key *frame, uint32_t parent,
           uint32_t depth)
{
    struct mp_path *path = &self->path;
    struct mp_path_step *step = &path->steps[depth];
    const bool on_path = depth < MP_PATH_FRAMES && depth <= path->count &&
                         (depth ? step[-1].stack : 0) == parent;
    if (on_path && depth < path->count && step->ip == frame->ip && step->folded == frame->folded)
        return step->stack;

    const uint32_t location = mp_code_location(self, frame);
    const uint32_t stack =
        location ? push(self, parent, location | (frame->folded ? MP_FOLDED : 0)) : 0;
    if (on_path && stack) {
        *step = (struct mp_path_step){frame->ip, stack, frame->folded};
        path->count = depth + 1;
    }
    return stack;
}

/* Stack id of what was collected, outermost first into the trie. False: no room for it. */
static bool
intern_frames(struct mp_thread *self, struct collected frames, uint32_t *stack)
{
    struct mp_trail *trail = &self->trail;
    ptrdiff_t left = frames.count;
    uint32_t depth = 0;

    *stack = frames.cut ? cut_mark("<frames left out: deep recursion>") : 0;
    if (frames.known) {
        *stack = trail->stack;
        depth = trail->kept;
        self->frames[frames.anchor].folded = trail->anchor_folded;
    } else if (left > MP_CUT_DEPTH && depot_is_crowded()) {
        left = MP_CUT_DEPTH;
        *stack = cut_mark("<frames left out: too many call stacks>");
        frames.anchor = -1;
    }
    for (; left > 0; left--, depth++) {
        const struct mp_frame_key *frame = &self->frames[left - 1];
        if (left - 1 == frames.anchor && !frames.cut)
            tell_trail(trail, frame, *stack, depth);
        *stack = push_frame(self, frame, *stack, depth);
        if (!*stack)
            return false;
    }
    return true;
}

/* Stack id of the frames of now. False: no room for it. */
static bool
intern_stack(struct mp_thread *self, const PyThreadState *tstate, uint32_t *stack)
{
    const struct collected frames = collect(self, tstate, depot_is_crowded());
    if (frames.count < 0 || !intern_frames(self, frames, stack))
        return false;
#ifdef MP_CHECK_WALKS
    uint32_t whole = 0;
    self->path.count = 0;
    if (intern_frames(self, collect(self, tstate, true), &whole) && whole != *stack)
        abort();
#endif
    return true;
}

/* ---- the cache --------------------------------------------------------------------------- */

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
    if (tstate && !intern_stack(self, tstate, &site.stack))
        return 0;
    const uint32_t id = mp_tracer_site(&site);
    if (!id)
        return 0;
    put_first(set, (struct mp_site_way){hash, id}, MP_SITE_WAYS - 1);
    return id;
}
