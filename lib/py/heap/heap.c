#include "py/heap/heap.h"

#include <stdlib.h>

#include "record/tracer.h"

enum { FIRST_NODES = 1 << 14, FIRST_TYPES = 1 << 10 };

/* ---- memory -------------------------------------------------------------------------------- */

/* Grow an array of the heap to `count` items; false and `failed` when there is no memory. */
static bool
grow(struct mp_heap *heap, void *array, size_t old_count, size_t count, size_t item)
{
    void **at = array;
    void *grown = *at ? mp_mem_grow(*at, old_count * item, count * item)
                      : mp_mem_new(count * item);
    if (grown)
        *at = grown;
    else
        heap->failed = true;
    return grown != NULL;
}

static bool
grow_nodes(struct mp_heap *heap)
{
    const size_t old = heap->node_capacity, count = old ? old * 2 : FIRST_NODES;
    if (count >= UINT32_MAX / 2) {
        heap->failed = true;
        return false;
    }
    /* `first` has one more than there are nodes, counted from 0 */
    const bool grown = grow(heap, &heap->address, old, count, sizeof *heap->address) &&
                       grow(heap, &heap->size, old, count, sizeof *heap->size) &&
                       grow(heap, &heap->type, old, count, sizeof *heap->type) &&
                       grow(heap, &heap->site, old, count, sizeof *heap->site) &&
                       grow(heap, &heap->graph.first, old, count, sizeof *heap->graph.first);
    if (grown)
        heap->node_capacity = (uint32_t)count;
    return grown;
}

static bool
grow_edges(struct mp_heap *heap)
{
    const size_t old = heap->edge_capacity, count = old ? old + old / 2 : FIRST_NODES * 4;
    if (count >= UINT32_MAX) {
        heap->failed = true;
        return false;
    }
    if (!grow(heap, &heap->graph.target, old, count, sizeof *heap->graph.target))
        return false;
    heap->edge_capacity = (uint32_t)count;
    return true;
}

/* ---- nodes by address ------------------------------------------------------------------------ */

uint32_t
mp_heap_find(const struct mp_heap *heap, uintptr_t address)
{
    const uint32_t node = mp_places_find(&heap->places, address);
    return node < MP_HEAP_BUFFER && heap->address[node] == address ? node : 0;
}

static void
set_place(struct mp_heap *heap, uintptr_t address, uint32_t number)
{
    if (mp_places_set(&heap->places, address, number) != MP_OK)
        heap->failed = true;
}

static uint32_t
new_node(struct mp_heap *heap, PyObject *object, uint32_t type)
{
    if (heap->failed || (heap->graph.nodes + 3 > heap->node_capacity && !grow_nodes(heap)))
        return 0;
    const uint32_t node = ++heap->graph.nodes;
    heap->address[node] = (uintptr_t)object;
    heap->type[node] = type;
    heap->size[node] = mp_heap_measure(heap, object, heap->types[type].flags,
                                       &heap->site[node]);
    set_place(heap, (uintptr_t)object, node);
    return node;
}

uint32_t
mp_heap_add(struct mp_heap *heap, PyObject *object)
{
    const uint32_t known = mp_heap_find(heap, (uintptr_t)object);
    if (known)
        return known;
    if ((uintptr_t)object % sizeof(void *) == 0 &&
        mp_heap_can_read(heap, object, sizeof *object)) {
        const uint32_t type = mp_heap_type(heap, Py_TYPE(object));
        if (type && mp_heap_can_read(heap, object, (size_t)heap->types[type].type->tp_basicsize))
            return new_node(heap, object, type);
    }
    heap->bad_pointers += !heap->failed;
    return 0;
}

/* ---- edges ------------------------------------------------------------------------------------- */

static int
add_edge(PyObject *target, void *data)
{
    struct mp_heap *heap = data;
    const uint32_t node = mp_heap_add(heap, target);
    if (node && (heap->graph.edges < heap->edge_capacity || grow_edges(heap)))
        heap->graph.target[heap->graph.edges++] = node;
    return heap->failed;
}

