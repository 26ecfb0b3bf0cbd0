#include "py/stack/intern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "py/stack/code.h"
#include "py/stack/trail.h"
#include "record/tracer.h"

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
collect(struct mp_py_thread *self, const PyThreadState *tstate, bool whole)
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
        if (!mp_cache_reserve_frames(self, (size_t)stack.count + 1)) {
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

/* A stack of the depot that is the one of now. */
struct known_stack {
    uint32_t stack, youngest; /* as in struct climb */
};

/* ---- into the tree ------------------------------------------------------------------- */

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

/* Frames on their way into the tree. */
struct climb {
    uint32_t stack;    /* of the frames done */
    uint32_t depth;    /* how many those are */
    uint32_t youngest; /* the latest birth of their code objects */
    ptrdiff_t left;    /* the frames self->frames[left - 1], ..., [0] are to come */
    ptrdiff_t anchor;  /* where the trail is told; -1: nowhere */
};

/* The frames outside of the anchor of a trail that holds are those done. */
static void
tell_trail(struct mp_trail *trail, const struct mp_frame_key *anchor, const struct climb *climb)
{
    trail->stack = climb->stack;
    trail->kept = climb->depth;
    trail->youngest = climb->youngest;
    trail->anchor_folded = anchor->folded;
}

static bool
is_on_path(const struct mp_path *path, const struct climb *climb)
{
    return climb->depth < MP_PATH_FRAMES && climb->depth <= path->count &&
           (climb->depth ? path->steps[climb->depth - 1].stack : 0) == climb->stack;
}

/* One frame is done; its stack is known. */
static void
step_up(struct mp_py_thread *self, struct climb *climb, uint32_t stack, uint32_t birth)
{
    if (climb->left - 1 == climb->anchor)
        tell_trail(&self->trail, &self->frames[climb->anchor], climb);
    if (birth > climb->youngest)
        climb->youngest = birth;
    climb->stack = stack;
    climb->depth++;
    climb->left--;
}

/* The frames that are the same as on the path are known. */
static void
follow_path(struct mp_py_thread *self, struct climb *climb)
{
    const struct mp_path *path = &self->path;
    if (!is_on_path(path, climb))
        return;
    while (climb->left && climb->depth < path->count) {
        const struct mp_frame_key *frame = &self->frames[climb->left - 1];
        const struct mp_path_step *step = &path->steps[climb->depth];
        if (step->ip != frame->ip || step->folded != frame->folded)
            return;
        step_up(self, climb, step->stack, step->birth);
    }
}

/* Look the next frames up, or make them. False: no room for them. */
static bool
push_frames(struct mp_py_thread *self, struct climb *climb)
{
    enum { MOST = 64 };
    struct mp_path *path = &self->path;
    uint32_t stacks[MOST], births[MOST]; /* `stacks`: locations first */
    const uint32_t count = climb->left < MOST ? (uint32_t)climb->left : MOST;

    uint32_t next = 0;
    do {
        const struct mp_frame_key *frame = &self->frames[climb->left - 1 - next];
        const uint32_t location = mp_code_location(self, frame, &births[next]);
        if (!location)
            return false;
        stacks[next] = location | (frame->folded ? MP_FOLDED : 0);
    } while (++next < count);
    if (!mp_stacks_push(&mp_tracer.depot.stacks, climb->stack, stacks, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct mp_frame_key *frame = &self->frames[climb->left - 1];
        if (is_on_path(path, climb)) {
            path->steps[climb->depth] =
                (struct mp_path_step){frame->ip, stacks[i], births[i], frame->folded};
            path->count = climb->depth + 1;
        }
        step_up(self, climb, stacks[i], births[i]);
    }
    return true;
}

/* What was collected, outermost first into the tree. False: no room for it. Where frames are left
 * out their births are not known. */
static bool
intern_frames(struct mp_py_thread *self, struct collected frames, struct known_stack *known)
{
    const struct mp_trail *trail = &self->trail;
    struct climb climb = {.left = frames.count, .anchor = frames.cut ? -1 : frames.anchor};

    if (frames.cut) {
        climb.stack = cut_mark("<frames left out: deep recursion>");
        climb.youngest = MP_BIRTH_UNKNOWN;
    }
    if (frames.known) {
        climb.stack = trail->stack;
        climb.depth = trail->kept;
        climb.youngest = trail->youngest;
        self->frames[frames.anchor].folded = trail->anchor_folded;
    } else if (climb.left > MP_CUT_DEPTH && depot_is_crowded()) {
        climb.left = MP_CUT_DEPTH;
        climb.stack = cut_mark("<frames left out: too many call stacks>");
        climb.youngest = MP_BIRTH_UNKNOWN;
        climb.anchor = -1;
    }
    follow_path(self, &climb);
    while (climb.left)
        if (!push_frames(self, &climb))
            return false;
    *known = (struct known_stack){climb.stack, climb.youngest};
    return true;
}

/* The stack of now. False: no room for it. */
static bool
intern_stack(struct mp_py_thread *self, const PyThreadState *tstate, struct known_stack *known)
{
    const struct collected frames = collect(self, tstate, depot_is_crowded());
    if (frames.count < 0 || !intern_frames(self, frames, known))
        return false;
#ifdef MP_CHECK_WALKS
    struct known_stack whole;
    self->path.count = 0;
    if (intern_frames(self, collect(self, tstate, true), &whole) &&
        (whole.stack != known->stack || whole.youngest > known->youngest))
        abort();
#endif
    return true;
}

/* ---- the cache --------------------------------------------------------------------------- */

/* Put a way first, where the others up to `last` move on by one. */
static void
put_first(struct mp_site_way *set, struct mp_site_way first, int last)
{
    assert(last < MP_SITE_WAYS);
    for (int way = last; way > 0; way--)
        set[way] = set[way - 1];
    set[0] = first;
}

#ifdef MP_CHECK_WALKS
void
mp_intern_check(struct mp_py_thread *self, const PyThreadState *tstate, uint64_t hash)
{
    const struct mp_site_way *set = self->sites[hash & (MP_SITE_SETS - 1)];
    for (int way = 0; way < MP_SITE_WAYS && tstate; way++) {
        struct known_stack now;
        if (set[way].hash != hash || depot_is_crowded() ||
            !intern_frames(self, collect(self, tstate, true), &now))
            continue;
        if (mp_depot_site_at(&mp_tracer.depot, set[way].site)->stack != now.stack)
            abort();
    }
}
#endif

uint32_t
mp_intern_site(struct mp_py_thread *self, const PyThreadState *tstate, uint64_t hash,
               struct mp_site site)
{
    struct mp_site_way *set = self->sites[hash & (MP_SITE_SETS - 1)];
    assert(set[0].hash != hash && set[1].hash != hash);
    for (int way = 2; way < MP_SITE_WAYS; way++)
        if (set[way].hash == hash) {
            put_first(set, set[way], way);
            return set->site;
        }
    struct known_stack known = {0};
    if (tstate && !intern_stack(self, tstate, &known))
        return 0;
    site.stack = known.stack;
    const uint32_t id = mp_tracer_site(&site);
    if (!id)
        return 0;
    put_first(set, (struct mp_site_way){hash, id, known.youngest}, MP_SITE_WAYS - 1);
    return id;
}
