/* What a bytearray's bytes lie in, CPython 3.15 and later: a bytes object of its own, which
 * nobody else knows until the array gives it away. An empty array has the empty bytes. */
#ifndef MP_BYTEARRAY_H
#define MP_BYTEARRAY_H

enum { MP_BYTEARRAY_HAS_BYTES = 1 };

static inline const void *
mp_bytearray_block(const PyByteArrayObject *array)
{
    return array->ob_alloc ? array->ob_bytes_object : NULL;
}

static inline Py_ssize_t
mp_bytearray_block_size(const PyByteArrayObject *array)
{
    return array->ob_alloc + PyBytes_Type.tp_basicsize;
}

#endif
