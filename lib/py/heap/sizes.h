/* sizes: the size of an object: of its block where the trace knows it, else from its type. */
#ifndef MP_SIZES_H
#define MP_SIZES_H

#include "py/heap/pass.h"

/* Bytes of an object with its untraced buffers, and the site of its block (0: not traced). */
uint64_t mp_sizes_measure(const struct mp_pass *pass, PyObject *object,
                          const struct mp_heap_type *type, uint32_t *site);

/* An object of a type is never smaller; what seems to be lies within another block. */
Py_ssize_t mp_sizes_least(const struct mp_heap_type *type);

/* Bytes of an object, from its head on, where references to others may lie. */
size_t mp_sizes_fields(PyObject *object, const struct mp_heap_type *type);

/* For the rows of types.c: `size`, `buffers`, `fields`. */
uint64_t mp_sizes_text(PyObject *text);
uint64_t mp_sizes_int(PyObject *number);
uint64_t mp_sizes_list_buffer(const struct mp_pass *pass, PyObject *list);
uint64_t mp_sizes_dict_buffer(const struct mp_pass *pass, PyObject *dict);
uint64_t mp_sizes_set_buffer(const struct mp_pass *pass, PyObject *set);
uint64_t mp_sizes_bytearray_buffer(const struct mp_pass *pass, PyObject *array);
uint64_t mp_sizes_numpy_buffer(const struct mp_pass *pass, PyObject *array);
size_t mp_sizes_text_fields(PyObject *text);

#endif
