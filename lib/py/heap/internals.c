/* What only the interpreter itself holds: functions that the program has given it, and the
 * exceptions of its threads. No traverse function leads to them. */
#include "py/heap/heap.h"

#include "py/cpython/interpreter.h"

/* Are its fields where the headers say? The state of its first thread is its last field; a build
 * with a JIT has more in there. */
static bool
is_known(PyInterpreterState *interpreter)
{
    const uintptr_t begin = (uintptr_t)interpreter, end = begin + sizeof *interpreter;
    PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
    for (; thread; thread = PyThreadState_Next(thread))
        if ((uintptr_t)thread >= begin && (uintptr_t)thread < end &&
            (uintptr_t)thread != (uintptr_t)&interpreter->_initial_thread)
            return false;
    return interpreter->MP_MODULES == PyImport_GetModuleDict();
}

static void
add_exit_handler(PyObject *object, void *data)
{
    mp_heap_add_named_root(data, MP_ROOT_EXIT, "atexit", object);
}

/* A field is named after the function that sets it. */
static void
add_field(const char *name, PyObject *object, void *data)
{
    mp_heap_add_named_root(data, MP_ROOT_INTERPRETER, name, object);
}

/* The collector was made to forget the list, so it is not traversed. */
static void
add_audit_hooks(struct mp_heap *heap, PyObject *list)
{
    if (!list || !mp_heap_add(heap, list) || !PyList_CheckExact(list))
        return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        add_field("sys.addaudithook()", PyList_GET_ITEM(list, i), heap);
}

static void
add_fields(struct mp_heap *heap, const PyInterpreterState *interpreter)
{
    add_field("codecs.register()", interpreter->MP_CODEC_FUNCTIONS, heap);
    add_field("codecs.lookup()", interpreter->MP_CODEC_CACHE, heap);
    add_field("codecs.register_error()", interpreter->MP_CODEC_ERRORS, heap);
    add_audit_hooks(heap, interpreter->audit_hooks);
    add_field("os.register_at_fork(before)", interpreter->before_forkers, heap);
    add_field("os.register_at_fork(after_in_parent)", interpreter->after_forkers_parent, heap);
    add_field("os.register_at_fork(after_in_child)", interpreter->after_forkers_child, heap);
    add_field("PyInterpreterState_GetDict()", interpreter->dict, heap);
    add_field("PyState_AddModule()", interpreter->MP_MODULES_BY_INDEX, heap);
    mp_interpreter_each_callback(interpreter, add_field, heap);
}

static void
add_thread(struct mp_heap *heap, const PyThreadState *thread)
{
    add_field("sys.settrace()", thread->c_traceobj, heap);
    add_field("sys.setprofile()", thread->c_profileobj, heap);
    add_field("sys.set_asyncgen_hooks(firstiter)", thread->async_gen_firstiter, heap);
    add_field("sys.set_asyncgen_hooks(finalizer)", thread->async_gen_finalizer, heap);
    add_field("exception being raised", thread->MP_CURRENT_ERROR, heap);
    for (const _PyErr_StackItem *item = thread->exc_info; item; item = item->previous_item)
        add_field("exception being handled", item->exc_value, heap);
    add_field("PyThreadState_SetAsyncExc()", thread->async_exc, heap);
    add_field("end of a thread", MP_THREAD_END(thread), heap); /* a reference to its lock */
}

void
mp_heap_find_internals(struct mp_heap *heap)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (is_known(interpreter)) {
        mp_atexit_each(add_exit_handler, heap);
        add_fields(heap, interpreter);
    }
    PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
    for (; thread; thread = PyThreadState_Next(thread))
        add_thread(heap, thread);
}
