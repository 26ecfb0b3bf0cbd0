/* text: Python strings as UTF-8 in memory of ours, without any allocation by Python.
 *
 * Lone surrogates become three bytes (Python's "surrogatepass"). */
#ifndef MP_TEXT_H
#define MP_TEXT_H

#include "py/cpython/compat.h"

/* Encode one character; returns the number of bytes. */
size_t mp_text_put(Py_UCS4 c, char out[4]);

/* Encode an exact str into `out`, at most `size` bytes and whole characters; not terminated.
 * Returns the number of bytes; 0 for what is no exact str. */
size_t mp_text_encode(PyObject *text, char *out, size_t size);

/* Is it an exact str with this ASCII text? */
bool mp_text_is(PyObject *text, const char *ascii);

#endif
