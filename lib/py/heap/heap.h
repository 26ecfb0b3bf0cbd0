/* heap: all objects of the interpreter as a graph, by one pass.
 *
 * Nodes are objects: all that the collector knows, and whatever they lead to (strings, numbers,
 * untracked tuples). Edges are what tp_traverse reports. Where the trace knows an object's
 * block, the node has its exact size and its site; blocks that are no objects (list items, dict
 * tables, buffers) are counted to the object that owns them. Live blocks that look like objects
 * but that nothing leads to are nodes too: only C code knows them.
 *
 * Rules of the pass: no Python code runs, no reference count changes, nothing is allocated but
 * by mem.h, no recursion. The objects cannot change meanwhile: the caller holds the GIL; on
 * free-threaded builds the world is stopped. Only while it lasts may objects be looked at: see
 * mp_heap_run. Afterwards the heap is plain data, used by one thread at a time.
 *
 * A pointer from a tp_traverse is believed only when the memory there can be read and its type
 * is a type; what is not is counted in `bad_pointers`.
 */
#ifndef MP_HEAP_H
#define MP_HEAP_H

#include "py/cpython/compat.h"

#include "graph/graph.h"
#include "base/names.h"
#include "os/memory_map.h"
#include "base/places.h"

enum mp_type_flag {
    MP_TYPE_GC = 1,      /* the collector knows its objects */
    MP_TYPE_LEAF = 2,    /* its objects own no blocks: do not look for any */
    MP_TYPE_ALWAYS = 4,  /* traverse its objects even when they are untracked */
    MP_TYPE_KNOWN = 8,   /* a container of CPython whose buffers own nothing */
    MP_TYPE_IS_TYPE = 16,       /* its objects are types */
    MP_TYPE_IS_MODULE = 32,
    MP_TYPE_IS_SUSPENDED = 64,  /* generators and coroutines */
    MP_TYPE_IS_CELL = 128,
    MP_TYPE_IS_ARRAY = 256,     /* of numpy */
};

struct mp_heap_type {
    PyTypeObject *type; /* an identity; to be looked at only while the pass lasts */
    uint32_t name;      /* qualified, with the module unless that is builtins */
    uint32_t short_name; /* without the module */
    uint32_t module;
    uint32_t flags;
    uint32_t alike; /* the first type with this name and these flags: reports tell no difference */
};

/* From where a search starts; the order is that of preference when paths are made. */
enum mp_root_kind {
    MP_ROOT_MODULE,
    MP_ROOT_EXIT,        /* registered with atexit */
    MP_ROOT_THREAD,      /* thread-local data */
    MP_ROOT_CONTEXT,     /* context variables of a thread */
    MP_ROOT_FRAME,       /* a local variable of a running frame */
    MP_ROOT_STACK,       /* perhaps on the evaluation stack of a running frame */
    MP_ROOT_OWN,         /* memprof itself */
    MP_ROOT_INTERPRETER, /* what the program has given the interpreter: a codec, a trace function ... */
    MP_ROOT_C,           /* held by C code: more references than edges */
    MP_ROOT_NOTHING,     /* held by nothing but each other */
    MP_ROOTS
};

struct mp_root {
    uint32_t node;
    uint32_t kind;
    uint32_t name;  /* of the module, of the variable ... */
    uint32_t name2; /* of the function */
};

/* Nodes are fewer; see `places`. */
#define MP_HEAP_BUFFER 0x80000000u

/* A live block that is no object. */
struct mp_buffer {
    uintptr_t address;
    uint64_t size;
    uint32_t owner; /* node; 0: nobody is known to own it */
    uint32_t site;
};

struct mp_heap {
    struct mp_graph graph;
    uint32_t node_capacity, edge_capacity;
    uintptr_t *address;  /* by node, as the arrays below */
    uint64_t *size;      /* bytes, with the buffers it owns */
    uint32_t *type;
    uint32_t *site;      /* 0: not traced */
    struct mp_places places; /* address -> node, or MP_HEAP_BUFFER + index of a buffer */

    struct mp_heap_type *types; /* from 1 */
    uint32_t type_count, type_capacity;
    uint32_t *type_slots;
    size_t type_slot_count;
    uint32_t *first_named; /* by name: the first type that has it */
    size_t first_named_count;

    struct mp_root *roots;
    uint32_t root_count, root_capacity;

