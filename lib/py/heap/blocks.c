#include "py/heap/blocks.h"

#include "py/heap/sizes.h"
#include "py/heap/types.h"
#include "record/tracer.h"

#include "py/cpython/interpreter.h"
#include "py/cpython/values.h"

enum {
    SCAN = 1024,        /* bytes of an object that are looked through */
    SCAN_BUFFER = 1024, /* a larger buffer is data, not a structure */
    DEEP = 2            /* buffers of buffers that are looked through */
};

/* ---- is there an object in the block? ----------------------------------------------------- */

static bool
is_node_at(const struct mp_pass *pass, uintptr_t block)
{
    for (uintptr_t at = block; at <= block + 32; at += 16) {
        const uint32_t node = mp_heap_find(pass->heap, at);
        if (node && at - mp_object_presize(Py_TYPE((PyObject *)at)) == block)
            return true;
    }
    return false;
}

/* A live block with the head of an object in it, of a type that is known and can be that large. */
static bool
looks_like_object(const struct mp_pass *pass, const struct mp_buffer *block, uintptr_t at)
{
    const uintptr_t end = block->address + block->size;
    if (at + sizeof(PyObject) > end)
        return false;
    PyObject *object = (PyObject *)at;
    const uint32_t type = mp_heap_find_type(pass->heap, (uintptr_t)Py_TYPE(object));
    if (!type || Py_REFCNT(object) <= 0 || Py_REFCNT(object) > (Py_ssize_t)1 << 32)
        return false;
    return at - mp_object_presize(Py_TYPE(object)) == block->address &&
           (size_t)mp_sizes_least(&pass->heap->types[type]) <= end - at;
}

/* ---- buffers ------------------------------------------------------------------------------ */

/* The words of an object that may be addresses of blocks of its own. */
struct scan {
    struct mp_pass *pass;
    uint32_t owner;
    bool flat; /* its buffers own nothing */
};

static struct scan
scan_of(struct mp_pass *pass, uint32_t node)
{
    return (struct scan){pass, node,
                         (mp_heap_type_of(pass->heap, node)->flags & MP_TYPE_KNOWN) != 0};
}

static void
scan_words(const struct scan *scan, uintptr_t begin, uintptr_t end, int depth);

/* A word of an object, or of a buffer of its own, may be the address of a block. True when it was,
 * and the block was nobody's before. */
static bool
claim(const struct scan *scan, uintptr_t address, int depth)
{
    struct mp_heap *heap = scan->pass->heap;
    if (address % MP_GRANULE || !address)
        return false;
    struct mp_buffer *buffer = mp_heap_find_buffer(heap, address);
    if (!buffer || buffer->owner || is_node_at(scan->pass, address))
        return false;
    assert(scan->owner && scan->owner <= heap->graph.nodes);
    buffer->owner = scan->owner;
    heap->size[scan->owner] += buffer->size;
    if (depth && buffer->size <= SCAN_BUFFER && !scan->flat)
        scan_words(scan, address, address + buffer->size, depth - 1);
    return true;
}

static void
scan_words(const struct scan *scan, uintptr_t begin, uintptr_t end, int depth)
{
    assert(depth >= 0 && depth <= DEEP && begin % sizeof(void *) == 0);
    for (uintptr_t at = begin; at + sizeof(void *) <= end; at += sizeof(void *))
        claim(scan, *(const uintptr_t *)at, depth);
}

/* A chain of blocks that refer to each other by their first or last word (a deque's) is
 * followed without recursion. */
static void
follow_chain(const struct scan *scan, uintptr_t block)
{
    bool more = claim(scan, block, 0);
    while (more) {
        const uint64_t size = mp_heap_find_buffer(scan->pass->heap, block)->size;
        if (size < sizeof(void *) * 2 || size > SCAN_BUFFER)
            return;
        const uintptr_t *words = (const uintptr_t *)block;
        const uintptr_t ends[] = {words[0], words[size / sizeof(void *) - 1]};
        more = false;
        for (size_t i = 0; i < 2 && !more; i++)
            if (claim(scan, ends[i], 0)) {
                block = ends[i];
                more = true;
            }
    }
}

static void
claim_chains(const struct scan *scan)
{
    const uintptr_t begin = scan->pass->heap->address[scan->owner] + sizeof(PyVarObject);
    for (uintptr_t at = begin; at < begin + 2 * sizeof(void *); at += sizeof(void *))
        follow_chain(scan, *(const uintptr_t *)at);
}

/* Values of attributes lie in the middle of their block. */
static void
claim_values(const struct scan *scan, const struct mp_type_row *row, PyObject *object)
{
    const void *values = NULL;
    if (PyType_HasFeature(Py_TYPE(object), MP_PREHEADER_FLAGS))
        values = mp_instance_values(object);
    else if (row->values)
        values = row->values(object);
    if (values && mp_pass_can_read(scan->pass, (const char *)values - 1, 1))
        claim(scan, mp_values_block(values), 0);
}

