/* _core.Column: numbers that lie in memory of the core, one every so many bytes, as a buffer. It
 * copies nothing: a memoryview of it reads them where they are, and keeps their owner alive. */
#include "core.h"

#include <assert.h>

struct column_object {
    PyObject_HEAD
    PyObject *owner;
    const void *at;
    const char *format;
    Py_ssize_t count, stride, size;
};

static bool
is_contiguous(const struct column_object *self)
{
    return self->stride == self->size || self->count <= 1;
}

static bool
wants_contiguous(int flags)
{
    return (flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
           (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
           (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS ||
           (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
}

static int
column_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    struct column_object *self = (struct column_object *)object;
    view->obj = NULL;
    if (flags & PyBUF_WRITABLE || (wants_contiguous(flags) && !is_contiguous(self))) {
        PyErr_SetString(PyExc_BufferError, "numbers of a snapshot: read-only, not side by side");
        return -1;
    }
    *view = (Py_buffer){
        .buf = (void *)(uintptr_t)self->at,
        .obj = Py_NewRef(object),
        .len = self->count * self->size,
        .itemsize = self->size,
        .readonly = 1,
        .ndim = 1,
        .format = flags & PyBUF_FORMAT ? (char *)(uintptr_t)self->format : NULL,
        .shape = flags & PyBUF_ND ? &self->count : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &self->stride : NULL,
    };
    return 0;
}

static void
column_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_DECREF(((struct column_object *)object)->owner);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)"Numbers of the core, in place: see memoryview."},
    {Py_tp_dealloc, (void *)(uintptr_t)column_dealloc},
    {Py_bf_getbuffer, (void *)(uintptr_t)column_get_buffer},
    {0},
};

static PyType_Spec spec = {
    .name = "memprof._core.Column",
    .basicsize = sizeof(struct column_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int
mp_core_add_columns(PyObject *module)
{
    struct mp_core_state *state = PyModule_GetState(module);
    state->column_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->column_type ? 0 : -1;
}

static Py_ssize_t
size_of(char format)
{
    switch (format) {
    case 'B': return 1;
    case 'I': return 4;
    default: return 8; /* Q, q */
    }
}

PyObject *
mp_core_column(PyObject *owner, const struct mp_column *column)
{
    struct mp_core_state *state = PyType_GetModuleState(Py_TYPE(owner));
    struct column_object *self = PyObject_New(struct column_object, state->column_type);
    if (!self)
        return NULL;
    self->owner = Py_NewRef(owner);
    self->at = column->at;
    self->format = column->format;
    self->size = size_of(*column->format);
    self->count = (Py_ssize_t)column->count;
    self->stride = (Py_ssize_t)column->stride;
    assert(self->stride >= self->size && (uintptr_t)self->at % (size_t)self->size == 0);
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}
