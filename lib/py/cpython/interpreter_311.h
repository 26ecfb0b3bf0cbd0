/* What the interpreter itself holds, CPython 3.11. */
#ifndef MP_INTERPRETER_H
#define MP_INTERPRETER_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_interp.h>

#define MP_CODEC_FUNCTIONS codec_search_path
#define MP_CODEC_CACHE codec_search_cache
#define MP_CODEC_ERRORS codec_error_registry
#define MP_MODULES modules
#define MP_MODULES_BY_INDEX modules_by_index
#define MP_THREAD_END(thread) ((PyObject *)(thread)->on_delete_data)
#define MP_CURRENT_ERROR curexc_value

/* There is no sys.monitoring yet, and the handlers of signals are a static array of C code. */
static inline void
mp_interpreter_each_callback(const PyInterpreterState *interpreter,
                             void (*visit)(const char *name, PyObject *object, void *data),
                             void *data)
{
    (void)interpreter, (void)visit, (void)data;
}

#endif
