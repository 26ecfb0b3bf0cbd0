#include "py/heap/heap.h"

#include "py/cpython/interpreter.h"

#if MP_HAS_GIL

void
mp_heap_each_object(struct mp_heap *heap, void (*visit)(PyObject *object, void *data), void *data)
{
    (void)heap;
    mp_gc_each(visit, data);
}

void
mp_heap_in_pause(struct mp_heap *heap, void (*pass)(void *data), void *data)
{
    (void)heap;
    pass(data);
}

#else

/* All other threads stand still only within a visit, and nothing is called at its end. So the
 * pass is made when as many objects have been visited as an earlier visit has counted. When
 * other threads made more of them meanwhile, the last ones are known by their references only. */
struct pause {
    struct mp_heap *heap;
    void (*pass)(void *data);
    void *data;
    size_t wanted, seen;
    bool done;
};

enum { TRIES = 8 };

static int
count_one(PyObject *object, void *data)
{
    struct pause *pause = data;
    (void)object;
    pause->seen++;
    return 1;
}

static int
note_one(PyObject *object, void *data)
{
    struct pause *pause = data;
    pause->heap->everything[pause->seen++] = object;
    if (pause->seen < pause->wanted)
        return 1;
    pause->pass(pause->data);
    pause->done = true;
    return 0;
}

static void
visit_all(struct pause *pause, int (*visit)(PyObject *object, void *data))
{
    pause->seen = 0;
    PyUnstable_GC_VisitObjects(visit, pause);
}

/* False when there is no memory. */
static bool
try_pass(struct pause *pause)
{
    struct mp_heap *heap = pause->heap;
    const size_t size = pause->wanted * sizeof *heap->everything;
    heap->everything = mp_mem_new(size);
    heap->everything_count = pause->wanted;
    if (heap->everything)
        visit_all(pause, note_one);
    mp_mem_free(heap->everything, size);
    const bool enough = heap->everything != NULL;
    heap->everything = NULL;
    return enough;
}

void
mp_heap_each_object(struct mp_heap *heap, void (*visit)(PyObject *object, void *data), void *data)
{
    for (size_t i = 0; i < heap->everything_count; i++)
        visit(heap->everything[i], data);
}

void
mp_heap_in_pause(struct mp_heap *heap, void (*pass)(void *data), void *data)
{
    struct pause pause = {.heap = heap, .pass = pass, .data = data};
    visit_all(&pause, count_one);
    for (int i = 0; !pause.done && i <= TRIES; i++) {
        pause.wanted = pause.seen && i < TRIES ? pause.seen : 1;
        if (!try_pass(&pause))
            return;
    }
}

#endif
