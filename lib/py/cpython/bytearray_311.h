/* What a bytearray's bytes lie in, CPython 3.11 to 3.14: a buffer. */
#ifndef MP_BYTEARRAY_H
#define MP_BYTEARRAY_H

enum { MP_BYTEARRAY_HAS_BYTES = 0 };

static inline const void *
mp_bytearray_block(const PyByteArrayObject *array)
{
    return array->ob_bytes;
}

static inline Py_ssize_t
mp_bytearray_block_size(const PyByteArrayObject *array)
{
    return array->ob_alloc;
}

#endif
