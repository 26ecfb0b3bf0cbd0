#include "heap.h"

#include MP_OBJECTS_HEADER

#if MP_HAS_GIL

void
mp_heap_each_object(struct mp_heap *heap, void (*visit)(PyObject *object, void *data), void *data)
{
    (void)heap;
    mp_gc_each(visit, data);
}

void
mp_heap_count_own(const struct mp_heap *heap, uint32_t *degree)
{
    (void)heap;
    (void)degree;
}

void
mp_heap_in_pause(struct mp_heap *heap, void (*pass)(void *data), void *data)
{
    (void)heap;
    pass(data);
}

#else

/* All other threads stand still only within a visit, so the whole pass is made by the first
 * one. What there is to visit is listed before; the list keeps it alive. */
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

static PyObject *
list_objects(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *list = gc ? PyObject_CallMethod(gc, "get_objects", NULL) : NULL;
    Py_XDECREF(gc);
    if (!list)
        PyErr_Clear(); /* then what roots lead to is all there is */
    return list;
}

void
mp_heap_each_object(struct mp_heap *heap, void (*visit)(PyObject *object, void *data), void *data)
{
    PyObject *list = heap->everything;
    for (Py_ssize_t i = 0; list && PyList_CheckExact(list) && i < PyList_GET_SIZE(list); i++)
        visit(PyList_GET_ITEM(list, i), data);
}

void
mp_heap_count_own(const struct mp_heap *heap, uint32_t *degree)
{
    PyObject *list = heap->everything;
    for (Py_ssize_t i = 0; list && PyList_CheckExact(list) && i < PyList_GET_SIZE(list); i++)
        degree[mp_heap_find(heap, (uintptr_t)PyList_GET_ITEM(list, i))]++;
}

void
mp_heap_in_pause(struct mp_heap *heap, void (*pass)(void *data), void *data)
{
    struct pause pause = {pass, data};
    PyObject *list = heap->everything = list_objects();
    PyUnstable_GC_VisitObjects(pass_once, &pause);
    heap->everything = NULL;
    Py_XDECREF(list);
}

#endif
