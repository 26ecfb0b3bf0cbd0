/* What atexit.register has been given, CPython 3.14 and later: a list that only the
 * interpreter knows. */
#ifndef MP_ATEXIT_H
#define MP_ATEXIT_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_interp.h>

/* Call visit for that list. What is visited is to be checked before it is believed. */
static inline void
mp_atexit_each(void (*visit)(PyObject *object, void *data), void *data)
{
    visit(PyInterpreterState_Get()->atexit.callbacks, data);
}

#endif
