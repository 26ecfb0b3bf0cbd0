/* frames: one frame of the Python stack and the next, as far as a walk needs to know.
 *
 * No references are taken; a thread reads its own frames only.
 */
#ifndef MP_FRAMES_H
#define MP_FRAMES_H

#include "base/debug.h"
#include "base/mem.h"
#include "py/cpython/compat.h"

enum { MP_FRAME_OWNER_GENERATOR = 1 };
#define MP_FRAME_CODE_MASK (MP_FRAME_TAGGED ? ~(uintptr_t)7 : ~(uintptr_t)0)

/* ---- what a frame has --------------------------------------------------------------- */

static inline const char *
mp_frame_previous(const char *frame)
{
    return *(const char *const *)(frame + MP_FRAME_PREVIOUS);
}

/* Address of the code object that the frame runs. */
static inline uintptr_t
mp_frame_code(const char *frame)
{
    return *(const uintptr_t *)(frame + MP_FRAME_CODE) & MP_FRAME_CODE_MASK;
}

static inline uintptr_t
mp_frame_ip(const char *frame)
{
    return *(const uintptr_t *)(frame + MP_FRAME_IP);
}

static inline unsigned
mp_frame_owner(const char *frame)
{
    return *(const unsigned char *)(frame + MP_FRAME_OWNER);
}

/* False for the interpreter's own frames, between Python code and its C callers. */
static inline bool
mp_frame_is_python(const char *frame)
{
    return !MP_FRAME_HAS_SHIMS || mp_frame_owner(frame) <= MP_FRAME_OWNER_LAST;
}

/* Address of the first of the instructions that `ip` is one of. Without a GIL, threads run
 * copies of their own (MP_HAS_CODE_COPIES); each is a block of memory. */
static inline uintptr_t
mp_code_start(const PyCodeObject *code, uintptr_t ip)
{
#if MP_HAS_CODE_COPIES
    const _PyCodeArray *copies = _Py_atomic_load_ptr_acquire(&code->co_tlbc);
    const uintptr_t size = (uintptr_t)Py_SIZE(code) * 2;
    for (Py_ssize_t i = 1; copies && i < copies->size; i++) /* the first is the original */
        if (copies->entries[i] && ip - (uintptr_t)copies->entries[i] < size)
            return (uintptr_t)copies->entries[i];
#endif
    (void)ip;
    return (uintptr_t)code->co_code_adaptive;
}

/* ---- the ends of a thread's stack --------------------------------------------------- */

/* The innermost frame of a thread. */
static inline const char *
mp_frame_top(const PyThreadState *tstate)
{
    return !MP_FRAME_HOLDER_MAY_MISS || MP_FRAME_HOLDER(tstate)
               ? (const char *)MP_FRAME_HOLDER(tstate)->current_frame
               : NULL;
}

/* Let the thread's stack of frames end or go on elsewhere; for mp_frame_top(). */
static inline void
mp_frame_set_top(PyThreadState *tstate, const char *frame)
{
    assert(MP_FRAME_HOLDER(tstate)); /* otherwise there is no stack to be set */
    MP_FRAME_HOLDER(tstate)->current_frame = (struct _PyInterpreterFrame *)frame;
}

/* What the thread's stack of frames ends in when no Python code runs. */
static inline const char *
mp_frame_outermost(const PyThreadState *tstate)
{
    (void)tstate;
    return (const char *)MP_FRAME_OUTERMOST(tstate);
}

/* ---- what a walk passes over ------------------------------------------------------------ */

/* Code of the frames that 3.13 and later put between a constructor's call and __init__, or 0:
 * none was met yet. They are left out like the interpreter's own. */
extern MP_HIDDEN _Atomic uintptr_t mp_frames_cleanup;

static inline bool
mp_frame_is_cleanup(uintptr_t code)
{
    return MP_FRAME_HAS_CLEANUP &&
           code == atomic_load_explicit(&mp_frames_cleanup, memory_order_relaxed);
}

/* Whether it is one by its looks; if so it is remembered. */
bool mp_frame_is_named_cleanup(uintptr_t code);

/* The same for a code that may be met for the first time. */
static inline bool
mp_frame_learn_cleanup(uintptr_t code)
{
    return MP_FRAME_HAS_CLEANUP && mp_frame_is_named_cleanup(code);
}

/* A frame that has not begun its function yet: it makes its cells or its generator. CPython
 * leaves it out of tracebacks. Only the innermost frame can be one. */
static inline bool
mp_frame_is_incomplete(const char *frame)
{
    const PyCodeObject *code = (const PyCodeObject *)mp_frame_code(frame);
    const uintptr_t ip = mp_frame_ip(frame);
    assert(mp_frame_is_python(frame));
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

/* The number of frames of a recursion, at least, further out than which a stack is cut: each
 * allocation passes over them, so that a recursion would cost the square of its depth. */
#define MP_FOLDED_MAX 4096

/* The same for the frames that are kept. */
#define MP_KEPT_MAX 8192

/* The last of the frames, from `frame` out, that are left out as recursion; NULL: they are too
 * many to pass over. */
static inline const char *
mp_frame_skip_folded(const char *frame, uintptr_t last, uintptr_t before_last)
{
    assert(frame && last);
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

#endif
