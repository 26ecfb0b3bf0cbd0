/* Attributes of an instance without a dict, CPython 3.11: a block of values beside it. */
#ifndef MP_VALUES_H
#define MP_VALUES_H

enum { MP_PREHEADER_FLAGS = 1 << 4 }; /* MANAGED_DICT */

static inline PyObject *
mp_managed_dict(PyObject *object)
{
    return ((PyObject **)object)[-3];
}

/* The values in order of the type's shared keys, NULL when they are in a dict. */
static inline PyObject **
mp_instance_values(PyObject *object)
{
    return ((PyObject ***)object)[-4];
}

/* Start of the block of memory in which such values, or those of a dict, lie. */
static inline uintptr_t
mp_values_block(const void *values)
{
    return (uintptr_t)values - ((const uint8_t *)values)[-1];
}

#endif
