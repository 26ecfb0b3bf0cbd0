/* literals: how a key of a dict is written: 'by-id', 3, b'x'. For the rows of types.c. */
#ifndef MP_LITERALS_H
#define MP_LITERALS_H

#include "py/cpython/compat.h"

/* Write at most `size` bytes, at least 256; the length. 0 for what has no short literal. */
size_t mp_literal_text(PyObject *key, char *out, size_t size);
size_t mp_literal_bytes(PyObject *key, char *out, size_t size);
size_t mp_literal_int(PyObject *key, char *out, size_t size);
size_t mp_literal_bool(PyObject *key, char *out, size_t size);
size_t mp_literal_none(PyObject *key, char *out, size_t size);

#endif
