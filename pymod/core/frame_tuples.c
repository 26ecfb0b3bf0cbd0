/* Symbols as Python objects: strings and tuples, each made once per snapshot. */
#include "core.h"

#include <assert.h>

PyObject *
mp_core_list(size_t count, PyObject *(*make)(size_t i, void *data), void *data)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *item = make(i, data);
        if (!item) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject **
new_slots(size_t count)
{
    return mp_mem_new(count * sizeof(PyObject *));
}

bool
mp_objects_open(struct mp_objects *objects, struct mp_symbols *symbols)
{
    *objects = (struct mp_objects){.symbols = symbols};
    objects->name = new_slots((size_t)symbols->names + 1);
    objects->frame = new_slots(((size_t)symbols->locations + 1) * 2);
    objects->stack = new_slots((size_t)symbols->stacks + 1);
    if (objects->name && objects->frame && objects->stack)
        return true;
    mp_objects_close(objects);
    PyErr_NoMemory();
    return false;
}

static void
free_slots(PyObject **slots, size_t count)
{
    for (size_t i = 0; slots && i < count; i++)
        Py_XDECREF(slots[i]);
    mp_mem_free(slots, count * sizeof(PyObject *));
}

void
mp_objects_close(struct mp_objects *objects)
{
    struct mp_symbols *symbols = objects->symbols;
    if (!symbols)
        return;
    free_slots(objects->stack, (size_t)symbols->stacks + 1);
    free_slots(objects->frame, ((size_t)symbols->locations + 1) * 2);
    free_slots(objects->name, (size_t)symbols->names + 1);
    mp_symbols_release(symbols);
    *objects = (struct mp_objects){0};
}

/* A profile file may hold any bytes. */
PyObject *
mp_core_text(struct mp_text text)
{
    PyObject *name = PyUnicode_DecodeUTF8(text.at, (Py_ssize_t)text.length, "surrogatepass");
    if (name || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return name;
    PyErr_Clear();
    return PyUnicode_DecodeUTF8(text.at, (Py_ssize_t)text.length, "replace");
}

/* Borrowed. */
static PyObject *
name_object(struct mp_objects *objects, uint32_t name)
{
    assert(name <= objects->symbols->names);
    PyObject **slot = &objects->name[name];
    if (*slot)
        return *slot;
    const struct mp_text text = mp_symbols_name(objects->symbols, name);
    if (text.length == 0)
        *slot = PyUnicode_FromString("<unknown>");
    else
        *slot = mp_core_text(text);
    return *slot;
}

PyObject *
mp_objects_name(struct mp_objects *objects, uint32_t name)
{
    return Py_XNewRef(name_object(objects, name));
}

static PyObject *
new_frame(struct mp_objects *objects, uint32_t file, uint32_t line, uint32_t function, bool folded)
{
    PyObject *file_name = name_object(objects, file);
    PyObject *function_name = file_name ? name_object(objects, function) : NULL;
    return function_name ? Py_BuildValue("(OIOO)", file_name, (unsigned int)line, function_name,
                                         folded ? Py_True : Py_False)
                         : NULL;
}

/* The frame of a location that may carry MP_FOLDED. */
static PyObject *
frame_object(struct mp_objects *objects, uint32_t location)
{
    const bool folded = location & MP_FOLDED;
    const uint32_t id = location & ~MP_FOLDED;
    assert(id <= objects->symbols->locations);
    PyObject **slot = &objects->frame[(size_t)id * 2 + folded];
    if (!*slot) {
        const struct mp_symbol_location *from = &objects->symbols->location[id];
        *slot = new_frame(objects, from->file, from->line, from->function, folded);
    }
    return Py_XNewRef(*slot);
}

static Py_ssize_t
depth_of(const struct mp_symbols *symbols, uint32_t stack)
{
    Py_ssize_t depth = 0;
    for (; stack; stack = symbols->stack[stack].parent) {
        assert(symbols->stack[stack].parent < stack);
        depth++;
    }
    return depth;
}

/* The empty stack is shown as one unknown frame. */
PyObject *
mp_objects_stack(struct mp_objects *objects, uint32_t stack)
{
    assert(stack <= objects->symbols->stacks);
    PyObject **slot = &objects->stack[stack];
    if (*slot)
        return Py_NewRef(*slot);
    Py_ssize_t at = stack ? depth_of(objects->symbols, stack) : 1;
    PyObject *frames = PyTuple_New(at);
    uint32_t id = stack;
    while (frames && at-- > 0) {
        PyObject *frame = frame_object(objects, objects->symbols->stack[id].location);
        if (!frame) {
            Py_DECREF(frames);
            return NULL;
        }
        PyTuple_SET_ITEM(frames, at, frame);
        id = objects->symbols->stack[id].parent;
    }
    *slot = frames;
    return Py_XNewRef(frames);
}

PyObject *
mp_objects_location(struct mp_objects *objects, uint32_t location)
{
    assert(location <= objects->symbols->locations);
    const struct mp_symbol_location *from = &objects->symbols->location[location];
    PyObject *file = name_object(objects, from->file);
    PyObject *function = file ? name_object(objects, from->function) : NULL;
    return function ? Py_BuildValue("(OIOI)", file, (unsigned int)from->line, function,
                                    (unsigned int)from->first_line)
                    : NULL;
}

PyObject *
mp_objects_group(struct mp_objects *objects, enum mp_group_by by, uint32_t id)
{
    PyObject *frame;
    if (by == MP_BY_STACK)
        return mp_objects_stack(objects, id);
    assert(by < MP_BYS && id <= objects->symbols->locations);
    const struct mp_symbol_location *from = &objects->symbols->location[id];
    if (by == MP_BY_LINE)
        frame = frame_object(objects, id);
    else if (by == MP_BY_FUNCTION)
        frame = new_frame(objects, from->file, from->first_line, from->function, false);
    else
        frame = new_frame(objects, from->file, 0, 0, false);
    return frame ? Py_BuildValue("(N)", frame) : NULL;
}
