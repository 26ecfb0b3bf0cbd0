#include "py/heap/pass.h"

#include "base/debug.h"
#include "py/heap/blocks.h"
#include "py/heap/classes.h"
#include "py/heap/collector.h"
#include "py/heap/hidden.h"
#include "py/heap/labels.h"
#include "py/heap/roots.h"
#include "py/heap/sizes.h"
#include "py/heap/types.h"
#include "record/tracer.h"

/* ---- nodes -------------------------------------------------------------------------------- */

static uint32_t
new_node(struct mp_pass *pass, PyObject *object, uint32_t type)
{
    struct mp_heap *heap = pass->heap;
    const uint32_t node = mp_heap_add_node(heap, (uintptr_t)object, type);
    if (node)
        heap->size[node] = mp_sizes_measure(pass, object, &heap->types[type], &heap->site[node]);
    return node;
}

uint32_t
mp_pass_add(struct mp_pass *pass, PyObject *object)
{
    struct mp_heap *heap = pass->heap;
    const uint32_t known = mp_heap_find(heap, (uintptr_t)object);
    if (known)
        return known;
    if ((uintptr_t)object % sizeof(void *) == 0 &&
        mp_pass_can_read(pass, object, sizeof *object)) {
        const uint32_t type = mp_classes_add(pass, Py_TYPE(object));
        if (type && mp_pass_can_read(pass, object, (size_t)Py_TYPE(object)->tp_basicsize))
            return new_node(pass, object, type);
    }
    heap->bad_pointers += !heap->failed;
    return 0;
}

/* ---- edges -------------------------------------------------------------------------------- */

int
mp_pass_add_edge(PyObject *target, void *data)
{
    struct mp_pass *pass = data;
    const uint32_t node = mp_pass_add(pass, target);
    if (node)
        mp_heap_add_edge(pass->heap, node);
    return pass->heap->failed;
}

/* An untracked object may be half-built, but for tuples and dicts that hold nothing of interest
 * to the collector. */
static bool
can_be_traversed(const struct mp_heap_type *type, PyObject *object)
{
    if (!(type->flags & MP_TYPE_GC) || !Py_TYPE(object)->tp_traverse || !PyObject_IS_GC(object))
        return false;
    return type->flags & MP_TYPE_ALWAYS || mp_object_is_tracked(object);
}

void
mp_pass_drain(struct mp_pass *pass)
{
    struct mp_heap *heap = pass->heap;
    while (heap->rows < heap->graph.nodes && !heap->failed) {
        const uint32_t node = mp_heap_open_row(heap);
        const uint32_t flags = heap->types[heap->type[node]].flags;
        PyObject *object = mp_pass_object(pass, node);
        if (!(flags & MP_TYPE_TOLD) && can_be_traversed(mp_heap_type_of(heap, node), object))
            Py_TYPE(object)->tp_traverse(object, mp_pass_add_edge, pass);
        if (flags & MP_TYPE_UNTOLD)
            mp_row_of(heap, node)->untold(pass, object);
        mp_heap_close_row(heap);
    }
}

/* ---- the pass ----------------------------------------------------------------------------- */

static void
add_object(PyObject *object, void *data)
{
    struct mp_pass *pass = data;
    if (!pass->heap->failed) {
        mp_pass_add(pass, object);
        mp_pass_drain(pass);
    }
}

static void
read_memory_map(struct mp_pass *pass)
{
    const size_t count = mp_memory_map_read(NULL, 0) + 64;
    pass->ranges = mp_mem_new(count * sizeof *pass->ranges);
    pass->range_capacity = pass->ranges ? count : 0;
    pass->range_count = pass->ranges ? mp_memory_map_read(pass->ranges, count) : 0;
    if (pass->range_count > count)
        pass->range_count = count;
    pass->heap->failed |= !pass->ranges;
}

static void
find_everything(struct mp_pass *pass)
{
    struct mp_heap *heap = pass->heap;
    assert(!heap->graph.nodes && !heap->root_count);
    mp_roots_find(pass);
    mp_pass_drain(pass);
    mp_collector_each(pass, add_object, pass);
    if (!heap->failed && mp_tracer_is_active()) {
        mp_blocks_find(pass);
        mp_blocks_find_owners(pass);
    }
    assert(heap->failed || heap->rows == heap->graph.nodes);
    if (!heap->failed)
        mp_hidden_find(pass);
    if (!heap->failed)
        mp_roots_find_stacks(pass);
}

struct run {
    struct mp_pass pass;
    int (*use)(const struct mp_inspector *inspector, void *data);
    void *data;
    int status;
};

/* With the world stopped. */
static void
run_pass(void *data)
{
    struct run *run = data;
    struct mp_pass *pass = &run->pass;
    read_memory_map(pass);
    find_everything(pass);
    if (!pass->heap->failed) {
        const struct mp_inspector inspector = mp_labels_inspector(pass);
        MP_CHECK_WHOLE(mp_heap_check, pass->heap);
        run->status = run->use(&inspector, run->data);
    }
    mp_mem_free(pass->ranges, pass->range_capacity * sizeof *pass->ranges);
}

int
mp_heap_run(struct mp_heap *heap, const char *own_path,
            int (*use)(const struct mp_inspector *inspector, void *data), void *data)
{
    struct run run = {{.heap = heap, .own_path = own_path}, use, data, MP_NO_MEMORY};
    if (mp_heap_init(heap) != MP_OK)
        return MP_NO_MEMORY;
    mp_collector_pause(&run.pass, run_pass, &run);
    if (run.status != MP_OK)
        mp_heap_free(heap);
    return run.status;
}
