/* Attributes of an instance without a dict, CPython 3.12: as in 3.11, but one word in front of
 * the instance has either the dict or, with its lowest bit set, the address of the values. */
#ifndef MP_VALUES_H
#define MP_VALUES_H

enum { MP_PREHEADER_FLAGS = 1 << 4 }; /* MANAGED_DICT */

static inline PyObject *
mp_managed_dict(PyObject *object)
{
    const uintptr_t word = ((uintptr_t *)object)[-3];
    return word & 1 ? NULL : (PyObject *)word;
}

/* The values in order of the type's shared keys, NULL when they are in a dict. */
static inline PyObject **
mp_instance_values(PyObject *object)
{
    const uintptr_t word = ((uintptr_t *)object)[-3];
    return word & 1 ? (PyObject **)(word + 1) : NULL;
}

/* Start of the block of memory in which such values, or those of a dict, lie. */
static inline uintptr_t
mp_values_block(const void *values)
{
    return (uintptr_t)values - ((const uint8_t *)values)[-1];
}

#endif
