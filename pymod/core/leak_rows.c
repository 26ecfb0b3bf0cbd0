/* The object graph for Python: who holds what, told by flat tuples. */
#include "core.h"

#include <string.h>

#include "graph/leaks.h"
#include "graph/path_text.h"
#include "py/alloc/hook.h"
#include "py/heap/pass.h"
#include "record/tracer.h"

enum { PATH = 4096 };

static PyObject *
name_object(const struct mp_heap *heap, uint32_t name)
{
    const struct mp_name *found = name ? mp_table_at(&heap->names.table, name) : NULL;
    return found ? PyUnicode_DecodeUTF8(found->text, (Py_ssize_t)found->length, "surrogatepass")
                 : PyUnicode_FromString("?");
}

/* ---- leaks as tuples ---------------------------------------------------------------------- */

struct listing {
    const struct mp_heap *heap;
    const struct mp_leaks *leaks;
    const struct mp_leak *leak;
};

/* (name, objects, bytes) */
static PyObject *
type_item(size_t i, void *data)
{
    const struct listing *listing = data;
    const struct mp_leak_type *type = &listing->leak->types[i];
    PyObject *name = name_object(listing->heap, listing->heap->types[type->type].name);
    return name ? Py_BuildValue("(NKK)", name, (unsigned long long)type->objects,
                                (unsigned long long)type->bytes)
                : NULL;
}

static PyObject *
path_object(const struct mp_leaks *leaks, uint32_t group, bool types)
{
    char text[PATH];
    const size_t length =
        mp_path_text(&(struct mp_group_path){&leaks->paths, group, types}, text, sizeof text);
    /* "replace": a very long path is cut anywhere */
    PyObject *path = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "surrogatepass");
    if (path || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return path;
    PyErr_Clear();
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
}

/* (path, path with the container's type, objects, root) */
static PyObject *
holder_item(size_t i, void *data)
{
    const struct listing *listing = data;
    const struct mp_leak_holder *holder = &listing->leak->holders[i];
    PyObject *path = path_object(listing->leaks, holder->group, false);
    PyObject *longer = path ? path_object(listing->leaks, holder->group, true) : NULL;
    if (!longer) {
        Py_XDECREF(path);
        return NULL;
    }
    return Py_BuildValue("(NNKs)", path, longer, (unsigned long long)holder->objects,
                         mp_path_root(&listing->leaks->paths, holder->group));
}

/* (objects, owners, buffers, buffer bytes, retained, part of, types, holders) */
static PyObject *
leak_item(size_t i, void *data)
{
    struct listing *listing = data;
    const struct mp_leak *leak = listing->leak = &listing->leaks->leaks[i];
    PyObject *types = mp_core_list(leak->type_count, type_item, listing);
    PyObject *holders = types ? mp_core_list(leak->holder_count, holder_item, listing) : NULL;
    if (!holders) {
        Py_XDECREF(types);
        return NULL;
    }
    return Py_BuildValue("(KKKKKiNN)", (unsigned long long)leak->objects,
                         (unsigned long long)leak->owners, (unsigned long long)leak->buffers,
                         (unsigned long long)leak->buffer_bytes,
                         (unsigned long long)leak->retained, (int)leak->part_of - 1, types,
                         holders);
}

static PyObject *
leaks_list(const struct mp_heap *heap, const struct mp_leaks *leaks)
{
    struct listing listing = {heap, leaks, NULL};
    return mp_core_list(leaks->count, leak_item, &listing);
}

/* ---- explain(stacks) ---------------------------------------------------------------------- */

struct explain {
    uint32_t *leak_of; /* by site */
    struct mp_leak_sites sites;
    struct mp_leaks leaks;
};

static int
explain_heap(const struct mp_inspector *inspector, void *data)
{
    struct explain *explain = data;
    return mp_heap_explain(inspector, &explain->sites, &explain->leaks);
}

