/* _core.Lines: the counters of the lines of one function. */
#include "core.h"

#include <assert.h>

#include "os/process.h"
#include "py/lines/activations.h"
#include "py/alloc/hook.h"
#include "py/lines/events.h"
#include "py/lines/selection.h"

struct lines_object {
    PyObject_HEAD
    struct mp_lines *lines;
    PyObject *codes;    /* tuple of (code, is_part) while selected, else NULL */
    Py_ssize_t watched; /* how many of them are */
};

static int
parse_options(PyObject *args, PyObject *kwargs, struct mp_lines_options *options)
{
    static char *names[] = {"first", "count", "every_line", "children", "metric", NULL};
    int every_line = 0, children = 0, metric = MP_RSS;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ii|ppi:Lines", names, &options->first,
                                     &options->count, &every_line, &children, &metric))
        return -1;
    options->every_line = every_line;
    options->children = children;
    options->metric = (enum mp_process_metric)metric;
    if (metric >= 0 && metric < MP_PROCESS_METRICS && options->first >= 0 && options->count > 0)
        return 0;
    PyErr_SetString(PyExc_ValueError, "no lines");
    return -1;
}

static PyObject *
lines_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct mp_lines_options options = {0};
    if (parse_options(args, kwargs, &options))
        return NULL;
    struct lines_object *self = (struct lines_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->lines = mp_lines_new(&options);
    if (!self->lines) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
deselect(struct lines_object *self)
{
    PyObject *codes = self->codes;
    struct mp_thread *thread = mp_thread_self();
    if (!codes)
        return;
    mp_selection_remove(self->lines);
    if (thread)
        mp_activation_close(thread, self->lines);
    assert(self->watched <= PyTuple_GET_SIZE(codes));
    for (Py_ssize_t i = 0; i < self->watched; i++)
        mp_line_events_unwatch((PyCodeObject *)PyTuple_GET_ITEM(PyTuple_GET_ITEM(codes, i), 0));
    self->watched = 0;
    self->codes = NULL;
    Py_DECREF(codes);
}

static int
check_codes(PyObject *codes)
{
    for (Py_ssize_t i = 0; PyTuple_Check(codes) && i < PyTuple_GET_SIZE(codes); i++) {
        PyObject *pair = PyTuple_GET_ITEM(codes, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
            !PyCode_Check(PyTuple_GET_ITEM(pair, 0)))
            break;
        if (i == PyTuple_GET_SIZE(codes) - 1)
            return 0;
    }
    PyErr_SetString(PyExc_TypeError, "expected a tuple of (code, is_part)");
    return -1;
}

static int
select_code(struct lines_object *self, PyObject *pair)
{
    PyCodeObject *code = (PyCodeObject *)PyTuple_GET_ITEM(pair, 0);
    const int is_part = PyObject_IsTrue(PyTuple_GET_ITEM(pair, 1));
    if (mp_selection_add(self->lines, code, is_part == 1) != MP_OK) {
        PyErr_NoMemory();
        return -1;
    }
    if (mp_line_events_watch(code))
        return -1;
    self->watched++;
    return 0;
}

static PyObject *
lines_select(PyObject *object, PyObject *codes)
{
    struct lines_object *self = (struct lines_object *)object;
    if (self->codes || !mp_interpreter_is_main()) {
        PyErr_SetString(PyExc_RuntimeError, self->codes ? "selected already"
                                                        : "lines are profiled in the main "
                                                          "interpreter only");
        return NULL;
    }
    if (check_codes(codes))
        return NULL;
    assert(self->watched == 0);
    self->codes = Py_NewRef(codes);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(codes); i++)
        if (select_code(self, PyTuple_GET_ITEM(codes, i))) {
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            deselect(self);
            PyErr_Restore(type, value, traceback);
            return NULL;
        }
    Py_RETURN_NONE;
}

static PyObject *
lines_deselect(PyObject *object, PyObject *Py_UNUSED(unused))
{
    deselect((struct lines_object *)object);
    Py_RETURN_NONE;
}

static PyObject *
line_tuple(int line, const struct mp_line *it)
{
    return Py_BuildValue("(iLLLLLLL)", line, (long long)it->hits, (long long)it->allocated,
                         (long long)it->freed, (long long)it->peak,
                         (long long)(it->level == INT64_MIN ? 0 : it->level), (long long)it->rss,
                         (long long)it->rss_change);
}

static PyObject *
lines_read(PyObject *object, PyObject *Py_UNUSED(unused))
{
    const struct mp_lines *lines = ((struct lines_object *)object)->lines;
    const int first = lines->options.first;
    PyObject *rows = PyList_New(0);
    for (int line = first; rows && line < first + lines->options.count; line++) {
        struct mp_line sum;
        if (!mp_lines_read(lines, line, &sum))
            continue;
        PyObject *row = line_tuple(line, &sum);
        if (!row || PyList_Append(rows, row))
            Py_CLEAR(rows);
        Py_XDECREF(row);
    }
    return rows;
}

static PyObject *
lines_baseline(PyObject *object, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLongLong(atomic_load(&((struct lines_object *)object)->lines->baseline));
}

static void
lines_dealloc(PyObject *object)
{
    struct lines_object *self = (struct lines_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *error_type, *value, *traceback;
    PyErr_Fetch(&error_type, &value, &traceback);
    deselect(self);
    PyErr_Restore(error_type, value, traceback);
    if (self->lines)
        mp_lines_release(self->lines);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"select", lines_select, METH_O,
     "select(((code, is_part), ...)): from now on these codes' lines count"},
    {"deselect", lines_deselect, METH_NOARGS, "End that."},
    {"read", lines_read, METH_NOARGS,
     "[(line, hits, allocated, freed, peak, level, rss, rss_change)] of lines that were reached"},
    {"baseline", lines_baseline, METH_NOARGS, "Resident bytes at the first call; -1: none"},
    {0},
};

static PyType_Slot type_slots[] = {
    {Py_tp_new, (void *)(uintptr_t)lines_new},
    {Py_tp_dealloc, (void *)(uintptr_t)lines_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec type_spec = {
    .name = "memprof._core.Lines",
    .basicsize = sizeof(struct lines_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = type_slots,
};

int
mp_core_add_lines(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &type_spec, NULL);
    const int failed = type ? PyModule_AddObjectRef(module, "Lines", type) : -1;
    Py_XDECREF(type);
    return failed;
}
