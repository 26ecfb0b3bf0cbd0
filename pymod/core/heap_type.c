/* A heap that is kept: sets of its objects as masks, one byte for each node. */
#include "core.h"

#include <string.h>

#include "graph/dominators.h"
#include "freeze.h"
#include "graph/search.h"
#include "py/alloc/hook.h"
#include "py/heap/pass.h"
#include "record/tracer.h"

struct heap_object {
    PyObject_HEAD
    struct mp_heap heap;
    uint32_t *starts;      /* of the searches: all roots, room for all nodes */
    uint32_t start_count;
    uint8_t *own;          /* by node: 1 when only memprof leads to it */
    struct mp_objects objects; /* symbols of the trace; none when it was not traced */
    bool has_objects;
};

static struct heap_object *
get(PyObject *self)
{
    return (struct heap_object *)self;
}

static size_t
node_count(const struct heap_object *self)
{
    return (size_t)self->heap.graph.nodes + 1;
}

/* ---- the pass ----------------------------------------------------------------------------- */

static void
note_owners(struct heap_object *self, const struct mp_search *search)
{
    const struct mp_heap *heap = &self->heap;
    for (uint32_t i = 0; i < heap->root_count; i++) /* what an earlier kind reached is not ours */
        if (heap->roots[i].kind == MP_ROOT_OWN &&
            search->parent[heap->roots[i].node] == heap->roots[i].node)
            self->own[heap->roots[i].node] = 1;
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind < MP_ROOT_OWN)
            self->own[heap->roots[i].node] = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        const uint32_t node = search->order[i], parent = search->parent[node];
        if (parent == node)
            self->starts[self->start_count++] = node;
        else
            self->own[node] = self->own[parent];
    }
}

static int
keep(const struct mp_inspector *inspector, void *data)
{
    struct heap_object *self = data;
    const struct mp_heap *heap = inspector->heap;
    struct mp_search search;
    const int status = mp_heap_search(inspector, &search);
    if (status != MP_OK)
        return status;
    self->starts = mp_mem_new(((size_t)heap->graph.nodes + 1) * sizeof(uint32_t));
    self->own = mp_mem_new((size_t)heap->graph.nodes + 1);
    if (self->starts && self->own)
        note_owners(self, &search);
    mp_search_free(&search);
    return self->starts && self->own ? MP_OK : MP_NO_MEMORY;
}

PyObject *
mp_core_heap(PyObject *module, PyObject *own_path)
{
    struct mp_core_state *state = PyModule_GetState(module);
    const char *own = PyUnicode_AsUTF8(own_path);
    struct heap_object *self = own ? PyObject_New(struct heap_object, state->heap_type) : NULL;
    if (!self)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    const bool quiet = mp_hook_quiet(true);
    const int status = mp_heap_run(&self->heap, own, keep, self);
    if (status == MP_OK && mp_tracer_is_active()) {
        struct mp_symbols *symbols = mp_freeze_symbols();
        self->has_objects = symbols && mp_objects_open(&self->objects, symbols);
    }
    mp_hook_quiet(quiet);
    if (status == MP_OK && !PyErr_Occurred())
        return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_Occurred() ? NULL : mp_core_raise(status, NULL, NULL);
}

static void
heap_dealloc(PyObject *object)
{
    struct heap_object *self = get(object);
    PyTypeObject *type = Py_TYPE(object);
    mp_mem_free(self->starts, node_count(self) * sizeof(uint32_t));
    mp_mem_free(self->own, node_count(self));
    if (self->has_objects)
        mp_objects_close(&self->objects);
    if (self->heap.address)
        mp_heap_free(&self->heap);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- masks -------------------------------------------------------------------------------- */

/* The bytes of a mask of this heap; NULL with ValueError. */
static const uint8_t *
mask_of(const struct heap_object *self, PyObject *mask)
{
    if (PyBytes_Check(mask) && (size_t)PyBytes_GET_SIZE(mask) == node_count(self))
        return (const uint8_t *)PyBytes_AS_STRING(mask);
    PyErr_SetString(PyExc_ValueError, "a mask has the wrong length");
    return NULL;
}

static uint8_t *
new_mask(const struct heap_object *self, PyObject **mask)
{
    *mask = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)node_count(self));
    if (!*mask)
        return NULL;
    memset(PyBytes_AS_STRING(*mask), 0, node_count(self));
    return (uint8_t *)PyBytes_AS_STRING(*mask);
}

