/* Running the traced program, and the end of the process. */
#include "core.h"

#include "py/cpython/frames.h"

#include <stdio.h>
#include <unistd.h>

#include "py/alloc/hook.h"

/* What runs here is the outermost frame of its thread: who asks for its caller (tracebacks,
 * warnings, logging) finds none, as in a plain run, and it may call as deep. A thread that was
 * quiet is not meanwhile. */
struct hidden {
    PyThreadState *tstate;
    const char *top;
    uintptr_t events;
    int depth;
    bool quiet;
};

static struct hidden
hide_callers(void)
{
    PyThreadState *tstate = PyThreadState_Get();
    const struct hidden hidden = {tstate, mp_frame_top(tstate), mp_events_version(tstate),
                                  mp_recursion_depth(tstate), mp_hook_quiet(false)};
    mp_recursion_set_depth(tstate, 0);
    if (MP_MAY_HIDE_FRAMES)
        mp_frame_set_top(tstate, mp_frame_outermost(tstate));
    return hidden;
}

static void
show_callers(const struct hidden *hidden)
{
    mp_recursion_set_depth(hidden->tstate, hidden->depth);
    if (MP_MAY_HIDE_FRAMES)
        mp_frame_set_top(hidden->tstate, hidden->top);
    mp_hook_quiet(hidden->quiet);
    if (MP_MAY_HIDE_FRAMES)
        mp_frames_shown(hidden->tstate, hidden->events);
}

static PyObject *
program_run_code(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *code, *globals;
    if (!PyArg_ParseTuple(args, "O!O!:run_code", &PyCode_Type, &code, &PyDict_Type, &globals))
        return NULL;
    const struct hidden hidden = hide_callers();
    PyObject *result = PyEval_EvalCode(code, globals, globals);
    show_callers(&hidden);
    return result;
}

static PyObject *
program_run_call(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *arguments;
    if (!PyArg_ParseTuple(args, "OO!:run_call", &function, &PyTuple_Type, &arguments))
        return NULL;
    const struct hidden hidden = hide_callers();
    PyObject *result = PyObject_Call(function, arguments, NULL);
    show_callers(&hidden);
    return result;
}

/* As for an exception that nobody catches: sys.last_exc, sys.excepthook and all. Hidden too:
 * an excepthook may look for its caller. */
static PyObject *
program_print_exception(PyObject *Py_UNUSED(module), PyObject *error)
{
    PyObject *traceback = PyException_GetTraceback(error);
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), Py_NewRef(error), traceback);
    const struct hidden hidden = hide_callers();
    PyErr_Print();
    show_callers(&hidden);
    Py_RETURN_NONE;
}

/* ---- the end of the process ---------------------------------------------------------------- */

static int exit_status;

/* Python is finalized; what is left are the handlers of C, of which flushing is the one that
 * matters. */
static void
end_process(void)
{
    fflush(NULL);
    _exit(exit_status);
}

static PyObject *
program_exit_with(PyObject *Py_UNUSED(module), PyObject *status)
{
    const long value = PyLong_AsLong(status);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    exit_status = (int)value;
    return PyBool_FromLong(Py_AtExit(end_process) == 0);
}

/* The interpreter's cache of attributes keeps the names that were asked for last. */
static PyObject *
program_clear_type_cache(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    PyType_ClearCache();
    Py_RETURN_NONE;
}

/* ---- the functions ------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"run_code", program_run_code, METH_VARARGS,
     "run_code(code, globals): run as the outermost frame of this thread"},
    {"run_call", program_run_call, METH_VARARGS, "run_call(function, args): the same"},
    {"print_exception", program_print_exception, METH_O, "As if nobody had caught it."},
    {"exit_with", program_exit_with, METH_O,
     "exit_with(status): of the process, whatever it ends with; False when it cannot be"},
    {"clear_type_cache", program_clear_type_cache, METH_NOARGS, "of attribute names"},
    {0},
};

int
mp_core_add_program(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
