#include "py/cpython/interpreter.h" /* first: it needs CPython's internal headers */
#include "py/heap/internals.h"
#include "py/heap/roots.h"

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
    mp_roots_add_named(data, MP_ROOT_EXIT, "atexit", object);
}

/* A field is named after the function that sets it. */
static void
add_field(const char *name, PyObject *object, void *data)
{
    mp_roots_add_named(data, MP_ROOT_INTERPRETER, name, object);
}

/* The collector was made to forget the list, so it is not traversed. */
static void
add_audit_hooks(struct mp_pass *pass, PyObject *list)
{
    if (!list || !mp_pass_add(pass, list) || !PyList_CheckExact(list))
        return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        add_field("sys.addaudithook()", PyList_GET_ITEM(list, i), pass);
}

static void
add_fields(struct mp_pass *pass, const PyInterpreterState *interpreter)
{
    add_field("codecs.register()", interpreter->MP_CODEC_FUNCTIONS, pass);
    add_field("codecs.lookup()", interpreter->MP_CODEC_CACHE, pass);
    add_field("codecs.register_error()", interpreter->MP_CODEC_ERRORS, pass);
    add_audit_hooks(pass, interpreter->audit_hooks);
    add_field("os.register_at_fork(before)", interpreter->before_forkers, pass);
    add_field("os.register_at_fork(after_in_parent)", interpreter->after_forkers_parent, pass);
    add_field("os.register_at_fork(after_in_child)", interpreter->after_forkers_child, pass);
    add_field("PyInterpreterState_GetDict()", interpreter->dict, pass);
    add_field("PyState_AddModule()", interpreter->MP_MODULES_BY_INDEX, pass);
    mp_interpreter_each_callback(interpreter, add_field, pass);
}

static void
add_thread(struct mp_pass *pass, const PyThreadState *thread)
{
    add_field("sys.settrace()", thread->c_traceobj, pass);
    add_field("sys.setprofile()", thread->c_profileobj, pass);
    add_field("sys.set_asyncgen_hooks(firstiter)", thread->async_gen_firstiter, pass);
    add_field("sys.set_asyncgen_hooks(finalizer)", thread->async_gen_finalizer, pass);
    add_field("exception being raised", thread->MP_CURRENT_ERROR, pass);
    for (const _PyErr_StackItem *item = thread->exc_info; item; item = item->previous_item)
        add_field("exception being handled", item->exc_value, pass);
    add_field("PyThreadState_SetAsyncExc()", thread->async_exc, pass);
    add_field("end of a thread", MP_THREAD_END(thread), pass); /* a reference to its lock */
}

void
mp_internals_find(struct mp_pass *pass)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (is_known(interpreter)) {
        mp_atexit_each(add_exit_handler, pass);
        add_fields(pass, interpreter);
    }
    PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
    for (; thread; thread = PyThreadState_Next(thread))
        add_thread(pass, thread);
}