    struct mp_buffer *buffers;
    size_t buffer_count, buffer_capacity;

    struct mp_range *ranges;
    size_t range_count, range_capacity;
    struct mp_names names;
    PyObject **everything;  /* without a GIL, while the pass lasts: what the collector knows */
    size_t everything_count;
    const char *own_path;   /* of memprof's package: frames of its files are its own */
    uint32_t scanned;       /* nodes whose edges are complete */
    uint64_t bad_pointers, bad_objects;
    bool failed;            /* there was no memory */
};

/* Make the pass, then call `use` while the objects are still as they were. Statuses: mem.h. */
MP_WARN_UNUSED int mp_heap_run(struct mp_heap *heap, const char *own_path,
                               int (*use)(struct mp_heap *heap, void *data), void *data);
void mp_heap_free(struct mp_heap *heap);

/* The node of an object; 0 when it is none. */
uint32_t mp_heap_find(const struct mp_heap *heap, uintptr_t address);

/* All memory of the heap, in bytes. */
size_t mp_heap_memory(const struct mp_heap *heap);

/* ---- between the parts of the pass ------------------------------------------------------ */

/* heap.c: the node of an object, made when it has none; 0 when it is not to be believed. */
uint32_t mp_heap_add(struct mp_heap *heap, PyObject *object);
void mp_heap_drain(struct mp_heap *heap); /* complete the edges of all nodes */
void mp_heap_add_root(struct mp_heap *heap, struct mp_root root);

/* An object of C code whose traverse function says nothing of what it holds. */
bool mp_heap_is_opaque(const struct mp_heap *heap, uint32_t node);

/* types.c: index of a type, 0 for what is none. */
uint32_t mp_heap_type(struct mp_heap *heap, PyTypeObject *type);
uint32_t mp_heap_type_known(const struct mp_heap *heap, const PyTypeObject *type);
bool mp_heap_can_read(const struct mp_heap *heap, const void *at, size_t size);

/* sizes.c: size in bytes and site. */
uint64_t mp_heap_measure(const struct mp_heap *heap, PyObject *object, uint32_t type_flags,
                         uint32_t *site);

/* Is each key of a dict an exact str, so that its traverse function leaves the keys out? */
bool mp_dict_has_text_keys(PyObject *dict);

/* An object of a type is never smaller; what seems to be lies within another block. */
Py_ssize_t mp_heap_least_size(const PyTypeObject *type);

/* Bytes of an object, from its head on, where references to others may lie. */
size_t mp_heap_fields_size(PyObject *object);

/* collector.c: call visit for each object that the collector knows, and nothing else. */
void mp_heap_each_object(struct mp_heap *heap, void (*visit)(PyObject *object, void *data),
                         void *data);
void mp_heap_in_pause(struct mp_heap *heap, void (*pass)(void *data), void *data);

/* blocks.c: live blocks that are no nodes: objects nobody leads to, and buffers; then who
 * owns which buffer. */
void mp_heap_find_blocks(struct mp_heap *heap);
void mp_heap_find_buffers(struct mp_heap *heap);

/* roots.c: the stacks last, when all objects are known. */
void mp_heap_find_roots(struct mp_heap *heap);
void mp_heap_add_named_root(struct mp_heap *heap, enum mp_root_kind kind, const char *name,
                            PyObject *object); /* none for NULL */
void mp_heap_find_stacks(struct mp_heap *heap);

/* internals.c: what only the interpreter itself holds. */
void mp_heap_find_internals(struct mp_heap *heap);

/* Call visit for each local variable of a frame: name may be NULL. */
void mp_heap_each_local(const struct mp_heap *heap, const char *frame,
                        void (*visit)(PyObject *name, PyObject *value, void *data), void *data);

static inline const struct mp_heap_type *
mp_heap_type_of(const struct mp_heap *heap, uint32_t node)
{
    return &heap->types[heap->type[node]];
}

/* Id of the type that reports name: the first of those that they do not tell from this one. */
static inline uint32_t
mp_heap_alike(const struct mp_heap *heap, uint32_t node)
{
    return mp_heap_type_of(heap, node)->alike;
}

/* Only while the pass lasts. */
static inline PyObject *
mp_heap_object(const struct mp_heap *heap, uint32_t node)
{
    return (PyObject *)heap->address[node];
}

#endif
