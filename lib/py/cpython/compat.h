/* compat: the differences between CPython versions; the only PY_VERSION_HEX.
 *
 * A difference is an inline function here, a number in layout_3xx.h where it is where something
 * lies (frames.h and values.h look there), or a name in internals_3xx.h where only CPython's
 * internal headers know of it (interpreter.h). Everything is readable in an allocator hook: plain
 * loads, no reference counts, no lock, no allocation.
 */
#ifndef MP_COMPAT_H
#define MP_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if PY_VERSION_HEX >= 0x03100000
#error "memprof does not know the frames of this Python yet"
#elif PY_VERSION_HEX >= 0x030F0000
#include "py/cpython/layout_315.h"
#define MP_INTERNALS_HEADER "py/cpython/internals_314.h"
#elif PY_VERSION_HEX >= 0x030E0000
#include "py/cpython/layout_314.h"
#define MP_INTERNALS_HEADER "py/cpython/internals_314.h"
#elif PY_VERSION_HEX >= 0x030D0000
#include "py/cpython/layout_313.h"
#define MP_INTERNALS_HEADER "py/cpython/internals_313.h"
#elif PY_VERSION_HEX >= 0x030C0000
#include "py/cpython/layout_312.h"
#define MP_INTERNALS_HEADER "py/cpython/internals_312.h"
#elif PY_VERSION_HEX >= 0x030B0000
#include "py/cpython/layout_311.h"
#define MP_INTERNALS_HEADER "py/cpython/internals_311.h"
#else
#error "memprof needs CPython 3.11 or later"
#endif

/* Does the interpreter keep an anchor in the thread's stack of frames? */
#if PY_VERSION_HEX >= 0x030F0000
#define MP_ANCHOR_HEADER "py/stack/anchor_315.h"
#else
#define MP_ANCHOR_HEADER "py/stack/anchor_none.h"
#endif

/* The Python that this was compiled for. */
#define MP_BUILT_FOR Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION)

/* Without a GIL nobody may write the main lane. */
#ifdef Py_GIL_DISABLED
#define MP_HAS_GIL 0
#else
#define MP_HAS_GIL 1
#endif

/* Without a GIL, threads of 3.14 and later run copies of a function's instructions. */
#define MP_HAS_CODE_COPIES (!MP_HAS_GIL && PY_VERSION_HEX >= 0x030E0000)

/* Without a GIL the collector of 3.14 and later counts the references of all running frames:
 * none may be hidden from it. */
#if !MP_HAS_GIL && PY_VERSION_HEX >= 0x030E0000
#define MP_MAY_HIDE_FRAMES 0
#else
#define MP_MAY_HIDE_FRAMES 1
#endif

/* Line events: sys.monitoring, or a trace function. */
#define MP_HAS_MONITORING (PY_VERSION_HEX >= 0x030C0000)

/* Does CPython tell of each new object (PyRefTracer)? */
#define MP_HAS_REF_TRACER (PY_VERSION_HEX >= 0x030D0000)

