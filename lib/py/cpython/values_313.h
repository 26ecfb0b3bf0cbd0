/* Attributes of an instance without a dict, CPython 3.13 and later: the values lie within the
 * instance, behind its fields. */
#ifndef MP_VALUES_H
#define MP_VALUES_H

enum { MP_PREHEADER_FLAGS = 1 << 4, MP_INLINE_VALUES = 1 << 2 };

static inline PyObject *
mp_managed_dict(PyObject *object)
{
#ifdef Py_GIL_DISABLED
    return ((PyObject **)object)[-1];
#else
    return ((PyObject **)object)[-3];
#endif
}

/* The values in order of the type's shared keys, NULL when they are in a dict. */
static inline PyObject **
mp_instance_values(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const uint8_t *head = (const uint8_t *)object + type->tp_basicsize;
    if (!PyType_HasFeature(type, MP_INLINE_VALUES) || !head[3]) /* no longer valid */
        return NULL;
    return (PyObject **)(uintptr_t)(head + sizeof(PyObject *));
}

/* Start of the block of memory in which the values of a dict lie. */
static inline uintptr_t
mp_values_block(const void *values)
{
    return (uintptr_t)values;
}

#endif
