/* internals: what only the internal headers of CPython 3.14 and later know. For interpreter.h. */
#ifndef MP_INTERNALS_H
#define MP_INTERNALS_H

#include <internal/pycore_instruments.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define MP_CODEC_FUNCTIONS codecs.search_path
#define MP_CODEC_CACHE codecs.search_cache
#define MP_CODEC_ERRORS codecs.error_registry
#define MP_MODULES imports.modules
#define MP_MODULES_BY_INDEX imports.modules_by_index
#define MP_THREAD_END(thread) NULL
#define MP_CURRENT_ERROR current_exception

/* What atexit.register has been given: a list. */
#define MP_ATEXIT_COUNT(state) 0
enum { MP_ATEXIT_IS_LIST = 1 };

#define MP_SIGNAL_HANDLER(number) (_PyRuntime.signals.handlers[number].func)

#endif
