/* The size of an object: of its block where the trace knows it, else from its type. */
#include "py/heap/heap.h"

#include "py/cpython/values.h"
#include "record/tracer.h"

/* A dict's table, from 3.11 to 3.15 (struct _dictkeysobject in pycore_dict.h). */
enum { KEYS_LOG_SIZE = 8, KEYS_LOG_INDEX = 9, KEYS_KIND = 10, KEYS_HEADER = 32 };

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

static uint64_t
keys_size(const void *keys)
{
    const uint8_t *bytes = keys;
    const uint64_t entries = ((uint64_t)2 << bytes[KEYS_LOG_SIZE]) / 3;
    const bool general = bytes[KEYS_KIND] == 0;
    const bool shared = *(const Py_ssize_t *)keys != 1; /* or that of all empty dicts */
    if (shared || bytes[KEYS_LOG_SIZE] > 40)
        return 0;
    return KEYS_HEADER + ((uint64_t)1 << bytes[KEYS_LOG_INDEX]) + entries * (general ? 24 : 16);
}

bool
mp_dict_has_text_keys(PyObject *dict)
{
    const uint8_t *keys = (const uint8_t *)((PyDictObject *)dict)->ma_keys;
    return keys && keys[KEYS_KIND] != 0;
}

static uint64_t
text_size(PyObject *text)
{
    if (!mp_text_is_ready(text) || !PyUnicode_IS_COMPACT(text))
        return sizeof(PyUnicodeObject);
    const uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(text) + 1;
    if (PyUnicode_IS_ASCII(text))
        return sizeof(PyASCIIObject) + length;
    return sizeof(PyCompactUnicodeObject) + length * (uint64_t)PyUnicode_KIND(text);
}

/* Of the object's own block. */
static uint64_t
estimate(PyObject *object, PyTypeObject *type)
{
    const uint64_t size = mp_object_presize(type) + (uint64_t)type->tp_basicsize;
    Py_ssize_t items = 0;
    if (PyUnicode_Check(object))
        return text_size(object) + (type == &PyUnicode_Type ? 0 : size - sizeof(PyUnicodeObject));
    if (type->tp_itemsize == 0)
        return size;
    items = PyLong_Check(object) ? (Py_ssize_t)mp_int_digits(object) : Py_SIZE(object);
    if (items < 0 || items > (Py_ssize_t)1 << 40)
        items = 0;
    return size + (uint64_t)items * (uint64_t)type->tp_itemsize;
}

/* Of the buffers of built-in containers that were allocated before the trace. */
static uint64_t
estimate_buffers(PyObject *object)
{
    if (PyList_Check(object)) {
        const PyListObject *list = (const PyListObject *)object;
        return untraced(list->ob_item, (uint64_t)list->allocated * sizeof(PyObject *));
    }
    if (PyDict_Check(object)) {
        const PyDictObject *dict = (const PyDictObject *)object;
        return dict->ma_keys ? untraced(dict->ma_keys, keys_size(dict->ma_keys)) : 0;
    }
    if (PyByteArray_Check(object)) {
        const PyByteArrayObject *array = (const PyByteArrayObject *)object;
        return untraced(mp_bytearray_block(array), (uint64_t)mp_bytearray_block_size(array));
    }
    if (PyAnySet_Check(object)) {
        const PySetObject *set = (const PySetObject *)object;
        return set->table == set->smalltable
                   ? 0
                   : untraced(set->table, ((uint64_t)set->mask + 1) * sizeof(setentry));
    }
    return 0;
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
static uint64_t
estimate_array(const struct mp_heap *heap, PyObject *object)
{
    const struct array_fields *array = (const struct array_fields *)(const void *)(object + 1);
    const size_t size = sizeof *array->shape;
    if (Py_TYPE(object)->tp_basicsize < (Py_ssize_t)(sizeof *object + sizeof *array) ||
        !(array->flags & ARRAY_OWNS_DATA) || !(array->flags & ARRAY_CONTIGUOUS) ||
        array->dimensions < 1 || array->dimensions > ARRAY_DIMENSIONS ||
        !mp_heap_can_read(heap, array->shape, size) || !mp_heap_can_read(heap, array->strides, size))
        return 0;
    const Py_ssize_t count = array->shape[0], step = array->strides[0];
    if (count < 0 || step < 0 || (step && count > ((Py_ssize_t)1 << 40) / step))
        return 0;
    return untraced(array->data, (uint64_t)count * (uint64_t)step);
}

Py_ssize_t
mp_heap_least_size(const PyTypeObject *type)
{
    return type == &PyUnicode_Type ? (Py_ssize_t)sizeof(PyASCIIObject)
                                   : type->tp_basicsize - (Py_ssize_t)sizeof(void *);
}

size_t
mp_heap_fields_size(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const size_t size = (size_t)type->tp_basicsize, presize = mp_object_presize(type);
    struct mp_entry entry;
    if (type == &PyUnicode_Type && PyUnicode_IS_COMPACT(object))
        return PyUnicode_IS_ASCII(object) ? sizeof(PyObject) : sizeof(PyCompactUnicodeObject);
    if (type->tp_alloc == PyType_GenericAlloc)
        return size;
    /* its own allocator may make smaller ones: a datetime without a time zone has no room for one */
    if (mp_tracer_is_active() && mp_tracer_look_up((uintptr_t)object - presize, &entry))
        return entry.size < presize + size ? entry.size - presize : size;
    return (size_t)mp_heap_least_size(type);
}

uint64_t
mp_heap_measure(const struct mp_heap *heap, PyObject *object, uint32_t type_flags, uint32_t *site)
{
    PyTypeObject *type = Py_TYPE(object);
    const uint64_t buffers = type_flags & MP_TYPE_IS_ARRAY ? estimate_array(heap, object)
                                                           : estimate_buffers(object);
    struct mp_entry entry;
    *site = 0;
    if (mp_tracer_is_active() &&
        mp_tracer_look_up((uintptr_t)object - mp_object_presize(type), &entry) &&
        entry.size >= mp_object_presize(type) + (uint64_t)mp_heap_least_size(type)) {
        *site = entry.word & MP_SITE_MASK;
        return entry.size + buffers;
    }
    return estimate(object, type) + buffers;
}
