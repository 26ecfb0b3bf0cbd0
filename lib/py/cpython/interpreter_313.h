/* What the interpreter itself holds, CPython 3.13 and later. */
#ifndef MP_INTERPRETER_H
#define MP_INTERPRETER_H

#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define MP_CODEC_FUNCTIONS codecs.search_path
#define MP_CODEC_CACHE codecs.search_cache
#define MP_CODEC_ERRORS codecs.error_registry
#define MP_MODULES imports.modules
#define MP_MODULES_BY_INDEX imports.modules_by_index
#define MP_THREAD_END(thread) NULL
#define MP_CURRENT_ERROR current_exception

#define mp_signal_handler(number) (_PyRuntime.signals.handlers[number].func)

#include "py/cpython/callbacks_312.h"

#endif
