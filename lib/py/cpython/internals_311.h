/* internals: what only the internal headers of CPython 3.11 know. For interpreter.h. */
#ifndef MP_INTERNALS_H
#define MP_INTERNALS_H

#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>

#define MP_CODEC_FUNCTIONS codec_search_path
#define MP_CODEC_CACHE codec_search_cache
#define MP_CODEC_ERRORS codec_error_registry
#define MP_MODULES modules
#define MP_MODULES_BY_INDEX modules_by_index
#define MP_THREAD_END(thread) ((PyObject *)(thread)->on_delete_data)
#define MP_CURRENT_ERROR curexc_value

/* What atexit.register has been given: an array of callbacks. */
#define MP_ATEXIT_COUNT(state) ((state)->ncallbacks)
enum { MP_ATEXIT_IS_LIST = 0 };

/* ---- in place of functions of interpreter.h -------------------------------------------- */

static inline void
mp_gc_list_each(PyGC_Head *head, void (*visit)(PyObject *object, void *data), void *data)
{
    for (PyGC_Head *at = _PyGCHead_NEXT(head); at != head; at = _PyGCHead_NEXT(at))
        visit((PyObject *)(at + 1), data);
}

/* There is no function for it yet: the lists of the generations are walked. */
static inline void
mp_gc_each(void (*visit)(PyObject *object, void *data), void *data)
{
    struct _gc_runtime_state *gc = &PyInterpreterState_Get()->gc;
    for (int i = 0; i < NUM_GENERATIONS; i++)
        mp_gc_list_each(&gc->generations[i].head, visit, data);
    mp_gc_list_each(&gc->permanent_generation.head, visit, data);
}

enum { MP_CODE_BUFFERS = 1 };

static inline void
mp_code_buffers(const PyCodeObject *code, const void *buffers[MP_CODE_BUFFERS])
{
    (void)code;
    buffers[0] = NULL;
}

/* There is no sys.monitoring yet, and the handlers of signals are a static array of C code. */
static inline void
mp_interpreter_each_callback(const PyInterpreterState *interpreter,
                             void (*visit)(const char *name, PyObject *object, void *data),
                             void *data)
{
    (void)interpreter, (void)visit, (void)data;
}

#endif
