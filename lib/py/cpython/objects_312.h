/* Everything the collector knows, CPython 3.12 and later. */
#ifndef MP_OBJECTS_H
#define MP_OBJECTS_H

#include "py/cpython/compat.h"

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

#endif
