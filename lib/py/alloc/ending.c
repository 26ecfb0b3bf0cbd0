#include "py/alloc/ending.h"

enum { PATIENCE = 2000 }; /* milliseconds; a hook takes microseconds, unless its thread is held */

_Atomic bool mp_ending_begun;
static _Atomic bool is_watched, is_over;

/* The interpreters are gone; a program that embeds Python may start it again. */
static void
note_end(void)
{
    is_watched = false;
    is_over = true;
}

static void
watch_process(void)
{
    if (!is_watched)
        is_watched = Py_AtExit(note_end) == 0;
}

static PyObject *
at_exit(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_ending_begin());
}

/* Runs in the main thread of the main interpreter, before its exit handlers at the latest. */
static int
register_in_main(void *Py_UNUSED(unused))
{
    static PyMethodDef method = {"memprof_at_exit", at_exit, METH_NOARGS, NULL};
    PyObject *module = PyImport_ImportModule("atexit");
    PyObject *handler = module ? PyCFunction_New(&method, NULL) : NULL;
    PyObject *done = handler ? PyObject_CallMethod(module, "register", "O", handler) : NULL;
    if (!done)
        PyErr_Clear();
    Py_XDECREF(done);
    Py_XDECREF(handler);
    Py_XDECREF(module);
    return 0;
}

void
mp_ending_watch(void)
{
    watch_process();
    if (mp_interpreter_is_main())
        return; /* the package has registered with its atexit itself */
    Py_BEGIN_ALLOW_THREADS /* 3.11 asks the thread's interpreter otherwise, not the main one */
    (void)Py_AddPendingCall(register_in_main, NULL);
    Py_END_ALLOW_THREADS
}

bool
mp_ending_begin(void)
{
    if (!mp_interpreter_is_main())
        return false;
    watch_process();
    atomic_store(&mp_ending_begun, true);
    /* who read it before may be walking the frames of its thread state */
    mp_thread_quiesce(PATIENCE);
    return true;
}

bool
mp_ending_is_over(void)
{
    const bool ended = atomic_exchange(&is_over, false);
    if (ended)
        atomic_store(&mp_ending_begun, false);
    return ended;
}
