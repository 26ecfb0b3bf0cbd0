/* What sys.monitoring keeps for a code object, CPython 3.12 and later. */
#ifndef MP_MONITORING_H
#define MP_MONITORING_H

#include "py/cpython/compat.h"

enum { MP_CODE_BUFFERS = 6 };

/* Its blocks, NULLs among them. What else is in the first one may never have been written. */
static inline void
mp_code_buffers(const PyCodeObject *code, const void *buffers[MP_CODE_BUFFERS])
{
    const _PyCoMonitoringData *data = code->_co_monitoring;
    buffers[0] = data;
    buffers[1] = data ? data->tools : NULL;
    buffers[2] = data ? data->lines : NULL;
    buffers[3] = data ? data->line_tools : NULL;
    buffers[4] = data ? data->per_instruction_opcodes : NULL;
    buffers[5] = data ? data->per_instruction_tools : NULL;
}

#endif
