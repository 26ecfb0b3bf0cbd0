/* classes: which pointers are types, and what they are called. */
#ifndef MP_CLASSES_H
#define MP_CLASSES_H

#include "py/heap/pass.h"

/* Index of a type in the heap, added when it is met for the first time; 0 for what is none. */
uint32_t mp_classes_add(struct mp_pass *pass, PyTypeObject *type);

#endif
