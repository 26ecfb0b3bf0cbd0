/* What atexit.register has been given, CPython 3.11 to 3.13: blocks that only the interpreter
 * knows; no traverse function leads to them. */
#ifndef MP_ATEXIT_H
#define MP_ATEXIT_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#undef _PyGC_FINALIZED /* of 3.12's public headers; a function in its internal ones */
#include <internal/pycore_interp.h>

/* Call visit for each function, tuple of arguments and dict of keywords; NULLs included. What
 * is visited is to be checked before it is believed. */
static inline void
mp_atexit_each(void (*visit)(PyObject *object, void *data), void *data)
{
    const struct atexit_state *state = &PyInterpreterState_Get()->atexit;
    PyObject ***callbacks = (PyObject ***)state->callbacks;
    for (int i = 0; callbacks && i < state->ncallbacks && state->ncallbacks < 1 << 28; i++)
        for (int part = 0; callbacks[i] && part < 3; part++)
            visit(callbacks[i][part], data);
}

#endif
