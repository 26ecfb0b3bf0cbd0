/* pass: all objects of the interpreter as a heap (graph/heap.h), by one pass.
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
 * mp_heap_run. Afterwards the heap is plain data.
 *
 * A pointer from a tp_traverse is believed only when the memory there can be read and its type
 * is a type; what is not is counted in `bad_pointers`.
 */
#ifndef MP_PASS_H
#define MP_PASS_H

#include "py/cpython/compat.h"

#include "graph/inspector.h"
#include "os/memory_map.h"

struct mp_pass {
    struct mp_heap *heap;   /* that is made */
    const char *own_path;   /* of memprof's package: frames of its files are its own */
    struct mp_range *ranges; /* of memory that can be read; none: the kernel does not say */
    size_t range_count, range_capacity;
    PyObject **everything;  /* without a GIL: what the collector knows */
    size_t everything_count;
};

/* Make the pass, then call `use` while the objects are still as they were. Statuses: mem.h. */
MP_WARN_UNUSED int mp_heap_run(struct mp_heap *heap, const char *own_path,
                               int (*use)(const struct mp_inspector *inspector, void *data),
                               void *data);

/* ---- between the parts of the pass -------------------------------------------------------- */

/* The node of an object, made when it has none; 0 when it is not to be believed. */
uint32_t mp_pass_add(struct mp_pass *pass, PyObject *object);

/* For traverse functions: the node that is being traversed holds this; `data` is the pass. */
int mp_pass_add_edge(PyObject *target, void *data);

/* Complete the edges of all nodes. */
void mp_pass_drain(struct mp_pass *pass);

static inline PyObject *
mp_pass_object(const struct mp_pass *pass, uint32_t node)
{
    assert(node && node <= pass->heap->graph.nodes);
    return (PyObject *)pass->heap->address[node];
}

static inline bool
mp_pass_can_read(const struct mp_pass *pass, const void *at, size_t size)
{
    return !pass->range_count ||
           mp_memory_map_has(pass->ranges, pass->range_count, (uintptr_t)at, size);
}

#endif
