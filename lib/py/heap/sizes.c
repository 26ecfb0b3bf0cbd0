#include "py/heap/sizes.h"

#include "py/cpython/values.h"
#include "py/heap/dict_keys.h"
#include "py/heap/types.h"
#include "record/tracer.h"

/* ---- the object's own block --------------------------------------------------------------- */

static uint64_t
fixed_size(const PyTypeObject *type)
{
    return mp_object_presize((PyTypeObject *)(uintptr_t)type) + (uint64_t)type->tp_basicsize;
}

static uint64_t
size_of_items(PyObject *object, Py_ssize_t items)
{
    const PyTypeObject *type = Py_TYPE(object);
    if (items < 0 || items > (Py_ssize_t)1 << 40)
        items = 0;
    return fixed_size(type) + (uint64_t)items * (uint64_t)type->tp_itemsize;
}

static uint64_t
size_of_characters(PyObject *text)
{
    if (!mp_text_is_ready(text) || !PyUnicode_IS_COMPACT(text))
        return sizeof(PyUnicodeObject);
    const uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(text) + 1;
    if (PyUnicode_IS_ASCII(text))
        return sizeof(PyASCIIObject) + length;
    return sizeof(PyCompactUnicodeObject) + length * (uint64_t)PyUnicode_KIND(text);
}

uint64_t
mp_sizes_text(PyObject *text)
{
    return size_of_characters(text) + fixed_size(Py_TYPE(text)) - sizeof(PyUnicodeObject);
}

uint64_t
mp_sizes_int(PyObject *number)
{
    return size_of_items(number, (Py_ssize_t)mp_int_digits(number));
}

static uint64_t
estimate(PyObject *object, const struct mp_type_row *row)
{
    if (row->size)
        return row->size(object);
    return Py_TYPE(object)->tp_itemsize ? size_of_items(object, Py_SIZE(object))
                                        : fixed_size(Py_TYPE(object));
}

/* ---- buffers of built-in containers that were allocated before the trace ------------------ */

static bool
is_traced(uintptr_t address)
{
    struct mp_entry entry;
    return mp_tracer_is_active() && mp_tracer_look_up(address, &entry);
}

static uint64_t
untraced(const void *block, uint64_t size)
{
    return block && !is_traced((uintptr_t)block) ? size : 0;
}

uint64_t
mp_sizes_list_buffer(const struct mp_pass *pass, PyObject *object)
{
    const PyListObject *list = (const PyListObject *)object;
    (void)pass;
    return untraced(list->ob_item, (uint64_t)list->allocated * sizeof(PyObject *));
}

uint64_t
mp_sizes_dict_buffer(const struct mp_pass *pass, PyObject *object)
{
    const void *keys = ((const PyDictObject *)object)->ma_keys;
    (void)pass;
    return keys && !mp_keys_are_shared(keys) ? untraced(keys, mp_keys_size(keys)) : 0;
}

uint64_t
mp_sizes_set_buffer(const struct mp_pass *pass, PyObject *object)
{
    const PySetObject *set = (const PySetObject *)object;
    (void)pass;
    return set->table == set->smalltable
               ? 0
               : untraced(set->table, ((uint64_t)set->mask + 1) * sizeof(setentry));
}

uint64_t
mp_sizes_bytearray_buffer(const struct mp_pass *pass, PyObject *object)
{
    const PyByteArrayObject *array = (const PyByteArrayObject *)object;
    (void)pass;
    return untraced(mp_bytearray_block(array), (uint64_t)mp_bytearray_block_size(array));
}

/* The fields of a numpy array after the head (PyArrayObject_fields, part of numpy's ABI). */
struct array_fields {
    char *data;
    int dimensions;
    Py_ssize_t *shape, *strides;
    PyObject *base, *dtype;
    int flags;
};

enum { ARRAY_CONTIGUOUS = 1, ARRAY_OWNS_DATA = 4, ARRAY_DIMENSIONS = 64 };

/* Of the data that a numpy array owns: numpy may have it from malloc, which is not traced. */
uint64_t
mp_sizes_numpy_buffer(const struct mp_pass *pass, PyObject *object)
{
    const struct array_fields *array = (const struct array_fields *)(const void *)(object + 1);
    const size_t size = sizeof *array->shape;
    if (Py_TYPE(object)->tp_basicsize < (Py_ssize_t)(sizeof *object + sizeof *array) ||
        !(array->flags & ARRAY_OWNS_DATA) || !(array->flags & ARRAY_CONTIGUOUS) ||
        array->dimensions < 1 || array->dimensions > ARRAY_DIMENSIONS ||
        !mp_pass_can_read(pass, array->shape, size) ||
        !mp_pass_can_read(pass, array->strides, size))
        return 0;
    const Py_ssize_t count = array->shape[0], step = array->strides[0];
    if (count < 0 || step < 0 || (step && count > ((Py_ssize_t)1 << 40) / step))
        return 0;
    return untraced(array->data, (uint64_t)count * (uint64_t)step);
}

/* ---- parts of an object ------------------------------------------------------------------- */

Py_ssize_t
mp_sizes_least(const struct mp_heap_type *type)
{
    const Py_ssize_t least = mp_row_of_type(type)->least;
    const PyTypeObject *of = (const PyTypeObject *)type->identity;
    return least ? least : of->tp_basicsize - (Py_ssize_t)sizeof(void *);
}

size_t
mp_sizes_text_fields(PyObject *text)
{
    if (!PyUnicode_IS_COMPACT(text))
        return 0;
    return PyUnicode_IS_ASCII(text) ? sizeof(PyObject) : sizeof(PyCompactUnicodeObject);
}

size_t
mp_sizes_fields(PyObject *object, const struct mp_heap_type *type)
{
    const struct mp_type_row *row = mp_row_of_type(type);
    PyTypeObject *of = Py_TYPE(object);
    const size_t known = row->fields ? row->fields(object) : 0;
    const size_t size = (size_t)of->tp_basicsize, presize = mp_object_presize(of);
    struct mp_entry entry;
    if (known)
        return known;
    if (of->tp_alloc == PyType_GenericAlloc)
        return size;
    /* its own allocator may make smaller ones: a datetime without a time zone has no room for it */
    if (mp_tracer_is_active() && mp_tracer_look_up((uintptr_t)object - presize, &entry))
        return entry.size < presize + size ? entry.size - presize : size;
    return (size_t)mp_sizes_least(type);
}

/* ---- all of it ---------------------------------------------------------------------------- */

uint64_t
mp_sizes_measure(const struct mp_pass *pass, PyObject *object, const struct mp_heap_type *type,
                 uint32_t *site)
{
    const struct mp_type_row *row = mp_row_of_type(type);
    const size_t presize = mp_object_presize(Py_TYPE(object));
    const uint64_t buffers = row->buffers ? row->buffers(pass, object) : 0;
    struct mp_entry entry;
    assert(type->identity == (uintptr_t)Py_TYPE(object));
    *site = 0;
    if (mp_tracer_is_active() && mp_tracer_look_up((uintptr_t)object - presize, &entry) &&
        entry.size >= presize + (uint64_t)mp_sizes_least(type)) {
        *site = entry.word & MP_SITE_MASK;
        return entry.size + buffers;
    }
    return estimate(object, row) + buffers;
}
