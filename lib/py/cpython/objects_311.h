/* Everything the collector knows, CPython 3.11: there is no function for it yet, so the lists
 * of the generations are walked. */
#ifndef MP_OBJECTS_H
#define MP_OBJECTS_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>

static inline void
mp_gc_list_each(PyGC_Head *head, void (*visit)(PyObject *object, void *data), void *data)
{
    for (PyGC_Head *at = _PyGCHead_NEXT(head); at != head; at = _PyGCHead_NEXT(at))
        visit((PyObject *)(at + 1), data);
}

static inline void
mp_gc_each(void (*visit)(PyObject *object, void *data), void *data)
{
    struct _gc_runtime_state *gc = &PyInterpreterState_Get()->gc;
    for (int i = 0; i < NUM_GENERATIONS; i++)
        mp_gc_list_each(&gc->generations[i].head, visit, data);
    mp_gc_list_each(&gc->permanent_generation.head, visit, data);
}

#endif