static PyObject *
heap_all(PyObject *object, PyObject *Py_UNUSED(unused))
{
    struct heap_object *self = get(object);
    PyObject *mask;
    uint8_t *out = new_mask(self, &mask);
    for (size_t node = 1; out && node < node_count(self); node++)
        out[node] = !self->own[node];
    return mask;
}

static PyObject *
heap_sum(PyObject *object, PyObject *mask)
{
    const struct heap_object *self = get(object);
    const uint8_t *in = mask_of(self, mask);
    unsigned long long count = 0, bytes = 0;
    for (size_t node = 1; in && node < node_count(self); node++)
        if (in[node]) {
            count++;
            bytes += self->heap.size[node];
        }
    return in ? Py_BuildValue("(KK)", count, bytes) : NULL;
}

/* ---- partitions --------------------------------------------------------------------------- */

enum by { BY_TYPE, BY_MODULE, BY_SITE };

static int
by_of(const char *text)
{
    static const char *const words[] = {"type", "module", "site"};
    for (int by = BY_TYPE; by <= BY_SITE; by++)
        if (strcmp(text, words[by]) == 0)
            return by;
    PyErr_Format(PyExc_ValueError, "unknown key: '%s' (one of: type, module, site)", text);
    return -1;
}

static uint32_t
key_of(const struct heap_object *self, size_t node, int by)
{
    const struct mp_heap *heap = &self->heap;
    if (by == BY_TYPE)
        return mp_heap_type_of(heap, (uint32_t)node)->name;
    if (by == BY_MODULE)
        return heap->types[heap->type[node]].module;
    const uint32_t site = heap->site[node];
    return site ? mp_depot_site_at(&mp_tracer.depot, site)->stack + 1 : 0;
}

static uint32_t
highest_key(const struct heap_object *self, int by)
{
    if (by == BY_TYPE || by == BY_MODULE)
        return mp_table_count(&self->heap.names.table);
    return mp_stacks_count(&mp_tracer.depot.stacks) + 1;
}

static PyObject *
key_object(struct heap_object *self, uint32_t key, int by)
{
    if (by == BY_SITE)
        return key && self->has_objects && key - 1 <= self->objects.symbols->stacks
                   ? mp_objects_stack(&self->objects, key - 1)
                   : Py_NewRef(Py_None);
    const struct mp_name *found = key ? mp_table_at(&self->heap.names.table, key) : NULL;
    return found ? PyUnicode_DecodeUTF8(found->text, (Py_ssize_t)found->length, "surrogatepass")
                 : PyUnicode_FromString("?");
}

struct sum {
    uint64_t count, bytes;
};

