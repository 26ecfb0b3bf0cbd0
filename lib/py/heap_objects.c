#include "heap.h"

#include MP_OBJECTS_HEADER
#include MP_ATEXIT_HEADER

void
mp_heap_each_exit_handler(void (*visit)(PyObject *object, void *data), void *data)
{
    mp_atexit_each(visit, data);
}

#if MP_HAS_GIL

void
mp_heap_each_object(void (*visit)(PyObject *object, void *data), void *data)
{
    mp_gc_each(visit, data);
}

void
mp_heap_in_pause(void (*pass)(void *data), void *data)
{
    pass(data);
}

#else

/* All other threads stand still only within a visit, so the whole pass is made by the first
 * one. It starts from the roots, and from the live blocks that the trace knows. */
struct pause {
    void (*pass)(void *data);
    void *data;
};

static int
pass_once(PyObject *object, void *data)
{
    struct pause *pause = data;
    (void)object;
    pause->pass(pause->data);
    return 0;
}

void
mp_heap_each_object(void (*visit)(PyObject *object, void *data), void *data)
{
    (void)visit;
    (void)data;
}

void
mp_heap_in_pause(void (*pass)(void *data), void *data)
{
    struct pause pause = {pass, data};
    PyUnstable_GC_VisitObjects(pass_once, &pause);
}

#endif
