/* What sys.monitoring keeps for a code object, CPython 3.11: there is no such module yet. */
#ifndef MP_MONITORING_H
#define MP_MONITORING_H

#include "py/cpython/compat.h"

enum { MP_CODE_BUFFERS = 1 };

static inline void
mp_code_buffers(const PyCodeObject *code, const void *buffers[MP_CODE_BUFFERS])
{
    (void)code;
    buffers[0] = NULL;
}

#endif
