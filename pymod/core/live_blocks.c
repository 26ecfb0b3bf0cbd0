/* Questions about live blocks. */
#include "core.h"

#include <assert.h>

#include "base/array.h"
#include "freeze.h"
#include "py/alloc/hook.h"
#include "py/cpython/frames.h"
#include "record/tracer.h"

/* ---- all live blocks, for tracemalloc's _get_traces ---------------------------------------- */

struct blocks {
    size_t count, capacity;
    struct block {
        uint32_t site;
        uint64_t size;
    } *items;
    bool failed;
};

static void
add_block(uint32_t site, uint64_t size, uintptr_t address, void *data)
{
    struct blocks *blocks = data;
    (void)address;
    if (!blocks->failed)
        blocks->failed = !MP_ARRAY_RESERVE(blocks->items, blocks->capacity, blocks->count + 1);
    if (!blocks->failed)
        blocks->items[blocks->count++] = (struct block){site, size};
}

/* tracemalloc's raw frames: ((filename, line), ...), the innermost first, at most `limit`. */
static PyObject *
short_frames(PyObject *stack, Py_ssize_t limit)
{
    const Py_ssize_t total = PyTuple_GET_SIZE(stack), count = total < limit ? total : limit;
    PyObject *frames = PyTuple_New(count);
    for (Py_ssize_t i = 0; frames && i < count; i++) {
        PyObject *frame = PyTuple_GetSlice(PyTuple_GET_ITEM(stack, total - 1 - i), 0, 2);
        if (!frame)
            Py_CLEAR(frames);
        else
            PyTuple_SET_ITEM(frames, i, frame);
    }
    return frames;
}

/* Borrowed, from `cache`, a list by stack id: (frames, total number of frames). */
static PyObject *
cached_frames(struct mp_objects *objects, PyObject *cache, uint32_t stack, Py_ssize_t limit)
{
    assert(limit > 0 && (Py_ssize_t)stack < PyList_GET_SIZE(cache));
    PyObject *item = PyList_GET_ITEM(cache, stack);
    if (item != Py_None)
        return item;
    PyObject *full = mp_objects_stack(objects, stack);
    PyObject *frames = full ? short_frames(full, limit) : NULL;
    item = frames ? Py_BuildValue("(Nn)", frames, PyTuple_GET_SIZE(full)) : NULL;
    Py_XDECREF(full);
    if (!item)
        return NULL;
    PyList_SetItem(cache, stack, item);
    return item;
}

static PyObject *
trace_of(struct mp_objects *objects, PyObject *cache, const struct block *block, Py_ssize_t limit)
{
    const struct mp_site *site = mp_depot_site_at(&mp_tracer.depot, block->site);
    PyObject *frames = cached_frames(objects, cache, site->stack, limit);
    return frames ? Py_BuildValue("(IKOO)", (unsigned int)site->domain,
                                  (unsigned long long)block->size, PyTuple_GET_ITEM(frames, 0),
                                  PyTuple_GET_ITEM(frames, 1))
                  : NULL;
}

static PyObject *
list_traces(const struct blocks *blocks, struct mp_objects *objects, Py_ssize_t limit)
{
    const Py_ssize_t stacks = (Py_ssize_t)objects->symbols->stacks + 1;
    PyObject *cache = PyList_New(stacks);
    for (Py_ssize_t i = 0; cache && i < stacks; i++)
        PyList_SET_ITEM(cache, i, Py_NewRef(Py_None));
    PyObject *list = cache ? PyList_New((Py_ssize_t)blocks->count) : NULL;
    for (size_t i = 0; list && i < blocks->count; i++) {
        PyObject *trace = trace_of(objects, cache, &blocks->items[i], limit);
        if (!trace)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, trace);
    }
    Py_XDECREF(cache);
    return list;
}

static PyObject *
live_traces(PyObject *Py_UNUSED(module), PyObject *limit)
{
    const Py_ssize_t frames = PyLong_AsSsize_t(limit);
    if (frames == -1 && PyErr_Occurred())
        return NULL;
    if (frames < 1) {
        PyErr_SetString(PyExc_ValueError, "limit must be 1 or more");
        return NULL;
    }
    struct blocks blocks = {0};
    struct mp_objects objects = {0};
    PyObject *list = NULL;
    const bool quiet = mp_hook_quiet(true);
    mp_tracer_each(add_block, &blocks);
    struct mp_symbols *symbols = blocks.failed ? NULL : mp_freeze_symbols();
    if (!symbols)
        PyErr_NoMemory();
    else if (mp_objects_open(&objects, symbols))
        list = list_traces(&blocks, &objects, frames);
    mp_objects_close(&objects);
    mp_mem_free(blocks.items, blocks.capacity * sizeof *blocks.items);
    mp_hook_quiet(quiet);
    return list;
}

/* ---- one object ---------------------------------------------------------------------------- */

static PyObject *
live_object_stack(PyObject *Py_UNUSED(module), PyObject *object)
{
    const uintptr_t address = (uintptr_t)object - mp_object_presize(Py_TYPE(object));
    struct mp_objects objects = {0};
    struct mp_entry entry;
    if (!mp_tracer_is_active() || !mp_tracer_look_up(address, &entry))
        Py_RETURN_NONE;
    const uint32_t stack =
        mp_depot_site_at(&mp_tracer.depot, entry.word & MP_SITE_MASK)->stack;
    PyObject *frames = NULL;
    const bool quiet = mp_hook_quiet(true);
    struct mp_symbols *symbols = mp_freeze_symbols();
    if (!symbols)
        PyErr_NoMemory();
    else if (mp_objects_open(&objects, symbols))
        frames = mp_objects_stack(&objects, stack);
    mp_objects_close(&objects);
    mp_hook_quiet(quiet);
    return frames;
}

/* ---- the functions ------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"traces", live_traces, METH_O, "traces(limit): tracemalloc's raw traces"},
    {"object_stack", live_object_stack, METH_O, "Frames of an object's allocation, or None."},
    {0},
};

int
mp_core_add_live_blocks(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
