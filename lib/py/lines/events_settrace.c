/* Events of selected code on CPython 3.11: a frame evaluation function (PEP 523) sees calls and
 * ends, and sets a trace function for the time that selected code runs. The trace function of
 * a debugger or of coverage is called from ours, and is the one that Python code sees.
 *
 * With such a function set, 3.11 inlines no call. Nothing else tells of the calls of chosen code:
 * CALL looks at a function's type and version only, not at `vectorcall`; no instruction in the
 * place of RESUME calls out and leaves the stack as it is, and DO_TRACING is one only while the
 * thread traces. A co_stacksize beyond a chunk of the data stack does (each call then asks the
 * arena allocator), but programs can see it, frame objects grow by 16 KiB, and generators, whose
 * frames are elsewhere, go unseen. */
#include "py/cpython/frames.h"

#if !MP_HAS_MONITORING

#include <pthread.h>

#include "os/threads.h"
#include "py/alloc/hook.h"
#include "py/lines/activations.h"
#include "py/lines/events.h"
#include "py/lines/selection.h"
#include "py/stack/cache.h"

typedef struct _PyInterpreterFrame frame_t;

static _PyFrameEvalFunction below; /* what evaluated frames before us */
static unsigned long watched;      /* number of code objects */

/* ---- lines --------------------------------------------------------------------------------- */

