/* The live blocks of the trace that are no objects the collector or an edge leads to: buffers,
 * which belong to the object that has their address in it, and objects known to C code only. */
#include "py/heap/heap.h"

#include "record/tracer.h"

#include "py/cpython/interpreter.h"
#include "py/cpython/values.h"

enum {
    FIRST_BUFFERS = 1 << 12,
    SCAN = 1024,       /* bytes of an object that are looked through */
    SCAN_BUFFER = 1024 /* a larger buffer is data, not a structure */
};

/* ---- the table ----------------------------------------------------------------------------- */

/* The buffer that begins at an address, or NULL. */
static struct mp_buffer *
buffer_at(const struct mp_heap *heap, uintptr_t address)
{
    const uint32_t number = mp_places_find(&heap->places, address);
    if (number < MP_HEAP_BUFFER || heap->buffers[number - MP_HEAP_BUFFER].address != address)
        return NULL;
    return &heap->buffers[number - MP_HEAP_BUFFER];
}

static bool
reserve(struct mp_heap *heap)
{
    const size_t old = heap->buffer_capacity, count = old ? old * 2 : FIRST_BUFFERS;
    if (heap->buffer_count < old)
        return true;
    struct mp_buffer *buffers = NULL;
    if (count <= MP_HEAP_BUFFER)
        buffers = old ? mp_mem_grow(heap->buffers, old * sizeof *buffers, count * sizeof *buffers)
                      : mp_mem_new(count * sizeof *buffers);
    if (!buffers) {
        heap->failed = true;
        return false;
    }
    heap->buffers = buffers;
    heap->buffer_capacity = count;
    return true;
}

/* ---- is there an object in the block? ------------------------------------------------------- */

static bool
is_node_at(const struct mp_heap *heap, uintptr_t block)
{
    for (uintptr_t at = block; at <= block + 32; at += 16) {
        const uint32_t node = mp_heap_find(heap, at);
        if (node && at - mp_object_presize(mp_heap_type_of(heap, node)->type) == block)
            return true;
    }
    return false;
}

/* ---- buffers ----------------------------------------------------------------------------------- */

static void
scan(struct mp_heap *heap, uint32_t owner, uintptr_t begin, uintptr_t end, int depth);

/* The word at an object or a buffer of `owner` may be the address of a block. True when it was,
 * and the block was nobody's before. */
static bool
claim(struct mp_heap *heap, uint32_t owner, uintptr_t address, int depth)
{
    if (address % MP_GRANULE || !address)
        return false;
    struct mp_buffer *buffer = buffer_at(heap, address);
    if (!buffer || buffer->owner || is_node_at(heap, address))
        return false;
    buffer->owner = owner;
    heap->size[owner] += buffer->size;
    if (depth && buffer->size <= SCAN_BUFFER &&
        !(mp_heap_type_of(heap, owner)->flags & MP_TYPE_KNOWN))
        scan(heap, owner, address, address + buffer->size / sizeof(void *) * sizeof(void *),
             depth - 1);
    return true;
}

static void
scan(struct mp_heap *heap, uint32_t owner, uintptr_t begin, uintptr_t end, int depth)
{
    for (uintptr_t at = begin; at < end && !heap->failed; at += sizeof(void *))
        claim(heap, owner, *(const uintptr_t *)at, depth);
}

/* A chain of blocks that refer to each other by their first or last word (a deque's) is
 * followed without recursion. */
static void
follow_chain(struct mp_heap *heap, uint32_t owner, uintptr_t block)
{
    bool more = claim(heap, owner, block, 0);
    while (more) {
        const uint64_t size = buffer_at(heap, block)->size;
        if (size < sizeof(void *) * 2 || size > SCAN_BUFFER)
            return;
        const uintptr_t *words = (const uintptr_t *)block;
        const uintptr_t ends[] = {words[0], words[size / sizeof(void *) - 1]};
        more = false;
        for (size_t i = 0; i < 2 && !more; i++)
            if (claim(heap, owner, ends[i], 0)) {
                block = ends[i];
                more = true;
            }
    }
}

static void
claim_chains(struct mp_heap *heap, uint32_t node)
{
    const uintptr_t begin = heap->address[node] + sizeof(PyVarObject);
    for (uintptr_t at = begin; at < begin + 2 * sizeof(void *); at += sizeof(void *))
        follow_chain(heap, node, *(const uintptr_t *)at);
}

/* Values of attributes lie in the middle of their block. */
static void
claim_values(struct mp_heap *heap, uint32_t node, PyObject *object)
{
    const void *values = NULL;
    if (PyType_HasFeature(Py_TYPE(object), MP_PREHEADER_FLAGS))
        values = mp_instance_values(object);
    else if (PyDict_Check(object))
        values = ((PyDictObject *)object)->ma_values;
    if (values && mp_heap_can_read(heap, (const char *)values - 1, 1))
        claim(heap, node, mp_values_block(values), 0);
}

/* What sys.monitoring has for a code object is not looked through: the interpreter leaves words in
 * it unwritten, and what these blocks had before may be the address of any other. */
static void
claim_monitoring(struct mp_heap *heap, uint32_t node, const PyCodeObject *code)
{
    const void *buffers[MP_CODE_BUFFERS];
    mp_code_buffers(code, buffers);
    for (size_t i = 0; i < MP_CODE_BUFFERS; i++)
        claim(heap, node, (uintptr_t)buffers[i], 0);
}

