/* values: what belongs to an object and lies beside it or behind it: the dict and the values of an
 * instance, the bytes of a bytearray.
 *
 * Plain loads of memory that can be read; no references are taken.
 */
#ifndef MP_VALUES_H
#define MP_VALUES_H

#include "base/debug.h"
#include "py/cpython/compat.h"

/* ---- instances of types with MP_PREHEADER_FLAGS --------------------------------------- */

/* The dict, or NULL. */
static inline PyObject *
mp_managed_dict(PyObject *object)
{
    assert(PyType_HasFeature(Py_TYPE(object), MP_PREHEADER_FLAGS));
    const uintptr_t word = ((const uintptr_t *)object)[MP_DICT_WORD];
    return word & MP_DICT_TAG ? NULL : (PyObject *)word;
}

/* For types that have the values of their instances within them. */
static inline PyObject **
mp_inline_values(PyObject *object)
{
    enum { VALID = 3 }; /* of the bytes in front of the values: whether they are in use */
    PyTypeObject *type = Py_TYPE(object);
    const uint8_t *head = (const uint8_t *)object + type->tp_basicsize;
    if (!PyType_HasFeature(type, MP_VALUES_INLINE) || !head[VALID])
        return NULL;
    return (PyObject **)(uintptr_t)(head + sizeof(PyObject *));
}

/* The values in order of the type's shared keys, NULL when they are in a dict. */
static inline PyObject **
mp_instance_values(PyObject *object)
{
    assert(PyType_HasFeature(Py_TYPE(object), MP_PREHEADER_FLAGS));
    if (MP_VALUES_INLINE)
        return mp_inline_values(object);
    const uintptr_t word = ((const uintptr_t *)object)[MP_VALUES_WORD];
    return (word & MP_DICT_TAG) == MP_DICT_TAG ? (PyObject **)(word + MP_DICT_TAG) : NULL;
}

/* Start of the block of memory in which such values, or those of a dict, lie. */
static inline uintptr_t
mp_values_block(const void *values)
{
    assert(values);
    return (uintptr_t)values - (MP_VALUES_HAVE_PREFIX ? ((const uint8_t *)values)[-1] : 0);
}

/* ---- bytearrays ------------------------------------------------------------------------- */

static inline const void *
mp_bytearray_block(const PyByteArrayObject *array)
{
    assert(array->ob_alloc >= 0);
    return array->ob_alloc || !MP_BYTEARRAY_HAS_BYTES ? MP_BYTEARRAY_BLOCK(array) : NULL;
}

/* In bytes. */
static inline Py_ssize_t
mp_bytearray_block_size(const PyByteArrayObject *array)
{
    return array->ob_alloc + (MP_BYTEARRAY_HAS_BYTES ? PyBytes_Type.tp_basicsize : 0);
}

#endif
