/* hidden: what traverse functions do not tell: references that make no cycles, and those in the
 * fields of objects whose types have no such function. */
#ifndef MP_HIDDEN_H
#define MP_HIDDEN_H

#include "py/heap/pass.h"

/* When all objects and the owners of buffers are known: edges that only a look at the fields
 * shows. */
void mp_hidden_find(struct mp_pass *pass);

/* For the rows of types.c: `untold`. */
void mp_hidden_in_code(struct mp_pass *pass, PyObject *code);
void mp_hidden_in_type(struct mp_pass *pass, PyObject *type);
void mp_hidden_in_dict(struct mp_pass *pass, PyObject *dict);

#endif
