/* interpreter: what only the interpreter holds, and only CPython's internal headers know.
 *
 * For the few files that need it: those headers define much, and ask for Py_BUILD_CORE. What is
 * visited is to be checked before it is believed. With the GIL held, or the world stopped.
 */
#ifndef MP_INTERPRETER_H
#define MP_INTERPRETER_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#undef _PyGC_FINALIZED /* of 3.12's public headers; a function in its internal ones */
#include MP_INTERNALS_HEADER

/* What atexit.register has been given: visit is called for the list, or for each function, tuple
 * of arguments and dict of keywords, NULLs included. No traverse function leads to them. */
static inline void
mp_atexit_each(void (*visit)(PyObject *object, void *data), void *data)
{
    const struct atexit_state *state = &PyInterpreterState_Get()->atexit;
    const int count = MP_ATEXIT_COUNT(state);
    PyObject ***callbacks = (PyObject ***)state->callbacks;
    if (MP_ATEXIT_IS_LIST)
        visit((PyObject *)state->callbacks, data);
    for (int i = 0; callbacks && i < count && count < 1 << 28; i++)
        for (int part = 0; callbacks[i] && part < 3; part++)
            visit(callbacks[i][part], data);
}

#if MP_HAS_MONITORING /* internals_311.h has these three for itself */

/* Everything that the collector knows. */
struct mp_gc_visit {
    void (*visit)(PyObject *object, void *data);
    void *data;
};

static inline int
mp_gc_visit_one(PyObject *object, void *data)
{
    const struct mp_gc_visit *with = data;
    with->visit(object, with->data);
    return 1;
}

static inline void
mp_gc_each(void (*visit)(PyObject *object, void *data), void *data)
{
    struct mp_gc_visit with = {visit, data};
    PyUnstable_GC_VisitObjects(mp_gc_visit_one, &with);
}

/* What sys.monitoring keeps for a code object: its blocks, NULLs among them. What else is in the
 * first one may never have been written. */
enum { MP_CODE_BUFFERS = 6 };

static inline void
mp_code_buffers(const PyCodeObject *code, const void *buffers[MP_CODE_BUFFERS])
{
    const _PyCoMonitoringData *data = code->_co_monitoring;
    buffers[0] = data;
    buffers[1] = data ? data->tools : NULL;
    buffers[2] = data ? data->lines : NULL;
    buffers[3] = data ? data->line_tools : NULL;
    buffers[4] = data ? data->per_instruction_opcodes : NULL;
    buffers[5] = data ? data->per_instruction_tools : NULL;
}

/* Callbacks of sys.monitoring and handlers of signals. */
static inline void
mp_interpreter_each_callback(const PyInterpreterState *interpreter,
                             void (*visit)(const char *name, PyObject *object, void *data),
                             void *data)
{
    PyObject *const *callback = &interpreter->monitoring_callables[0][0];
    const size_t size = sizeof interpreter->monitoring_callables;
    for (size_t i = 0; i < size / sizeof *callback; i++)
        visit("sys.monitoring.register_callback()", callback[i], data);
    for (int i = 0; i < PY_MONITORING_TOOL_IDS; i++)
        visit("sys.monitoring.use_tool_id()", interpreter->monitoring_tool_names[i], data);
    /* The handlers are objects of the main one, which is the last field of what they are in. */
    if (interpreter != PyInterpreterState_Main() || interpreter != &_PyRuntime._main_interpreter)
        return;
    for (int i = 1; i < Py_NSIG; i++)
        visit("signal.signal()", MP_SIGNAL_HANDLER(i), data);
}

#endif

#endif
