/* The anchor of CPython 3.15: `last_profiled_frame` of the thread state, made for profilers
 * outside of the process (_PyThreadState_UpdateLastProfiledFrame in
 * Include/internal/pycore_interpframe.h). Where the frame that it points to ends, the
 * interpreter moves it to that frame's caller and counts: what it points to has not ended
 * since it was set, so neither have the frames outside of it, nor have they run.
 *
 * Who else sets it is noticed: then it is not where the count says. The thread leaves it to
 * them for the rest of the trace, as it does where other code than the interpreter's own
 * runs frames (PEP 523) and may not move it.
 */
#ifndef MP_ANCHOR_H
#define MP_ANCHOR_H

enum { MP_HAS_ANCHOR = 1 };

/* Is it where it was set, moved as often as the interpreter counted? */
static inline bool
mp_anchor_is_ours(const struct mp_trail *trail, const PyThreadState *tstate)
{
    const uintptr_t moves = tstate->last_profiled_frame_seq - trail->held_at;
    assert(trail->held != 0);
    const uintptr_t frame = (uintptr_t)tstate->last_profiled_frame;
    if (moves == 0)
        return frame == trail->held;
    return moves <= MP_TRAIL_FRAMES + 1 && frame == trail->steps[moves - 1].frame;
}

/* The innermost frame of the trail, or its anchor, that has not ended since the trail was
 * known to hold; 0: not known. It may not be read: see mp_anchor_end_is_told(). */
static inline uintptr_t
mp_anchor_kept(const struct mp_trail *trail, const PyThreadState *tstate)
{
    if (trail->held != trail->anchor || !mp_anchor_is_ours(trail, tstate))
        return 0;
    return (uintptr_t)tstate->last_profiled_frame;
}

/* Does the interpreter move the anchor when this frame, which is alive, ends? Not for its own. */
static inline bool
mp_anchor_end_is_told(const char *frame)
{
    return mp_frame_is_python(frame) && !mp_frame_is_cleanup(mp_frame_code(frame));
}

/* May it be set? After mp_anchor_release() of what the thread held before. */
static inline bool
mp_anchor_is_free(const PyThreadState *tstate)
{
    return !tstate->last_profiled_frame &&
           _PyInterpreterState_GetEvalFrameFunc(tstate->interp) == _PyEval_EvalFrameDefault;
}

/* Take it back from where it was set, if it is ours. Before the steps change. */
static inline void
mp_anchor_release(struct mp_trail *trail, PyThreadState *tstate)
{
    if (trail->held && mp_anchor_is_ours(trail, tstate))
        tstate->last_profiled_frame = NULL;
    trail->held = 0;
}

/* Set it to the trail's anchor, if that is allowed. The trail holds now. */
static inline void
mp_anchor_set(struct mp_trail *trail, PyThreadState *tstate)
{
    assert(trail->anchor > 2); /* a frame */
    if (trail->shared)
        return;
    mp_anchor_release(trail, tstate);
    if (!mp_anchor_is_free(tstate)) {
        trail->shared = true;
        return;
    }
    tstate->last_profiled_frame = (struct _PyInterpreterFrame *)trail->anchor;
    trail->held = trail->anchor;
    trail->held_at = tstate->last_profiled_frame_seq;
}

#endif
