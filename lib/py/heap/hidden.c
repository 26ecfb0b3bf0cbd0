#include "py/heap/hidden.h"

#include "base/array.h"
#include "py/heap/dict_keys.h"
#include "py/heap/sizes.h"
#include "py/heap/types.h"

/* ---- told by the row of a type ------------------------------------------------------------ */

/* A code object holds objects, but the collector is not told of them: they make no cycles. */
void
mp_hidden_in_code(struct mp_pass *pass, PyObject *object)
{
    const PyCodeObject *code = (const PyCodeObject *)object;
    PyObject *const held[] = {code->co_consts,   code->co_names,     code->co_exceptiontable,
                              code->co_filename, code->co_name,      code->co_qualname,
                              code->co_linetable, code->co_localsplusnames,
                              code->co_localspluskinds};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (held[i])
            mp_pass_add_edge(held[i], pass);
}

/* The dict of weak references to the subclasses of a class is not told of either. */
void
mp_hidden_in_type(struct mp_pass *pass, PyObject *object)
{
    const PyTypeObject *type = (const PyTypeObject *)object;
    if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) && type->tp_subclasses)
        mp_pass_add_edge((PyObject *)type->tp_subclasses, pass);
}

/* A dict whose keys are all str does not tell of them: they make no cycles. */
void
mp_hidden_in_dict(struct mp_pass *pass, PyObject *dict)
{
    const void *keys = ((const PyDictObject *)dict)->ma_keys;
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!keys || !mp_keys_are_texts(keys))
        return;
    while (PyDict_Next(dict, &at, &key, &value))
        mp_pass_add_edge(key, pass);
}

/* ---- found in the fields ------------------------------------------------------------------ */

enum {
    LARGE = 512, /* larger objects are not looked into */
    SMALL = 128  /* larger buffers are not */
};

struct hidden {
    struct mp_pass *pass;
    struct mp_heap *heap;
    struct mp_edge *edges;
    size_t count, capacity;
    uint32_t *degree; /* by node: edges to it, with the hidden ones */
};

static void
add(struct hidden *hidden, uint32_t node, uint32_t target)
{
    assert(node && node <= hidden->heap->graph.nodes && target <= hidden->heap->graph.nodes);
    hidden->degree[target]++;
    if (MP_ARRAY_RESERVE(hidden->edges, hidden->capacity, hidden->count + 1))
        hidden->edges[hidden->count++] = (struct mp_edge){node, target};
    else
        hidden->heap->failed = true;
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
is_unaccounted(const struct hidden *hidden, uint32_t node, uint32_t target)
{
    return mp_object_references(mp_pass_object(hidden->pass, target)) >
               (Py_ssize_t)hidden->degree[target] &&
           !has_edge(&hidden->heap->graph, node, target);
}

/* A traverse function may be silent about what makes no cycles, and about a list of its own that
 * nobody else can get at. Other objects may be there without a reference: what is watched by a
 * weak one. */
static bool
may_be_silent_about(const struct mp_heap_type *type)
{
    return !(type->flags & MP_TYPE_GC) || type->flags & MP_TYPE_SILENT;
}

/* A word of `node`, or of a block of its own, may be the address of an object that it holds: of any
 * where it tells of none. */
static void
look_at_word(struct hidden *hidden, uint32_t node, uintptr_t word, bool opaque)
{
    const uint32_t target = word % sizeof(void *) ? 0 : mp_heap_find(hidden->heap, word);
    if (target && (opaque || (may_be_silent_about(mp_heap_type_of(hidden->heap, target)) &&
                              is_unaccounted(hidden, node, target))))
        add(hidden, node, target);
}

/* An object whose type has no traverse function (a numpy array) may hold others all the same:
 * the known objects whose addresses it has in its fields. One with such a function need not tell
 * of all (the bytes of an io.BytesIO): it holds those that nobody accounts for. */
static void
look_into(struct hidden *hidden, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(hidden->heap, node);
    PyObject *object = mp_pass_object(hidden->pass, node);
    if (type->flags & (MP_TYPE_LEAF | MP_TYPE_KNOWN) ||
        (type->flags & (MP_TYPE_GC | MP_TYPE_TOLD)) == MP_TYPE_TOLD ||
        Py_TYPE(object)->tp_basicsize > LARGE)
        return;
    const bool opaque = !(type->flags & MP_TYPE_GC);
    const uintptr_t *words = (const uintptr_t *)(const void *)object;
    const size_t count = mp_sizes_fields(object, type) / sizeof *words;
    for (size_t i = sizeof(PyObject) / sizeof *words; i < count; i++)
        if (words[i] != (uintptr_t)object)
            look_at_word(hidden, node, words[i], opaque);
}

/* The same for a small block that an object of C code owns (the writer of an io.StringIO). The
 * values of an instance are told of. */
static void
look_into_buffer(struct hidden *hidden, const struct mp_buffer *buffer)
{
    const struct mp_heap_type *type = mp_heap_type_of(hidden->heap, buffer->owner);
    PyTypeObject *of = Py_TYPE(mp_pass_object(hidden->pass, buffer->owner));
    if (buffer->size > SMALL || type->flags & (MP_TYPE_LEAF | MP_TYPE_KNOWN | MP_TYPE_TOLD) ||
        PyType_HasFeature(of, MP_PREHEADER_FLAGS))
        return;
    const uintptr_t *words = (const uintptr_t *)buffer->address;
    for (size_t i = 0; i < buffer->size / sizeof *words; i++)
        look_at_word(hidden, buffer->owner, words[i], false);
}

static void
look_everywhere(struct hidden *hidden)
{
    struct mp_heap *heap = hidden->heap;
    mp_graph_in_degrees(&heap->graph, hidden->degree);
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++)
        look_into(hidden, node);
    for (size_t i = 0; i < heap->buffer_count && !heap->failed; i++)
        if (heap->buffers[i].owner)
            look_into_buffer(hidden, &heap->buffers[i]);
}

void
mp_hidden_find(struct mp_pass *pass)
{
    struct mp_heap *heap = pass->heap;
    const size_t size = ((size_t)heap->graph.nodes + 1) * sizeof(uint32_t);
    struct hidden hidden = {.pass = pass, .heap = heap, .degree = mp_mem_new(size)};
    if (hidden.degree)
        look_everywhere(&hidden);
    else
        heap->failed = true;
    mp_mem_free(hidden.degree, size);
    mp_heap_insert_edges(heap, hidden.edges, hidden.count);
    mp_mem_free(hidden.edges, hidden.capacity * sizeof *hidden.edges);
}