/* A code object holds objects, but the collector is not told of them: they make no cycles. */
static void
add_code(struct mp_heap *heap, const PyCodeObject *code)
{
    PyObject *const held[] = {code->co_consts,   code->co_names,     code->co_exceptiontable,
                              code->co_filename, code->co_name,      code->co_qualname,
                              code->co_linetable, code->co_localsplusnames,
                              code->co_localspluskinds};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (held[i])
            add_edge(held[i], heap);
}

/* The dict of weak references to the subclasses of a class is not told of either. */
static void
add_subclasses(struct mp_heap *heap, const PyTypeObject *type)
{
    if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) && type->tp_subclasses)
        add_edge((PyObject *)type->tp_subclasses, heap);
}

/* A dict whose keys are all str does not tell of them: they make no cycles. */
static void
add_keys(struct mp_heap *heap, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!mp_dict_has_text_keys(dict))
        return;
    while (PyDict_Next(dict, &at, &key, &value))
        add_edge(key, heap);
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
mp_heap_drain(struct mp_heap *heap)
{
    while (heap->scanned < heap->graph.nodes && !heap->failed) {
        const uint32_t node = ++heap->scanned;
        PyObject *object = mp_heap_object(heap, node);
        heap->graph.first[node] = heap->graph.edges;
        if (PyCode_Check(object))
            add_code(heap, (PyCodeObject *)object);
        else if (can_be_traversed(mp_heap_type_of(heap, node), object))
            Py_TYPE(object)->tp_traverse(object, add_edge, heap);
        if (PyDict_Check(object))
            add_keys(heap, object);
        if (PyType_Check(object))
            add_subclasses(heap, (PyTypeObject *)object);
        heap->graph.first[node + 1] = heap->graph.edges;
    }
}

void
mp_heap_add_root(struct mp_heap *heap, struct mp_root root)
{
    if (!root.node)
        return;
    if (heap->root_count == heap->root_capacity) {
        const uint32_t count = heap->root_capacity ? heap->root_capacity * 2 : FIRST_TYPES;
        if (!grow(heap, &heap->roots, heap->root_capacity, count, sizeof *heap->roots))
            return;
        heap->root_capacity = count;
    }
    heap->roots[heap->root_count++] = root;
}

/* ---- what traverse functions do not tell ------------------------------------------------------ */

struct hidden {
    uint32_t *edges; /* node and target, in order of node */
    size_t count, capacity;
    uint32_t *degree;
};

static void
add_hidden(struct mp_heap *heap, struct hidden *hidden, uint32_t node, uint32_t target)
{
    if (hidden->count + 2 > hidden->capacity) {
        const size_t count = hidden->capacity ? hidden->capacity * 2 : FIRST_NODES;
        if (!grow(heap, &hidden->edges, hidden->capacity, count, sizeof *hidden->edges))
            return;
        hidden->capacity = count;
    }
    hidden->edges[hidden->count++] = node;
    hidden->edges[hidden->count++] = target;
}

bool
mp_heap_is_opaque(const struct mp_heap *heap, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    const uint32_t dull = MP_TYPE_GC | MP_TYPE_LEAF | MP_TYPE_KNOWN;
    return !(type->flags & dull) && type->type != &PyCode_Type && type->type->tp_basicsize <= 512;
}

static bool
has_edge(const struct mp_graph *graph, uint32_t node, uint32_t target)
{
    for (uint32_t edge = graph->first[node]; edge < graph->first[node + 1]; edge++)
        if (graph->target[edge] == target)
            return true;
    return false;
}

/* Has the target a reference that no edge stands for, and does the node not tell of it? */
static bool
is_unaccounted(const struct mp_heap *heap, const struct hidden *hidden, uint32_t node,
               uint32_t target)
{
    return mp_object_references(mp_heap_object(heap, target)) >
               (Py_ssize_t)hidden->degree[target] &&
           !has_edge(&heap->graph, node, target);
}

/* A traverse function may be silent about what makes no cycles, and about a list of its own that
 * nobody else can get at. Other objects may be there without a reference: what is watched by a
 * weak one. */