/* Thread state of the calling thread, which holds the GIL of its interpreter. */
static inline PyThreadState *
mp_tstate_attached(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

/* Thread state of the calling thread, whether it holds the GIL or not; *attached
 * says which. Its frames are stable either way: only the thread itself changes
 * them. NULL for a thread that Python does not know. */
static inline PyThreadState *
mp_tstate_any(bool *attached)
{
    PyThreadState *tstate = mp_tstate_attached();
#if PY_VERSION_HEX < 0x030C0000
    /* 3.11: that is whoever holds the GIL, perhaps another thread */
    PyThreadState *own = PyGILState_GetThisThreadState();
    *attached = own != NULL && own == tstate;
    return own;
#else
    *attached = tstate != NULL;
    return tstate ? tstate : PyGILState_GetThisThreadState();
#endif
}

/* True when the thread holds the GIL of `main`, an interpreter. Before 3.12 there
 * is one GIL for all. */
static inline bool
mp_tstate_is_main(const PyThreadState *tstate, const PyInterpreterState *main)
{
#if PY_VERSION_HEX < 0x030C0000
    (void)main;
    return tstate != NULL;
#else
    return MP_HAS_GIL && tstate && tstate->interp == main;
#endif
}

/* Does the caller run in the main interpreter? */
static inline bool
mp_interpreter_is_main(void)
{
    return PyInterpreterState_Get() == PyInterpreterState_Main();
}

/* Bytes between the start of an object's memory block and the object. */
static inline size_t
mp_object_presize(PyTypeObject *type)
{
    size_t size = 0;
#ifndef Py_GIL_DISABLED
    if (PyType_HasFeature(type, Py_TPFLAGS_HAVE_GC))
        size += 16;
#endif
#if PY_VERSION_HEX >= 0x030C0000
    const unsigned long preheader = 1ul << 3 | 1ul << 4; /* MANAGED_WEAKREF, MANAGED_DICT */
#else
    const unsigned long preheader = 1ul << 4;
#endif
    return size + (PyType_HasFeature(type, preheader) ? 16 : 0);
}

/* A str whose characters can be read: before 3.12 old ones had to be made ready. */
static inline bool
mp_text_is_ready(PyObject *text)
{
    assert(PyUnicode_Check(text));
#if PY_VERSION_HEX < 0x030C0000
    return PyUnicode_IS_READY(text);
#else
    (void)text;
    return true;
#endif
}

/* Number of digits of an int. */
static inline size_t
mp_int_digits(PyObject *number)
{
    assert(PyLong_Check(number));
#if PY_VERSION_HEX >= 0x030C0000
    return ((PyLongObject *)number)->long_value.lv_tag >> 3;
#else
    return (size_t)(Py_SIZE(number) < 0 ? -Py_SIZE(number) : Py_SIZE(number));
#endif
}

/* References to an object; -1 when they are not counted: it is immortal, or, without a GIL, a
 * function or the like. Without a GIL this is exact only while the world is stopped. */
static inline Py_ssize_t
mp_object_references(PyObject *object)
{
#ifdef Py_GIL_DISABLED
    enum { DEFERRED = 1 << 6 }; /* _PyGC_BITS_DEFERRED */
    if (object->ob_gc_bits & DEFERRED)
        return -1;
#endif
    const Py_ssize_t count = Py_REFCNT(object);
    return count >= 0 && count < (Py_ssize_t)1 << 29 ? count : -1;
}

static inline bool
mp_object_is_immortal(PyObject *object)
{
#if PY_VERSION_HEX >= 0x030C0000
    return _Py_IsImmortal(object);
#else
    (void)object;
    return false;
#endif
}

/* Is the object in use and known to the collector? Without a GIL, 3.13 makes functions, classes
 * and modules immortal when a second thread begins, and the collector forgets them. */
static inline bool
mp_object_is_tracked(PyObject *object)
{
    return PyObject_GC_IsTracked(object) || (!MP_HAS_GIL && mp_object_is_immortal(object));
}

/* How many calls deep the thread is, for its recursion limit. */
#if PY_VERSION_HEX >= 0x030C0000
#define MP_RECURSION_LIMIT py_recursion_limit
#define MP_RECURSION_REMAINING py_recursion_remaining
#else
#define MP_RECURSION_LIMIT recursion_limit
#define MP_RECURSION_REMAINING recursion_remaining
#endif

static inline int
mp_recursion_depth(const PyThreadState *tstate)
{
    return tstate->MP_RECURSION_LIMIT - tstate->MP_RECURSION_REMAINING;
}

static inline void
mp_recursion_set_depth(PyThreadState *tstate, int depth)
{
    assert(depth >= 0);
    tstate->MP_RECURSION_REMAINING = tstate->MP_RECURSION_LIMIT - depth;
}

/* Changes with every change of the events that are switched on (sys.settrace, sys.monitoring). */
static inline uintptr_t
mp_events_version(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030F0000
    return atomic_load_explicit((_Atomic uintptr_t *)&tstate->eval_breaker,
                                memory_order_relaxed) >> 8; /* _PY_EVAL_EVENTS_BITS */
#else
    (void)tstate;
    return 0;
#endif
}

/* Show frames that were hidden, since the events had this version, to what watches the program.
 * CPython relies on it that all running code is prepared for the events that are switched on,
 * and prepares what it finds running; 3.15 crashes on code that is not. To prepare all anew costs
 * some 100 bytes for each code object that runs from then on. Not for hooks: it runs Python code,
 * and keeps the exception that is set. */
static inline void
mp_frames_shown(PyThreadState *tstate, uintptr_t version)
{
    if (mp_events_version(tstate) == version)
        return;
#if PY_VERSION_HEX >= 0x030F0000
    PyObject *error = PyErr_GetRaisedException();
    PyObject *monitoring = PySys_GetObject("monitoring");
    PyObject *done =
        monitoring ? PyObject_CallMethod(monitoring, "restart_events", NULL) : Py_NewRef(Py_None);
    if (!done)
        PyErr_Clear();
    Py_XDECREF(done);
    PyErr_SetRaisedException(error);
#endif
}

/* Slots of a module that is at home in every interpreter and needs no GIL. */
#if PY_VERSION_HEX >= 0x030D0000
#define MP_MODULE_SLOTS                                                                       \
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},                     \
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#elif PY_VERSION_HEX >= 0x030C0000
#define MP_MODULE_SLOTS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define MP_MODULE_SLOTS
#endif

#endif