static void
claim_block(const void *block, void *data)
{
    claim(data, (uintptr_t)block, 0);
}

static void
find_buffers_of(struct mp_pass *pass, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(pass->heap, node);
    const struct mp_type_row *row = mp_row_of_type(type);
    PyObject *object = mp_pass_object(pass, node);
    struct scan scan = scan_of(pass, node);
    if (type->flags & MP_TYPE_GC)
        claim_values(&scan, row, object);
    if (row->blocks)
        row->blocks(object, claim_block, &scan);
    if (type->flags & MP_TYPE_LEAF)
        return;
    const size_t fields = mp_sizes_fields(object, type), size = fields < SCAN ? fields : SCAN;
    const uintptr_t begin = (uintptr_t)object;
    if (!scan.flat && size >= sizeof(PyVarObject) + 2 * sizeof(void *))
        claim_chains(&scan);
    scan_words(&scan, begin + sizeof(PyObject), begin + size, DEEP);
}

/* A view has the address of what the object that it is a view of owns (numpy arrays): that one
 * comes first. */
static void
find_buffers_behind(struct mp_pass *pass, uint32_t node)
{
    const struct mp_heap *heap = pass->heap;
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    PyObject *object = mp_pass_object(pass, node);
    if (type->flags & (MP_TYPE_GC | MP_TYPE_LEAF | MP_TYPE_KNOWN) ||
        Py_TYPE(object)->tp_basicsize > SCAN)
        return;
    const uintptr_t *words = (const uintptr_t *)(const void *)object;
    const size_t count = mp_sizes_fields(object, type) / sizeof *words;
    for (size_t i = sizeof(PyObject) / sizeof *words; i < count; i++) {
        const uint32_t target = words[i] % sizeof(void *) ? 0 : mp_heap_find(heap, words[i]);
        if (target && target != node && heap->type[target] == heap->type[node])
            find_buffers_of(pass, target);
    }
}

void
mp_blocks_find_owners(struct mp_pass *pass)
{
    const struct mp_heap *heap = pass->heap;
    if (!heap->buffer_count)
        return;
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++) {
        find_buffers_behind(pass, node);
        find_buffers_of(pass, node);
    }
}

/* ---- objects that nobody leads to --------------------------------------------------------- */

static bool
is_of_objects(uint32_t site)
{
    return mp_depot_site_at(&mp_tracer.depot, site)->kind == MP_OBJ;
}

/* A bytes object may be the memory of a bytearray: see claim_memory. */
static bool
may_be_memory(const struct mp_pass *pass, PyObject *object)
{
    const uint32_t type = mp_heap_find_type(pass->heap, (uintptr_t)Py_TYPE(object));
    assert(type);
    return MP_BYTEARRAY_HAS_BYTES && pass->heap->types[type].flags & MP_TYPE_MEMORY &&
           Py_REFCNT(object) == 1;
}

static void
add_block(uint32_t site, uint64_t size, uintptr_t block, void *data)
{
    struct mp_pass *pass = data;
    const struct mp_buffer buffer = {block, size, 0, site};
    assert(site && block);
    if (pass->heap->failed || is_node_at(pass, block))
        return;
    const bool object = is_of_objects(site);
    const uintptr_t last = MP_HAS_GIL ? block : block + 16;
    for (uintptr_t at = block; object && at <= last; at += 16)
        if (looks_like_object(pass, &buffer, at)) {
            if (may_be_memory(pass, (PyObject *)at))
                break;
            mp_pass_add(pass, (PyObject *)at);
            return;
        }
    mp_heap_add_buffer(pass->heap, &buffer);
}

/* The bytes that are the memory of bytearrays are theirs; the others are objects. */
static void
claim_memory(struct mp_pass *pass)
{
    struct mp_heap *heap = pass->heap;
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        const struct mp_type_row *row = mp_row_of(heap, node);
        if (row->memory) {
            const struct scan scan = scan_of(pass, node);
            claim(&scan, (uintptr_t)row->memory(mp_pass_object(pass, node)), 0);
        }
    }
    for (size_t i = 0; i < heap->buffer_count && !heap->failed; i++) {
        const struct mp_buffer *buffer = &heap->buffers[i];
        const uintptr_t at = buffer->address;
        if (!buffer->owner && is_of_objects(buffer->site) &&
            looks_like_object(pass, buffer, at) && may_be_memory(pass, (PyObject *)at))
            mp_pass_add(pass, (PyObject *)at);
    }
}

void
mp_blocks_find(struct mp_pass *pass)
{
    mp_tracer_each(add_block, pass);
    mp_pass_drain(pass);
    if (MP_BYTEARRAY_HAS_BYTES && pass->heap->buffer_count)
        claim_memory(pass);
    mp_pass_drain(pass);
}