static bool
may_be_silent_about(const struct mp_heap *heap, uint32_t target)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, target);
    return !(type->flags & MP_TYPE_GC) || type->type == &PyList_Type;
}

/* A word of `node`, or of a block of its own, may be the address of an object that it holds: of any
 * where it tells of none. */
static void
look_at_word(struct mp_heap *heap, struct hidden *hidden, uint32_t node, uintptr_t word, bool opaque)
{
    const uint32_t target = word % sizeof(void *) ? 0 : mp_heap_find(heap, word);
    if (target && (opaque || (may_be_silent_about(heap, target) &&
                              is_unaccounted(heap, hidden, node, target)))) {
        hidden->degree[target]++;
        add_hidden(heap, hidden, node, target);
    }
}

/* An object whose type has no traverse function (a numpy array) may hold others all the same:
 * the known objects whose addresses it has in its fields. One with such a function need not tell
 * of all (the bytes of an io.BytesIO): it holds those that nobody accounts for. */
static void
look_into(struct mp_heap *heap, struct hidden *hidden, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    const bool opaque = mp_heap_is_opaque(heap, node);
    if (!opaque && ((type->flags & (MP_TYPE_LEAF | MP_TYPE_KNOWN)) || !(type->flags & MP_TYPE_GC) ||
                    type->type->tp_basicsize > 512))
        return;
    const uintptr_t *words = (const uintptr_t *)heap->address[node];
    const size_t count = mp_heap_fields_size(mp_heap_object(heap, node)) / sizeof *words;
    for (size_t i = sizeof(PyObject) / sizeof *words; i < count; i++)
        if (words[i] != heap->address[node])
            look_at_word(heap, hidden, node, words[i], opaque);
}

/* The same for a small block that an object of C code owns (the writer of an io.StringIO). The
 * values of an instance are told of. */
static void
look_into_buffer(struct mp_heap *heap, struct hidden *hidden, const struct mp_buffer *buffer)
{
    enum { SMALL = 128 };
    const struct mp_heap_type *type = mp_heap_type_of(heap, buffer->owner);
    if (buffer->size > SMALL || (type->flags & (MP_TYPE_LEAF | MP_TYPE_KNOWN)) ||
        type->type == &PyCode_Type || PyType_HasFeature(type->type, MP_PREHEADER_FLAGS))
        return;
    const uintptr_t *words = (const uintptr_t *)buffer->address;
    for (size_t i = 0; i < buffer->size / sizeof *words; i++)
        look_at_word(heap, hidden, buffer->owner, words[i], false);
}

static int
compare_edges(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Put the hidden edges where they belong: all edges move up, the last ones first. */
static void
merge_hidden(struct mp_heap *heap, const struct hidden *hidden)
{
    struct mp_graph *graph = &heap->graph;
    size_t left = hidden->count / 2;
    while (!heap->failed && graph->edges + left >= heap->edge_capacity)
        grow_edges(heap);
    if (heap->failed)
        return;
    uint32_t to = graph->edges + (uint32_t)left, from = graph->edges;
    graph->edges = graph->first[graph->nodes + 1] = to;
    for (uint32_t node = graph->nodes; node >= 1 && left; node--) {
        while (left && hidden->edges[2 * left - 2] == node)
            graph->target[--to] = hidden->edges[2 * left-- - 1];
        const uint32_t begin = graph->first[node];
        while (from > begin)
            graph->target[--to] = graph->target[--from];
        graph->first[node] = to;
    }
}

static void
find_hidden(struct mp_heap *heap)
{
    const size_t size = ((size_t)heap->graph.nodes + 1) * sizeof(uint32_t);
    struct hidden hidden = {.degree = mp_mem_new(size)};
    heap->failed |= !hidden.degree;
    if (!heap->failed)
        mp_graph_in_degrees(&heap->graph, hidden.degree);
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++)
        look_into(heap, &hidden, node);
    for (size_t i = 0; i < heap->buffer_count && !heap->failed; i++)
        if (heap->buffers[i].owner)
            look_into_buffer(heap, &hidden, &heap->buffers[i]);
    if (hidden.count)
        qsort(hidden.edges, hidden.count / 2, 2 * sizeof *hidden.edges, compare_edges);
    if (hidden.count && !heap->failed)
        merge_hidden(heap, &hidden);
    mp_mem_free(hidden.degree, size);
    mp_mem_free(hidden.edges, hidden.capacity * sizeof *hidden.edges);
}

