/* dict_keys: the table of a dict, and of the attributes of instances; from 3.11 to 3.15 (struct
 * _dictkeysobject in pycore_dict.h). */
#ifndef MP_DICT_KEYS_H
#define MP_DICT_KEYS_H

#include "py/cpython/compat.h"

enum {
    MP_KEYS_LOG_SIZE = 8,
    MP_KEYS_LOG_INDEX = 9,
    MP_KEYS_KIND = 10,
    MP_KEYS_ENTRIES_USED = 24,
    MP_KEYS_HEADER = 32,
    MP_KEYS_LOG_LARGEST = 40 /* what claims to be larger is no table */
};

/* Is each key an exact str? Then a dict's traverse function leaves the keys out. */
static inline bool
mp_keys_are_texts(const void *keys)
{
    return ((const uint8_t *)keys)[MP_KEYS_KIND] != 0;
}

/* Is the table of several dicts, or that of all empty ones? */
static inline bool
mp_keys_are_shared(const void *keys)
{
    return *(const Py_ssize_t *)keys != 1;
}

/* Bytes of a table; 0 for what is none. */
static inline uint64_t
mp_keys_size(const void *keys)
{
    const uint8_t *bytes = keys;
    if (bytes[MP_KEYS_LOG_SIZE] > MP_KEYS_LOG_LARGEST)
        return 0;
    const uint64_t entries = ((uint64_t)2 << bytes[MP_KEYS_LOG_SIZE]) / 3;
    return MP_KEYS_HEADER + ((uint64_t)1 << bytes[MP_KEYS_LOG_INDEX]) +
           entries * (mp_keys_are_texts(keys) ? 16 : 24);
}

/* The i-th key of a table of texts, from 0 to mp_keys_used(). */
static inline PyObject *
mp_keys_text(const void *keys, Py_ssize_t i)
{
    const char *bytes = keys;
    const size_t index = (size_t)1 << bytes[MP_KEYS_LOG_INDEX];
    return ((PyObject *const *)(const void *)(bytes + MP_KEYS_HEADER + index))[2 * i];
}

static inline Py_ssize_t
mp_keys_used(const void *keys)
{
    return *(const Py_ssize_t *)(const void *)((const char *)keys + MP_KEYS_ENTRIES_USED);
}

#endif
