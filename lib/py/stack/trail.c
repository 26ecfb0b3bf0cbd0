#include "py/stack/trail.h"

#include <assert.h>

enum {
    MISSES_BEFORE_NEW = 4, /* among 256 meetings */
    MET_TO_PAY = 16,       /* until it is missed so often, or it costs more than it saves */
    FAILURES = 2,          /* trails in a row that did not pay, before a rest */
    SHORTEST = 8,          /* frames that are faster walked than compared */
    FAR = 6,               /* frames kept inside of the anchor that are many */
};

/* The kept frame that is `distance` further out than the innermost one. */
static const char *
choose_anchor(const PyThreadState *tstate, int distance)
{
    uintptr_t last = 0, before_last = 0;
    const char *frame = mp_frame_top(tstate);
    assert(distance >= 0);
    for (; frame; frame = mp_frame_previous(frame)) {
        const uintptr_t code = mp_frame_code(frame);
        if (!mp_frame_is_python(frame) || mp_frame_learn_cleanup(code))
            continue;
        if (code == last || code == before_last) {
            frame = mp_frame_skip_folded(frame, last, before_last);
            if (!frame)
                return NULL;
            continue;
        }
        before_last = last;
        last = code;
        if (distance-- == 0)
            return frame;
    }
    return NULL;
}

/* Fill trail->steps with the frames outside of the anchor. How many there are; at most one more
 * than there is room for. */
static int
fill_trail(struct mp_trail *trail, const char *anchor)
{
    uintptr_t last = mp_frame_code(anchor), before_last = 0;
    int count = 0;
    bool folding = false;

    trail->code = last;
    trail->next_code = 0;
    trail->hash = 0;
    trail->power = 1;
    trail->folded = false;
    trail->stack = 0;
    for (const char *frame = mp_frame_previous(anchor); frame; frame = mp_frame_previous(frame)) {
        if (count == MP_TRAIL_FRAMES)
            return count + 1;
        const uintptr_t code = mp_frame_code(frame);
        trail->steps[count++] = (struct mp_trail_step){(uintptr_t)frame, mp_frame_ip(frame)};
        if (!mp_frame_is_python(frame) || mp_frame_learn_cleanup(code))
            continue;
        const bool folds = code == last || code == before_last;
        if (!folds || !folding) {
            const uint64_t word = folds ? MP_HASH_FOLD : mp_frame_ip(frame);
            trail->hash = trail->hash * MP_HASH_FACTOR + word;
            trail->power *= MP_HASH_FACTOR;
        }
        folding = folds;
        trail->folded |= folds;
        if (folds)
            continue;
        if (!before_last)
            trail->next_code = code;
        before_last = last;
        last = code;
    }
    assert(count <= MP_TRAIL_FRAMES && trail->code != trail->next_code);
    trail->steps[count].frame = 0;
    return count;
}

static void
make_trail(struct mp_trail *trail, PyThreadState *tstate)
{
    static const int distances[] = {2, 1, 3, 5}; /* the innermost frames change all the time */
    const char *anchor = choose_anchor(tstate, distances[trail->made++ & 3]);
    mp_anchor_release(trail, tstate);
    trail->misses = trail->met = 0;
    const int length = anchor ? fill_trail(trail, anchor) : 0;
    if (length < SHORTEST)
        trail->anchor = MP_TRAIL_SHORT;
    else if (length > MP_TRAIL_FRAMES)
        trail->anchor = MP_TRAIL_DEEP;
    else {
        trail->anchor = (uintptr_t)anchor;
        mp_anchor_set(trail, tstate);
    }
}

uint64_t
mp_trail_missed(struct mp_trail *trail, const PyThreadState *tstate, uint64_t hash)
{
    if (trail->anchor > MP_TRAIL_SHORT) {
        if (++trail->misses < MISSES_BEFORE_NEW)
            return hash;
        trail->failures = trail->met < MET_TO_PAY ? trail->failures + 1 : 0;
    }
    if (trail->failures < FAILURES) {
        make_trail(trail, (PyThreadState *)tstate);
        return hash;
    }
    trail->anchor = MP_TRAIL_SHORT; /* walk plainly for a while */
    trail->met = trail->failures = 0;
    return hash;
}

/* Are there many frames inside of the anchor? It is on the stack. */
static bool
is_far(const struct mp_trail *trail, const PyThreadState *tstate)
{
    const char *frame = choose_anchor(tstate, FAR);
    while (frame && (uintptr_t)frame != trail->anchor)
        frame = mp_frame_previous(frame);
    return frame != NULL;
}

void
mp_trail_tend(struct mp_trail *trail, const PyThreadState *tstate)
{
    assert(trail->anchor > MP_TRAIL_DEEP);
    if (trail->met == 0 && is_far(trail, tstate)) {
        make_trail(trail, (PyThreadState *)tstate);
        return;
    }
    if (trail->met == 0)
        trail->misses = trail->failures = 0;
    mp_anchor_set(trail, (PyThreadState *)tstate);
}