/* leak[stack]: 1 + its place in the tuple; `highest` is the highest one. False with an exception
 * set for what is no number. */
static bool
read_stacks(PyObject *stacks, uint32_t *leak, uint32_t highest)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(stacks); i++) {
        const unsigned long stack = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(stacks, i));
        if (stack <= highest)
            leak[stack] = (uint32_t)i + 1;
    }
    return !PyErr_Occurred();
}

static size_t
size_of_sites(const struct explain *explain)
{
    return ((size_t)explain->sites.highest + 1) * sizeof *explain->leak_of;
}

/* leak_of[site] from leak[stack]. */
static bool
map_sites(struct explain *explain, PyObject *stacks)
{
    const uint32_t highest = mp_stacks_count(&mp_tracer.depot.stacks);
    const size_t size = ((size_t)highest + 1) * sizeof(uint32_t);
    uint32_t *leak = mp_mem_new(size);
    explain->sites.highest = mp_table_count(&mp_tracer.depot.sites);
    explain->sites.leaks = (size_t)PyTuple_GET_SIZE(stacks);
    explain->sites.leak_of = explain->leak_of = mp_mem_new(size_of_sites(explain));
    const bool ready = leak && explain->leak_of && read_stacks(stacks, leak, highest);
    for (uint32_t site = 1; ready && site <= explain->sites.highest; site++) {
        const struct mp_site *found = mp_table_peek(&mp_tracer.depot.sites, site);
        explain->leak_of[site] = found && found->stack <= highest ? leak[found->stack] : 0;
    }
    mp_mem_free(leak, size);
    return ready;
}

PyObject *
mp_core_heap_explain(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *stacks, *result = NULL;
    const char *own;
    struct explain explain = {0};
    struct mp_heap heap;
    if (!PyArg_ParseTuple(args, "O!s:heap_explain", &PyTuple_Type, &stacks, &own))
        return NULL;
    if (!mp_tracer_is_active())
        return mp_core_raise(MP_NOT_TRACING, NULL, NULL);
    const bool quiet = mp_hook_quiet(true);
    int status = map_sites(&explain, stacks) ? MP_OK : MP_NO_MEMORY;
    if (status == MP_OK)
        status = mp_heap_run(&heap, own, explain_heap, &explain);
    if (status == MP_OK) {
        PyObject *list = leaks_list(&heap, &explain.leaks);
        result = list ? Py_BuildValue("(NK)", list, (unsigned long long)heap.bad_pointers) : NULL;
        mp_leaks_free(&explain.leaks);
        mp_heap_free(&heap);
    } else if (!PyErr_Occurred()) {
        mp_core_raise(status, NULL, NULL);
    }
    mp_mem_free(explain.leak_of, size_of_sites(&explain));
    mp_hook_quiet(quiet);
    return result;
}

/* ---- holders(addresses) ------------------------------------------------------------------- */

struct holders {
    const uintptr_t *addresses;
    const uintptr_t *types; /* of each; 0: any */
    size_t count;
    struct mp_leaks leaks;
};

static int
explain_objects(const struct mp_inspector *inspector, void *data)
{
    struct holders *holders = data;
    const struct mp_heap *heap = inspector->heap;
    const size_t nodes = (size_t)heap->graph.nodes + 1;
    uint8_t *wanted = mp_mem_new(nodes);
    if (!wanted)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < holders->count; i++) {
        const uint32_t node = mp_heap_find(heap, holders->addresses[i]);
        const uintptr_t type = holders->types[i];
        if (node && (!type || mp_heap_type_of(heap, node)->identity == type))
            wanted[node] = 1;
    }
    const int status = mp_heap_explain_nodes(inspector, wanted, &holders->leaks);
    mp_mem_free(wanted, nodes);
    return status;
}