static PyObject *
partition_list(struct heap_object *self, const struct sum *sums, uint32_t highest, int by)
{
    PyObject *list = PyList_New(0);
    for (uint32_t key = 0; list && key <= highest; key++) {
        if (!sums[key].count)
            continue;
        PyObject *name = key_object(self, key, by);
        PyObject *item = name ? Py_BuildValue("(INKK)", (unsigned int)key, name,
                                              (unsigned long long)sums[key].count,
                                              (unsigned long long)sums[key].bytes)
                              : NULL;
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *
heap_partition(PyObject *object, PyObject *args)
{
    struct heap_object *self = get(object);
    PyObject *mask;
    const char *text;
    if (!PyArg_ParseTuple(args, "Os:partition", &mask, &text))
        return NULL;
    const uint8_t *in = mask_of(self, mask);
    const int by = in ? by_of(text) : -1;
    if (by < 0)
        return NULL;
    const uint32_t highest = highest_key(self, by);
    const size_t size = ((size_t)highest + 1) * sizeof(struct sum);
    struct sum *sums = mp_mem_new(size);
    if (!sums)
        return PyErr_NoMemory();
    for (size_t node = 1; node < node_count(self); node++)
        if (in[node]) {
            struct sum *sum = &sums[key_of(self, node, by)];
            sum->count++;
            sum->bytes += self->heap.size[node];
        }
    PyObject *list = partition_list(self, sums, highest, by);
    mp_mem_free(sums, size);
    return list;
}

static PyObject *
heap_pick(PyObject *object, PyObject *args)
{
    struct heap_object *self = get(object);
    PyObject *mask, *result;
    const char *text;
    unsigned int key;
    if (!PyArg_ParseTuple(args, "OsI:pick", &mask, &text, &key))
        return NULL;
    const uint8_t *in = mask_of(self, mask);
    const int by = in ? by_of(text) : -1;
    uint8_t *out = by >= 0 ? new_mask(self, &result) : NULL;
    if (!out)
        return NULL;
    for (size_t node = 1; node < node_count(self); node++)
        out[node] = in[node] && key_of(self, node, by) == key;
    return result;
}

/* ---- relations ---------------------------------------------------------------------------- */

static PyObject *
follow(PyObject *object, PyObject *mask, bool backwards)
{
    struct heap_object *self = get(object);
    const struct mp_graph *graph = &self->heap.graph;
    PyObject *result;
    const uint8_t *in = mask_of(self, mask);
    uint8_t *out = in ? new_mask(self, &result) : NULL;
    if (!out)
        return NULL;
    for (uint32_t node = 1; node <= graph->nodes; node++)
        for (uint32_t edge = graph->first[node]; edge < graph->first[node + 1]; edge++) {
            const uint32_t target = graph->target[edge];
            if (backwards ? in[target] : in[node])
                out[backwards ? node : target] = !self->own[backwards ? node : target];
        }
    return result;
}

static PyObject *
heap_referrers(PyObject *self, PyObject *mask)
{
    return follow(self, mask, true);
}

static PyObject *
heap_referents(PyObject *self, PyObject *mask)
{
    return follow(self, mask, false);
}

/* Everything that no root reaches but through the set, itself included. */
static PyObject *
heap_retained(PyObject *object, PyObject *mask)
{
    struct heap_object *self = get(object);
    struct mp_search search;
    PyObject *result;
    const uint8_t *in = mask_of(self, mask);
    if (!in || !new_mask(self, &result))
        return NULL;
    if (mp_search_init(&search, &self->heap.graph) != MP_OK) {
        Py_DECREF(result);
        return PyErr_NoMemory();
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    mp_search_from(&search, self->starts, self->start_count, in);
    for (size_t node = 1; node < node_count(self); node++)
        out[node] = !search.parent[node];
    mp_search_free(&search);
    return result;
}

/* The immediate dominators of the set's objects. */
static PyObject *
heap_dominators(PyObject *object, PyObject *mask)
{
    struct heap_object *self = get(object);
    struct mp_dominators dominators;
    PyObject *result;
    const uint8_t *in = mask_of(self, mask);
    uint8_t *out = in ? new_mask(self, &result) : NULL;
    if (!out)
        return NULL;
    if (mp_dominators(&self->heap.graph, self->starts, self->start_count, &dominators) != MP_OK) {
        Py_DECREF(result);
        return PyErr_NoMemory();
    }
    for (size_t node = 1; node < node_count(self); node++)
        if (in[node] && dominators.immediate[node])
            out[dominators.immediate[node]] = 1;
    mp_dominators_free(&dominators);
    return result;
}

/* (addresses, addresses of their types): for heap_holders. */
static PyObject *
heap_addresses(PyObject *object, PyObject *mask)
{
    struct heap_object *self = get(object);
    const uint8_t *in = mask_of(self, mask);
    size_t count = 0;
    if (!in)
        return NULL;
    for (size_t node = 1; node < node_count(self); node++)
        count += in[node] != 0;
    const Py_ssize_t size = (Py_ssize_t)(count * sizeof(uintptr_t));
    PyObject *addresses = PyBytes_FromStringAndSize(NULL, size);
    PyObject *types = PyBytes_FromStringAndSize(NULL, size);
    if (!addresses || !types) {
        Py_XDECREF(addresses);
        Py_XDECREF(types);
        return NULL;
    }
    uintptr_t *address = (uintptr_t *)(void *)PyBytes_AS_STRING(addresses);
    uintptr_t *type = (uintptr_t *)(void *)PyBytes_AS_STRING(types);
    for (size_t node = 1; node < node_count(self); node++)
        if (in[node]) {
            *address++ = self->heap.address[node];
            *type++ = mp_heap_type_of(&self->heap, (uint32_t)node)->identity;
        }
    return Py_BuildValue("(NN)", addresses, types);
}

/* nodes, edges, bytes of memory, pointers that were not believed */
static PyObject *
heap_facts(PyObject *object, PyObject *Py_UNUSED(unused))
{
    const struct heap_object *self = get(object);
    const size_t own = node_count(self) * (sizeof(uint32_t) + 1);
    return Py_BuildValue("{sIsIsKsK}", "objects", (unsigned int)self->heap.graph.nodes, "edges",
                         (unsigned int)self->heap.graph.edges, "memory",
                         (unsigned long long)(mp_heap_memory(&self->heap) + own),
                         "bad_pointers", (unsigned long long)self->heap.bad_pointers);
}

/* ---- the type ----------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"all", heap_all, METH_NOARGS, "mask of all objects but memprof's own"},
    {"sum", heap_sum, METH_O, "sum(mask) -> (objects, bytes)"},
    {"partition", heap_partition, METH_VARARGS,
     "partition(mask, by) -> [(id, name, objects, bytes)]; by: type, module or site"},
    {"pick", heap_pick, METH_VARARGS, "pick(mask, by, id) -> mask of one part"},
    {"referrers", heap_referrers, METH_O, "mask of what refers to a set"},
    {"referents", heap_referents, METH_O, "mask of what a set refers to"},
    {"retained", heap_retained, METH_O, "mask of what would be free without a set"},
    {"dominators", heap_dominators, METH_O, "mask of the immediate dominators of a set"},
    {"addresses", heap_addresses, METH_O, "(addresses, types) of a set, arrays in bytes"},
    {"facts", heap_facts, METH_NOARGS, "objects, edges, memory, bad_pointers"},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)"All objects at one moment, as numbers: it keeps none alive."},
    {Py_tp_dealloc, (void *)(uintptr_t)heap_dealloc},
    {Py_tp_methods, methods},
    {0},
};

static PyType_Spec spec = {
    .name = "memprof._core.Heap",
    .basicsize = sizeof(struct heap_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int
mp_core_add_heap(PyObject *module)
{
    struct mp_core_state *state = PyModule_GetState(module);
    state->heap_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->heap_type ? PyModule_AddType(module, state->heap_type) : -1;
}

/* ---- live numbers by call stack ----------------------------------------------------------- */

static void
sum_stacks(struct sum *sums, uint32_t stacks)
{
    const uint32_t sites = mp_table_count(&mp_tracer.depot.sites);
    for (uint32_t site = 1; site <= sites; site++) {
        const struct mp_site *found = mp_table_peek(&mp_tracer.depot.sites, site);
        struct mp_totals totals;
        if (!found || found->stack > stacks)
            continue;
        mp_lanes_totals(&mp_tracer.lanes, site, &totals);
        sums[found->stack].bytes += totals.live.bytes;
        sums[found->stack].count += totals.live.blocks;
    }
}

PyObject *
mp_core_live_stacks(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (!mp_tracer_is_active())
        return mp_core_raise(MP_NOT_TRACING, NULL, NULL);
    const uint32_t stacks = mp_stacks_count(&mp_tracer.depot.stacks);
    const size_t size = ((size_t)stacks + 1) * sizeof(struct sum);
    struct sum *sums = mp_mem_new(size);
    if (!sums)
        return PyErr_NoMemory();
    sum_stacks(sums, stacks);
    const bool quiet = mp_hook_quiet(true);
    PyObject *result = PyDict_New();
    for (uint32_t stack = 0; result && stack <= stacks; stack++) {
        if (!sums[stack].count)
            continue;
        PyObject *key = PyLong_FromUnsignedLong(stack);
        PyObject *value = Py_BuildValue("(KK)", (unsigned long long)sums[stack].bytes,
                                        (unsigned long long)sums[stack].count);
        if (!key || !value || PyDict_SetItem(result, key, value))
            Py_CLEAR(result);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    mp_hook_quiet(quiet);
    mp_mem_free(sums, size);
    return result;
}

PyObject *
mp_core_stack_frames(PyObject *Py_UNUSED(module), PyObject *stack)
{
    const unsigned long id = PyLong_AsUnsignedLong(stack);
    struct mp_objects objects = {0};
    PyObject *frames = NULL;
    if (PyErr_Occurred())
        return NULL;
    const bool quiet = mp_hook_quiet(true);
    struct mp_symbols *symbols = mp_freeze_symbols();
    if (!symbols)
        PyErr_NoMemory();
    else if (!mp_objects_open(&objects, symbols))
        frames = NULL;
    else if (id > symbols->stacks)
        PyErr_SetString(PyExc_ValueError, "no such call stack");
    else
        frames = mp_objects_stack(&objects, (uint32_t)id);
    mp_objects_close(&objects);
    mp_hook_quiet(quiet);
    return frames;
}