/* The object is that of the trace function before ours, which it belongs to. */
static int
trace(PyObject *object, PyFrameObject *frame, int what, PyObject *arg)
{
    struct mp_thread *self = mp_thread_current;
    const char *own = mp_frame_top(PyThreadState_Get());
    if (MP_LIKELY(mp_activation_is_top(self, own))) {
        if (MP_LIKELY(what == PyTrace_LINE))
            mp_activation_line(self, own, (const PyCodeObject *)mp_frame_code(own),
                               PyFrame_GetLineNumber(frame));
        else if (what == PyTrace_CALL) { /* the frame object was made for us */
            mp_hook_disown(self, (uintptr_t)frame - mp_object_presize(&PyFrame_Type));
            mp_activation_rebase(self);
        }
    }
    const Py_tracefunc chained = (Py_tracefunc)mp_py_thread(self)->chained;
    return chained ? chained(object, frame, what, arg) : 0;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* What the thread is traced with. */
struct tracing {
    Py_tracefunc trace, profile;
    uint8_t on; /* of the innermost evaluation; each inherits it and hands it back */
};

static inline struct tracing
get_tracing(const PyThreadState *tstate)
{
    return (struct tracing){tstate->c_tracefunc, tstate->c_profilefunc,
                            tstate->cframe->use_tracing};
}

/* After a call: as before it, unless the program has set other functions meanwhile. */
static inline void
restore_tracing(PyThreadState *tstate, const struct tracing *before)
{
    if (tstate->c_tracefunc == before->trace && tstate->c_profilefunc == before->profile)
        tstate->cframe->use_tracing = before->on;
    else
        tstate->cframe->use_tracing = tstate->c_tracefunc || tstate->c_profilefunc ? 255 : 0;
}

/* Code that was not selected runs without our trace function, if it is there for us alone. */
static PyObject *
run_other(PyThreadState *tstate, frame_t *frame, int throwing)
{
    if (MP_LIKELY(tstate->c_tracefunc != trace || mp_py_thread(mp_thread_current)->chained ||
                  tstate->c_profilefunc))
        return below(tstate, frame, throwing);
    const struct tracing before = get_tracing(tstate);
    tstate->cframe->use_tracing = 0;
    PyObject *result = below(tstate, frame, throwing);
    restore_tracing(tstate, &before);
    return result;
}

static bool
is_suspended(const frame_t *frame)
{
    const char *start = (const char *)frame - offsetof(PyGenObject, gi_iframe);
    enum { SUSPENDED = -1 }; /* FRAME_SUSPENDED */
    return mp_frame_owner((const char *)frame) == MP_FRAME_OWNER_GENERATOR &&
           ((const PyGenObject *)start)->gi_frame_state == SUSPENDED;
}

static bool
begins(const char *frame, const PyCodeObject *code)
{
    const uintptr_t ip = mp_frame_ip(frame);
    const uintptr_t first = mp_code_start(code, ip) + (uintptr_t)code->_co_firsttraceable * 2;
    return mp_frame_owner(frame) != MP_FRAME_OWNER_GENERATOR || ip < first;
}

static PyObject *
run_selected(PyThreadState *tstate, frame_t *frame, int throwing, struct mp_thread *self)
{
    const struct tracing before = get_tracing(tstate);
    void (*const chained)(void) = mp_py_thread(self)->chained;
    if (tstate->c_tracefunc != trace) {
        mp_py_thread(self)->chained = (void (*)(void))tstate->c_tracefunc;
        tstate->c_tracefunc = trace;
    }
    tstate->cframe->use_tracing = 255;
    PyObject *result = below(tstate, frame, throwing);
    mp_activation_leave(self, (const char *)frame, is_suspended(frame));
    if (tstate->c_tracefunc == trace)
        tstate->c_tracefunc = before.trace;
    mp_py_thread(self)->chained = chained;
    restore_tracing(tstate, &before);
    return result;
}

/* Each evaluation takes C stack here, which it does not in a plain 3.11. */
static bool
has_stack(struct mp_thread *self)
{
    enum { RESERVE = 256 * 1024 };
    uintptr_t *const stack_end = &mp_py_thread(self)->stack_end;
    if (MP_UNLIKELY(!*stack_end)) {
        uintptr_t start = 0;
        size_t size = 0;
        mp_threads_stack(&start, &size);
        *stack_end = start + (size > 2 * RESERVE ? RESERVE : size / 2);
    }
    return (uintptr_t)__builtin_frame_address(0) > *stack_end;
}

static PyObject *
eval_frame(PyThreadState *tstate, frame_t *frame, int throwing)
{
    const char *own = (const char *)frame;
    const PyCodeObject *code = (const PyCodeObject *)mp_frame_code(own);
    struct mp_thread *self = mp_thread_self();
    if (MP_UNLIKELY(!self))
        return below(tstate, frame, throwing);
    if (MP_UNLIKELY(!has_stack(self)) && mp_frame_owner(own) != MP_FRAME_OWNER_GENERATOR) {
        PyErr_SetString(PyExc_RecursionError,
                        "no C stack left (memprof's line profiler takes some for each call)");
        return NULL;
    }
    if (MP_LIKELY(!mp_selection_may_have(code)) || tstate->tracing ||
        atomic_load_explicit(&self->guard, memory_order_relaxed) != self->idle)
        return run_other(tstate, frame, throwing);
    const int makes_generator = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR;
    if ((code->co_flags & makes_generator) && mp_frame_owner(own) != MP_FRAME_OWNER_GENERATOR)
        return run_other(tstate, frame, throwing);
    const bool selected = begins(own, code) ? mp_activation_enter(self, own, code)
                                            : mp_activation_resume(self, own, code);
    return selected ? run_selected(tstate, frame, throwing, self)
                    : run_other(tstate, frame, throwing);
}

/* ---- in and out ------------------------------------------------------------------------------ */

int
mp_line_events_watch(PyCodeObject *code)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    const _PyFrameEvalFunction current = _PyInterpreterState_GetEvalFrameFunc(interpreter);
    (void)code;
    if (watched++ == 0 && current != eval_frame) {
        below = current;
        _PyInterpreterState_SetEvalFrameFunc(interpreter, eval_frame);
    }
    return 0;
}

void
mp_line_events_unwatch(PyCodeObject *code)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    (void)code;
    /* where another has been put in front of ours, ours stays and calls what is below */
    if (--watched == 0 && _PyInterpreterState_GetEvalFrameFunc(interpreter) == eval_frame)
        _PyInterpreterState_SetEvalFrameFunc(interpreter, below);
}

#endif
