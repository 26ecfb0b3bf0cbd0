/* What the interpreter itself holds, CPython 3.12. */
#ifndef MP_INTERPRETER_H
#define MP_INTERPRETER_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#undef _PyGC_FINALIZED /* of the public headers; a function in the internal ones */
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define MP_CODEC_FUNCTIONS codec_search_path
#define MP_CODEC_CACHE codec_search_cache
#define MP_CODEC_ERRORS codec_error_registry
#define MP_MODULES imports.modules
#define MP_MODULES_BY_INDEX imports.modules_by_index
#define MP_THREAD_END(thread) ((PyObject *)(thread)->on_delete_data)
#define MP_CURRENT_ERROR current_exception

#define mp_signal_handler(number) ((PyObject *)_PyRuntime.signals.handlers[number].func._value)

#include "py/cpython/callbacks_312.h"

#endif