static void
find_buffers_of(struct mp_heap *heap, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    PyObject *object = mp_heap_object(heap, node);
    if (type->flags & MP_TYPE_GC)
        claim_values(heap, node, object);
    if (PyCode_Check(object))
        claim_monitoring(heap, node, (const PyCodeObject *)object);
    if (type->flags & MP_TYPE_LEAF)
        return;
    const size_t fields = mp_heap_fields_size(object), size = fields < SCAN ? fields : SCAN;
    const uintptr_t begin = (uintptr_t)object;
    if (!(type->flags & MP_TYPE_KNOWN) && size >= sizeof(PyVarObject) + 2 * sizeof(void *))
        claim_chains(heap, node);
    scan(heap, node, begin + sizeof(PyObject), begin + size / sizeof(void *) * sizeof(void *), 2);
}

/* A view has the address of what the object that it is a view of owns (numpy arrays): that one
 * comes first. */
static void
find_buffers_behind(struct mp_heap *heap, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    if (type->flags & (MP_TYPE_GC | MP_TYPE_LEAF | MP_TYPE_KNOWN) || type->type->tp_basicsize > SCAN)
        return;
    const uintptr_t *words = (const uintptr_t *)heap->address[node];
    const size_t count = mp_heap_fields_size(mp_heap_object(heap, node)) / sizeof *words;
    for (size_t i = sizeof(PyObject) / sizeof *words; i < count; i++) {
        const uint32_t target = words[i] % sizeof(void *) ? 0 : mp_heap_find(heap, words[i]);
        if (target && target != node && heap->type[target] == heap->type[node])
            find_buffers_of(heap, target);
    }
}

void
mp_heap_find_buffers(struct mp_heap *heap)
{
    if (!heap->buffer_count)
        return;
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++) {
        find_buffers_behind(heap, node);
        find_buffers_of(heap, node);
    }
}

/* ---- objects that nobody leads to -------------------------------------------------------------- */

/* A live block with the head of an object in it, of a type that is known and can be that large. */
static bool
looks_like_object(const struct mp_heap *heap, uintptr_t block, uint64_t size, uintptr_t at)
{
    if (at + sizeof(PyObject) > block + size)
        return false;
    PyObject *object = (PyObject *)at;
    const uint32_t type = mp_heap_type_known(heap, Py_TYPE(object));
    if (!type || Py_REFCNT(object) <= 0 || Py_REFCNT(object) > (Py_ssize_t)1 << 32)
        return false;
    PyTypeObject *py_type = heap->types[type].type;
    return at - mp_object_presize(py_type) == block &&
           (size_t)mp_heap_least_size(py_type) <= block + size - at;
}

static bool
is_of_objects(uint32_t site)
{
    return mp_depot_site_at(&mp_tracer.depot, site)->kind == MP_OBJ;
}

/* A bytes object may be the memory of a bytearray: see claim_bytes. */
static bool
may_be_of_array(PyObject *object)
{
    return MP_BYTEARRAY_HAS_BYTES && Py_TYPE(object) == &PyBytes_Type && Py_REFCNT(object) == 1;
}

static void
add_buffer(struct mp_heap *heap, uint32_t site, uint64_t size, uintptr_t block)
{
    if (!reserve(heap))
        return;
    const uint32_t number = MP_HEAP_BUFFER + (uint32_t)heap->buffer_count;
    heap->buffers[heap->buffer_count++] = (struct mp_buffer){block, size, 0, site};
    if (!mp_places_find(&heap->places, block) &&
        mp_places_set(&heap->places, block, number) != MP_OK)
        heap->failed = true;
}

static void
add_block(uint32_t site, uint64_t size, uintptr_t block, void *data)
{
    struct mp_heap *heap = data;
    if (heap->failed || is_node_at(heap, block))
        return;
    const bool object = is_of_objects(site);
    const uintptr_t last = MP_HAS_GIL ? block : block + 16;
    for (uintptr_t at = block; object && at <= last; at += 16)
        if (looks_like_object(heap, block, size, at)) {
            if (may_be_of_array((PyObject *)at))
                break;
            mp_heap_add(heap, (PyObject *)at);
            return;
        }
    add_buffer(heap, site, size, block);
}

/* The bytes that are the memory of bytearrays are theirs; the others are objects. */
static void
claim_bytes(struct mp_heap *heap)
{
    for (uint32_t node = 1; node <= heap->graph.nodes; node++)
        if (PyByteArray_Check(mp_heap_object(heap, node)))
            claim(heap, node,
                  (uintptr_t)mp_bytearray_block((PyByteArrayObject *)mp_heap_object(heap, node)), 0);
    for (size_t i = 0; i < heap->buffer_count && !heap->failed; i++) {
        const struct mp_buffer *buffer = &heap->buffers[i];
        const uintptr_t at = buffer->address;
        if (!buffer->owner && is_of_objects(buffer->site) &&
            looks_like_object(heap, at, buffer->size, at) && may_be_of_array((PyObject *)at))
            mp_heap_add(heap, (PyObject *)at);
    }
}

void
mp_heap_find_blocks(struct mp_heap *heap)
{
    mp_tracer_each(add_block, heap);
    mp_heap_drain(heap);
    if (MP_BYTEARRAY_HAS_BYTES && heap->buffer_count)
        claim_bytes(heap);
}