/* ---- the pass ------------------------------------------------------------------------------------ */

static void
add_object(PyObject *object, void *data)
{
    struct mp_heap *heap = data;
    if (!heap->failed) {
        mp_heap_add(heap, object);
        mp_heap_drain(heap);
    }
}

static void
read_memory_map(struct mp_heap *heap)
{
    size_t count = mp_memory_map_read(NULL, 0) + 64;
    heap->ranges = mp_mem_new(count * sizeof *heap->ranges);
    heap->range_capacity = heap->ranges ? count : 0;
    heap->range_count = heap->ranges ? mp_memory_map_read(heap->ranges, count) : 0;
    if (heap->range_count > count)
        heap->range_count = count;
    heap->failed |= !heap->ranges;
}

struct run {
    struct mp_heap *heap;
    int (*use)(struct mp_heap *heap, void *data);
    void *data;
    int status;
};

static void
pass(void *data)
{
    struct run *run = data;
    struct mp_heap *heap = run->heap;
    read_memory_map(heap);
    mp_heap_find_roots(heap);
    mp_heap_drain(heap);
    mp_heap_each_object(heap, add_object, heap);
    if (!heap->failed && mp_tracer_is_active()) {
        mp_heap_find_blocks(heap);
        mp_heap_drain(heap);
        mp_heap_find_buffers(heap);
    }
    find_hidden(heap);
    if (!heap->failed)
        mp_heap_find_stacks(heap);
    if (!heap->failed)
        run->status = run->use(heap, run->data);
}

int
mp_heap_run(struct mp_heap *heap, const char *own_path,
            int (*use)(struct mp_heap *heap, void *data), void *data)
{
    struct run run = {heap, use, data, MP_NO_MEMORY};
    *heap = (struct mp_heap){.own_path = own_path};
    if (mp_names_init(&heap->names) != MP_OK)
        return MP_NO_MEMORY;
    if (grow_nodes(heap) && grow_edges(heap))
        mp_heap_in_pause(heap, pass, &run);
    if (run.status != MP_OK)
        mp_heap_free(heap);
    return run.status;
}

#define FREE(array, count) mp_mem_free(array, (size_t)(count) * sizeof *(array))

void
mp_heap_free(struct mp_heap *heap)
{
    FREE(heap->address, heap->node_capacity);
    FREE(heap->size, heap->node_capacity);
    FREE(heap->type, heap->node_capacity);
    FREE(heap->site, heap->node_capacity);
    FREE(heap->graph.first, heap->node_capacity);
    FREE(heap->graph.target, heap->edge_capacity);
    FREE(heap->types, heap->type_capacity);
    FREE(heap->type_slots, heap->type_slot_count);
    FREE(heap->first_named, heap->first_named_count);
    FREE(heap->roots, heap->root_capacity);
    FREE(heap->buffers, heap->buffer_capacity);
    mp_places_destroy(&heap->places);
    FREE(heap->ranges, heap->range_capacity);
    mp_names_destroy(&heap->names);
    *heap = (struct mp_heap){0};
}

size_t
mp_heap_memory(const struct mp_heap *heap)
{
    return heap->node_capacity * (sizeof *heap->address + sizeof *heap->size +
                                  sizeof *heap->type + sizeof *heap->site +
                                  sizeof *heap->graph.first) +
           heap->edge_capacity * sizeof *heap->graph.target +
           mp_places_memory(&heap->places) +
           heap->type_capacity * sizeof *heap->types +
           heap->buffer_capacity * sizeof *heap->buffers;
}