PyObject *
mp_core_heap_holders(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *own, *addresses, *types;
    Py_ssize_t length, type_length;
    struct holders holders = {0};
    struct mp_heap heap;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y#y#s:heap_holders", &addresses, &length, &types, &type_length,
                          &own))
        return NULL;
    if (length != type_length || length % (Py_ssize_t)sizeof(uintptr_t)) {
        PyErr_SetString(PyExc_ValueError, "two arrays of addresses of the same length");
        return NULL;
    }
    holders.addresses = (const uintptr_t *)(const void *)addresses;
    holders.types = (const uintptr_t *)(const void *)types;
    holders.count = (size_t)length / sizeof(uintptr_t);
    const bool quiet = mp_hook_quiet(true);
    const int status = mp_heap_run(&heap, own, explain_objects, &holders);
    if (status == MP_OK) {
        PyObject *list = leaks_list(&heap, &holders.leaks);
        result = list ? Py_NewRef(PyList_GET_ITEM(list, 0)) : NULL;
        Py_XDECREF(list);
        mp_leaks_free(&holders.leaks);
        mp_heap_free(&heap);
    } else {
        mp_core_raise(status, NULL, NULL);
    }
    mp_hook_quiet(quiet);
    return result;
}

/* ---- for tests and benchmarks ------------------------------------------------------------- */

struct referents {
    PyObject *object;
    uintptr_t *addresses;
    size_t count;
    bool found;
    uint64_t size;
};

static int
copy_referents(const struct mp_inspector *inspector, void *data)
{
    struct referents *referents = data;
    const struct mp_heap *heap = inspector->heap;
    const uint32_t node = mp_heap_find(heap, (uintptr_t)referents->object);
    referents->found = node != 0;
    if (!node)
        return MP_OK;
    const uint32_t begin = heap->graph.first[node], end = heap->graph.first[node + 1];
    referents->size = heap->size[node];
    referents->addresses = mp_mem_new((end - begin + 1) * sizeof(uintptr_t));
    if (!referents->addresses)
        return MP_NO_MEMORY;
    for (uint32_t edge = begin; edge < end; edge++)
        referents->addresses[referents->count++] = heap->address[heap->graph.target[edge]];
    return MP_OK;
}

static PyObject *
address_item(size_t i, void *data)
{
    return PyLong_FromVoidPtr((void *)((const struct referents *)data)->addresses[i]);
}

PyObject *
mp_core_heap_referents(PyObject *Py_UNUSED(module), PyObject *object)
{
    struct referents referents = {.object = object};
    struct mp_heap heap;
    const bool quiet = mp_hook_quiet(true);
    const int status = mp_heap_run(&heap, "", copy_referents, &referents);
    PyObject *result = NULL;
    if (status != MP_OK) {
        mp_core_raise(status, NULL, NULL);
    } else if (!referents.found) {
        result = Py_NewRef(Py_None);
    } else {
        PyObject *list = mp_core_list(referents.count, address_item, &referents);
        result = list ? Py_BuildValue("(KN)", (unsigned long long)referents.size, list) : NULL;
    }
    mp_mem_free(referents.addresses, (referents.count + 1) * sizeof(uintptr_t));
    if (status == MP_OK)
        mp_heap_free(&heap);
    mp_hook_quiet(quiet);
    return result;
}

/* ---- the functions ---------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"heap_explain", mp_core_heap_explain, METH_VARARGS,
     "heap_explain(stacks, own_path): (what the blocks of call stacks are, pointers not followed)"},
    {"heap_holders", mp_core_heap_holders, METH_VARARGS,
     "heap_holders(addresses, types, own_path): the same for objects"},
    {"heap_referents", mp_core_heap_referents, METH_O, "(size, addresses) of an object's edges"},
    {"heap", mp_core_heap, METH_O, "heap(own_path) -> Heap"},
    {"live_stacks", mp_core_live_stacks, METH_NOARGS, "{stack: (bytes, blocks)} of live blocks"},
    {"stack_frames", mp_core_stack_frames, METH_O, "frames of a stack of live_stacks()"},
    {0},
};

int
mp_core_add_leaks(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
