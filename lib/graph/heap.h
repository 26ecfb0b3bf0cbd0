/* heap: all objects of one moment as plain data. Pure: no Python, no globals, no threads.
 *
 * Nodes are objects, edges what one holds of others. A node has an address (an identity, never
 * followed here), a type, a size and the allocation site of its block. Buffers are live blocks
 * that are no objects; their bytes are in the size of the object that owns them. Roots say from
 * where objects are held.
 *
 * It is made in this order: types before their nodes; nodes at any time; the edges of node 1, of
 * node 2 and so on, each between mp_heap_open_row and mp_heap_close_row; edges that are found later
 * are put in by mp_heap_insert_edges. Who makes it (py/heap/pass.h, a test) answers for what
 * mp_heap_check asks.
 *
 * Errors stick: without memory `failed` is set, ids are 0, and nothing is added any more.
 * The heap owns its arrays. For one thread at a time.
 */
#ifndef MP_HEAP_H
#define MP_HEAP_H

#include <assert.h>

#include "base/names.h"
#include "base/places.h"
#include "graph/graph.h"

/* What paths and their texts must know of a type. The bits from MP_TYPE_OF_MAKER on are for who
 * makes the heap, and mean nothing here. */
enum mp_type_flag {
    MP_TYPE_IS_TYPE = 1,      /* its objects are types */
    MP_TYPE_IS_MODULE = 2,
    MP_TYPE_IS_SUSPENDED = 4, /* generators and coroutines */
    MP_TYPE_IS_CELL = 8,
    MP_TYPE_OF_MAKER = 1 << 8,
};

struct mp_heap_type {
    uintptr_t identity;  /* address of the type */
    uint32_t name;       /* qualified, with the module unless that is builtins */
    uint32_t short_name; /* without the module */
    uint32_t module;
    uint32_t flags;
    uint32_t row;   /* of who makes the heap: what is known of such types */
    uint32_t alike; /* the first type with this name and these flags: reports tell no difference */
    bool built_in;  /* of C code: no class */
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
    MP_ROOT_INTERPRETER, /* what the program has given it: a codec, a trace function ... */
    MP_ROOT_C,           /* held by C code: more references than edges */
    MP_ROOT_NOTHING,     /* held by nothing but each other */
    MP_ROOTS
};

struct mp_root {
    uint32_t node;       /* 0: it turned out to be none */
    uint32_t kind;
    uint32_t name;       /* of the module, of the variable ... */
    uint32_t name2;      /* of the function */
    uint32_t references; /* MP_ROOT_C: those that no edge stands for */
};

/* A live block that is no object. */
struct mp_buffer {
    uintptr_t address;
    uint64_t size;
    uint32_t owner; /* node; 0: nobody is known to own it */
    uint32_t site;
};

struct mp_edge {
    uint32_t node, target;
};

/* Numbers of places from here on are buffers; nodes are fewer. */
#define MP_HEAP_BUFFER 0x80000000u

struct mp_heap {
    struct mp_graph graph;
    uint32_t node_capacity, edge_capacity;
    uint32_t nodes_grown; /* arrays by node that were made larger than that when memory ran out */
    uint32_t rows;       /* nodes whose edges are complete, or being added: the last one's */
    uintptr_t *address;  /* by node, as the arrays below */
    uint64_t *size;      /* bytes, with the buffers it owns */
    uint32_t *type;
    uint32_t *site;      /* 0: not traced */
    struct mp_places places; /* address -> node, or MP_HEAP_BUFFER + index of a buffer */

    struct mp_heap_type *types; /* from 1 */
    uint32_t type_count;
    size_t type_capacity;
    uint32_t *type_slots; /* by identity */
    size_t type_slot_count;
    uint32_t *first_named; /* by name: the first type that has it */
    size_t first_named_count;

    struct mp_root *roots;
    uint32_t root_count;
    size_t root_capacity;

    struct mp_buffer *buffers;
    size_t buffer_count, buffer_capacity;

    struct mp_names names;
    uint64_t bad_pointers; /* references that could not be followed */
    bool failed;           /* there was no memory */
};

MP_WARN_UNUSED int mp_heap_init(struct mp_heap *heap);
void mp_heap_free(struct mp_heap *heap);

/* All memory of the heap, in bytes. */
size_t mp_heap_memory(const struct mp_heap *heap);

/* Is the structure sound, and whole? */
bool mp_heap_check(const struct mp_heap *heap, const char **why);

/* ---- making one --------------------------------------------------------------------------- */

/* A new node: its size and site are 0 yet. */
uint32_t mp_heap_add_node(struct mp_heap *heap, uintptr_t address, uint32_t type);

/* A new type; `alike` is found here. */
uint32_t mp_heap_add_type(struct mp_heap *heap, const struct mp_heap_type *type);

/* One of node 0 is passed over. */
void mp_heap_add_root(struct mp_heap *heap, const struct mp_root *root);
void mp_heap_add_buffer(struct mp_heap *heap, const struct mp_buffer *buffer);

/* Room for one edge more; false when there is no memory. */
bool mp_heap_grow_edges(struct mp_heap *heap);

/* Add edges when all rows are complete: behind those that the node has, in the order given. */
void mp_heap_insert_edges(struct mp_heap *heap, const struct mp_edge *edges, size_t count);

/* The edges of the next node come now. */
static inline uint32_t
mp_heap_open_row(struct mp_heap *heap)
{
    assert(heap->rows < heap->graph.nodes);
    const uint32_t node = ++heap->rows;
    heap->graph.first[node] = heap->graph.edges;
    return node;
}

static inline void
mp_heap_add_edge(struct mp_heap *heap, uint32_t target)
{
    assert(heap->rows && target && target <= heap->graph.nodes);
    if (heap->graph.edges < heap->edge_capacity || mp_heap_grow_edges(heap))
        heap->graph.target[heap->graph.edges++] = target;
}

static inline void
mp_heap_close_row(struct mp_heap *heap)
{
    assert(heap->rows && heap->graph.first[heap->rows] <= heap->graph.edges);
    heap->graph.first[heap->rows + 1] = heap->graph.edges;
}

/* ---- asking it ---------------------------------------------------------------------------- */

/* The node of an object; 0 when it is none. */
static inline uint32_t
mp_heap_find(const struct mp_heap *heap, uintptr_t address)
{
    const uint32_t node = mp_places_find(&heap->places, address);
    return node < MP_HEAP_BUFFER && heap->address[node] == address ? node : 0;
}

/* The buffer that begins at an address, or NULL. */
static inline struct mp_buffer *
mp_heap_find_buffer(const struct mp_heap *heap, uintptr_t address)
{
    const uint32_t number = mp_places_find(&heap->places, address);
    if (number < MP_HEAP_BUFFER || heap->buffers[number - MP_HEAP_BUFFER].address != address)
        return NULL;
    return &heap->buffers[number - MP_HEAP_BUFFER];
}

/* The type with an identity; 0 when there is none yet. */
uint32_t mp_heap_find_type(const struct mp_heap *heap, uintptr_t identity);

static inline const struct mp_heap_type *
mp_heap_type_of(const struct mp_heap *heap, uint32_t node)
{
    assert(node && node <= heap->graph.nodes);
    return &heap->types[heap->type[node]];
}

/* Id of the type that reports name: the first of those that they do not tell from this one. */
static inline uint32_t
mp_heap_alike(const struct mp_heap *heap, uint32_t node)
{
    return mp_heap_type_of(heap, node)->alike;
}

#endif
