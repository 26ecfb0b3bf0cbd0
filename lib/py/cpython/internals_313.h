/* internals: what only the internal headers of CPython 3.13 know. For interpreter.h. */
#ifndef MP_INTERNALS_H
#define MP_INTERNALS_H

#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define MP_CODEC_FUNCTIONS codecs.search_path
#define MP_CODEC_CACHE codecs.search_cache
#define MP_CODEC_ERRORS codecs.error_registry
#define MP_MODULES imports.modules
#define MP_MODULES_BY_INDEX imports.modules_by_index
#define MP_THREAD_END(thread) NULL
#define MP_CURRENT_ERROR current_exception

/* What atexit.register has been given: an array of callbacks. */
#define MP_ATEXIT_COUNT(state) ((state)->ncallbacks)
enum { MP_ATEXIT_IS_LIST = 0 };

#define MP_SIGNAL_HANDLER(number) (_PyRuntime.signals.handlers[number].func)

#endif
