/* roots: from where objects are held: modules, running frames, the data of threads. */
#ifndef MP_ROOTS_H
#define MP_ROOTS_H

#include "py/heap/pass.h"

/* The objects that they hold become nodes. The stacks last, when all objects are known. */
void mp_roots_find(struct mp_pass *pass);
void mp_roots_find_stacks(struct mp_pass *pass);

/* A root by a name of C code; none for NULL. */
void mp_roots_add_named(struct mp_pass *pass, enum mp_root_kind kind, const char *name,
                        PyObject *object);

#endif
