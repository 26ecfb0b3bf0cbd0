/* memprof._core: the tracer for Python. Flat tuples go out; the package makes views of them. */
#include "core.h"

#include <errno.h>

#include "memprof/extension.h"
#include "memprof/memprof.h"

#include "freeze.h"
#include "profile/profile_file.h"
#include "py/lines/activations.h"
#include "py/alloc/chain.h"
#include "py/alloc/ending.h"
#include "py/alloc/hook.h"
#include "py/alloc/restamp.h"
#include "py/cpython/verify.h"
#include "py/stack/cache.h"
#include "record/timeline.h"
#include "record/tracer.h"

PyObject *
mp_core_raise(int status, const char *path, const char *why)
{
    const char *text = why ? why : memprof_status_text(status);
    if (status == MP_NO_MEMORY)
        return PyErr_NoMemory();
    if (status == MP_SYSTEM)
        return path ? PyErr_SetFromErrnoWithFilename(PyExc_OSError, path)
                    : PyErr_SetFromErrno(PyExc_OSError);
    if (status == MP_NOT_TRACING)
        PyErr_SetString(PyExc_RuntimeError, "memprof is not tracing");
    else if (path)
        PyErr_Format(PyExc_ValueError, "cannot read profile '%s': %s", path, text);
    else
        PyErr_SetString(PyExc_ValueError, text);
    return NULL;
}

/* ---- the trace ------------------------------------------------------------------------------ */

static int
start(void)
{
    if (mp_tracer_is_active())
        return MP_OK;
    const int status = mp_tracer_start();
    if (status != MP_OK)
        return status;
    mp_freeze_start_clock();
    mp_timeline_reset();
    mp_hook_install();
    return MP_OK;
}

/* Threads without a common GIL may be here at the same time. */
static PyObject *
core_start(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_ending_watch();
    mp_spin_lock(&mp_tracer.life);
    const int status = start();
    mp_spin_unlock(&mp_tracer.life);
    if (status != MP_OK)
        return mp_core_raise(status, NULL, NULL);
    Py_RETURN_NONE;
}

static void
start_on_demand(void)
{
    mp_spin_lock(&mp_tracer.life);
    (void)!start(); /* without memory for the trace, lines are only counted */
    mp_spin_unlock(&mp_tracer.life);
}

static PyObject *
core_start_on_demand(PyObject *Py_UNUSED(module), PyObject *on)
{
    mp_ending_watch();
    mp_activation_starts_trace = PyObject_IsTrue(on) == 1 ? start_on_demand : NULL;
    Py_RETURN_NONE;
}

/* False when there are blocks whose free was not seen. */
static PyObject *
core_see_all(PyObject *Py_UNUSED(module), PyObject *all)
{
    return PyBool_FromLong(mp_chain_see_all(PyObject_IsTrue(all) == 1));
}

static PyObject *
core_count_meters(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_hook_count_meters();
    Py_RETURN_NONE;
}

static PyObject *
core_stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_spin_lock(&mp_tracer.life);
    if (mp_tracer_is_active()) {
        memprof_stop();
        mp_chain_remove();
    }
    mp_spin_unlock(&mp_tracer.life);
    Py_RETURN_NONE;
}

static PyObject *
core_restamp(PyObject *Py_UNUSED(module), PyObject *on)
{
    if (on != Py_True)
        mp_restamp_end();
    else if (!mp_restamp_begin())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
core_is_tracing(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_tracer_is_active());
}

static PyObject *
core_is_reached(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_chain_is_reached());
}

static PyObject *
core_clear(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_spin_lock(&mp_tracer.life);
    memprof_clear();
    mp_spin_unlock(&mp_tracer.life);
    Py_RETURN_NONE;
}

static PyObject *
core_get_traced(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    int64_t current, peak;
    memprof_get_traced(&current, &peak);
    return Py_BuildValue("(LL)", (long long)current, (long long)peak);
}

static PyObject *
core_reset_peak(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (mp_tracer_is_active())
        memprof_reset_peak();
    Py_RETURN_NONE;
}

static PyObject *
core_own_memory(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromSize_t(memprof_own_memory());
}

static PyObject *
core_lost(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromUnsignedLongLong(memprof_lost());
}

static PyObject *
core_shut_down(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_ending_begin());
}

static PyObject *
core_quiet(PyObject *Py_UNUSED(module), PyObject *quiet)
{
    return PyBool_FromLong(mp_hook_quiet(PyObject_IsTrue(quiet) == 1));
}

static PyObject *
core_leave_out_stacks(PyObject *Py_UNUSED(module), PyObject *on)
{
    mp_hook_leave_out_stacks(PyObject_IsTrue(on) == 1);
    Py_RETURN_NONE;
}

static PyObject *
core_check(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    const char *why = NULL;
    if (mp_tracer_check(&why))
        Py_RETURN_NONE;
    return PyUnicode_FromString(why);
}

/* The offsets of frames; with other ones as arguments: None, or why they are wrong. */
static PyObject *
core_verify(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct mp_layout layout = mp_verify_layout();
    char why[MP_VERIFY_TEXT];
    if (PyTuple_GET_SIZE(args) == 0)
        return Py_BuildValue("(nnnn)", layout.code, layout.previous, layout.ip, layout.owner);
    if (!PyArg_ParseTuple(args, "nnnn:verify", &layout.code, &layout.previous, &layout.ip,
                          &layout.owner))
        return NULL;
    if (mp_verify(&layout, why))
        Py_RETURN_NONE;
    return PyErr_Occurred() ? NULL : PyUnicode_FromString(why);
}

static PyObject *
core_fail_nth(PyObject *Py_UNUSED(module), PyObject *count)
{
    const long n = PyLong_AsLong(count);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    mp_mem_fail_nth(n);
    Py_RETURN_NONE;
}

/* ---- snapshots -------------------------------------------------------------------------------- */

static PyObject *
core_take_snapshot(PyObject *module, PyObject *series)
{
    const int with_series = PyObject_IsTrue(series);
    if (with_series < 0)
        return NULL;
    if (!mp_tracer_is_active())
        return mp_core_raise(MP_NOT_TRACING, NULL, NULL);
    const bool quiet = mp_hook_quiet(true);
    struct mp_snapshot *snapshot = mp_freeze(with_series);
    PyObject *result = snapshot ? mp_core_wrap(module, snapshot) : PyErr_NoMemory();
    mp_hook_quiet(quiet);
    return result;
}

static PyObject *
core_read(PyObject *module, PyObject *path)
{
    struct mp_snapshot *snapshot;
    const char *why;
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    const char *name = PyBytes_AS_STRING(encoded);
    const int status = mp_profile_read(name, &snapshot, &why);
    PyObject *result =
        status == MP_OK ? mp_core_wrap(module, snapshot) : mp_core_raise(status, name, why);
    Py_DECREF(encoded);
    return result;
}

static PyObject *
core_heap_split(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    struct mp_facts facts;
    const int64_t raw = mp_freeze_split_heap(&facts);
    return Py_BuildValue("(LLL)", (long long)facts.traced_small, (long long)facts.traced_c_heap,
                         (long long)raw);
}

/* ---- the module ------------------------------------------------------------------------------------ */

static const struct memprof_capsule capsule = {
    .version = MEMPROF_CAPSULE_VERSION,
    .track = memprof_track,
    .untrack = memprof_untrack,
    .move = memprof_move,
    .is_tracing = memprof_is_tracing,
};

static PyMethodDef functions[] = {
    {"start", core_start, METH_NOARGS, "Begin to trace; no-op while tracing."},
    {"start_on_demand", core_start_on_demand, METH_O,
     "Begin to trace when a function is called whose lines are profiled, or no more."},
    {"stop", core_stop, METH_NOARGS, "End the trace and forget it."},
    {"restamp", core_restamp, METH_O, "restamp(on): give objects from free lists their own sites."},
    {"is_tracing", core_is_tracing, METH_NOARGS, "True while tracing."},
    {"see_all", core_see_all, METH_O,
     "Trace every call (False when some were not before), or those only that lines are charged."},
    {"count_meters", core_count_meters, METH_NOARGS, "Of the threads that there are."},
    {"is_reached", core_is_reached, METH_NOARGS, "Do allocations still reach our hooks?"},
    {"clear", core_clear, METH_NOARGS, "Forget all blocks and numbers and go on."},
    {"get_traced", core_get_traced, METH_NOARGS, "(current, peak) in bytes."},
    {"reset_peak", core_reset_peak, METH_NOARGS, "Let the peak begin anew."},
    {"own_memory", core_own_memory, METH_NOARGS, "Resident bytes of the tracer."},
    {"lost", core_lost, METH_NOARGS, "Number of events that could not be recorded."},
    {"shut_down", core_shut_down, METH_NOARGS, "The interpreter is about to end; was it the main one?"},
    {"quiet", core_quiet, METH_O, "quiet(on) -> before: leave out this thread's allocations."},
    {"leave_out_stacks", core_leave_out_stacks, METH_O, "For a trace that only serves lines.py."},
    {"check", core_check, METH_NOARGS, "None, or which invariant is broken. For tests."},
    {"verify", core_verify, METH_VARARGS, "Offsets of frames: None, or why wrong. For tests."},
    {"fail_nth", core_fail_nth, METH_O, "Let our n-th request for memory fail. For tests."},
    {"take_snapshot", core_take_snapshot, METH_O, "take_snapshot(with_series) -> Snapshot"},
    {"read", core_read, METH_O, "read(path) -> Snapshot"},
    {"heap_split", core_heap_split, METH_NOARGS, "(small, large, raw) bytes of live traced blocks; raw ones are among the large"},
    {"timeline_start", mp_core_timeline_start, METH_VARARGS,
     "timeline_start(series, path, interval, note): start the timeline's thread"},
    {"timeline_stop", mp_core_timeline_stop, METH_NOARGS, "Stop it; True when it ran."},
    {"timeline_pause", mp_core_timeline_pause, METH_NOARGS, "Stop it for a fork."},
    {"timeline_resume", mp_core_timeline_resume, METH_NOARGS, "After the fork, in the parent."},
    {"timeline_take", mp_core_timeline_take, METH_NOARGS, "Take a checkpoint now."},
    {"timeline_mark", mp_core_timeline_mark, METH_O,
     "timeline_mark(units): a checkpoint after so many units of work; how often it was thinned"},
    {"clear_type_cache", mp_core_clear_type_cache, METH_NOARGS, "of attribute names"},
    {"exit_with", mp_core_exit_with, METH_O,
     "exit_with(status): of the process, whatever it ends with; False when it cannot be"},
    {"traces", mp_core_traces, METH_O, "traces(limit): tracemalloc's raw traces"},
    {"object_stack", mp_core_object_stack, METH_O, "Frames of an object's allocation, or None."},
    {"heap_explain", mp_core_heap_explain, METH_VARARGS,
     "heap_explain(stacks, own_path): (what the blocks of call stacks are, pointers not followed)"},
    {"heap_holders", mp_core_heap_holders, METH_VARARGS,
     "heap_holders(addresses, types, own_path): the same for objects"},
    {"heap_referents", mp_core_heap_referents, METH_O, "(size, addresses) of an object's edges"},
    {"heap", mp_core_heap, METH_O, "heap(own_path) -> Heap"},
    {"live_stacks", mp_core_live_stacks, METH_NOARGS, "{stack: (bytes, blocks)} of live blocks"},
    {"stack_frames", mp_core_stack_frames, METH_O, "frames of a stack of live_stacks()"},
    {"run_code", mp_core_run_code, METH_VARARGS,
     "run_code(code, globals): run as the outermost frame of this thread"},
    {"run_call", mp_core_run_call, METH_VARARGS, "run_call(function, args): the same"},
    {"resident", mp_core_resident, METH_VARARGS,
     "resident(pid, children=False, metric=0): bytes resident now; 0 is this process, -1 there is none"},
    {"reset_peak_rss", mp_core_reset_peak_rss, METH_NOARGS,
     "Let the kernel's high-water mark begin anew; False when it cannot be."},
    {"watch_start", mp_core_watch_start, METH_VARARGS,
     "watch_start(interval, children, metric, traced) -> watch: a thread reads memory"},
    {"watch_stop", mp_core_watch_stop, METH_O, "watch_stop(watch) -> [(bytes, unix time)]"},
    {"peak_rss", mp_core_peak_rss, METH_NOARGS, "That mark, in bytes."},
    {"print_exception", mp_core_print_exception, METH_O, "As if nobody had caught it."},
    {0},
};

static int
refuse_strange_interpreter(void)
{
    const struct mp_layout layout = mp_verify_layout();
    char why[MP_VERIFY_TEXT];
    if (mp_verify(&layout, why))
        return 0;
    if (!PyErr_Occurred()) {
        PyObject *name = PyUnicode_FromString("memprof"), *text = PyUnicode_FromString(why);
        if (name && text) /* with the package's name `python -m` makes one line of it */
            PyErr_SetImportError(text, name, NULL);
        Py_XDECREF(name);
        Py_XDECREF(text);
    }
    return -1;
}

static int
core_exec(PyObject *module)
{
    if (refuse_strange_interpreter())
        return -1;
    if (mp_cache_extend() != MP_OK) {
        PyErr_SetString(PyExc_ImportError, "memprof was used from C before it was imported");
        return -1;
    }
    if (mp_ending_is_over() && mp_tracer_is_active()) {
        memprof_stop();
        mp_chain_remove();
    }
    PyObject *c_api = PyCapsule_New((void *)&capsule, MEMPROF_CAPSULE, NULL);
    const int failed = PyModule_AddObjectRef(module, "c_api", c_api);
    Py_XDECREF(c_api);
    if (failed || PyModule_AddStringConstant(module, "version", memprof_version()))
        return -1;
    return mp_core_add_lines(module) || mp_core_add_snapshot(module) || mp_core_add_heap(module)
               ? -1
               : 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct mp_core_state *state = PyModule_GetState(module);
    Py_VISIT(state->snapshot_type);
    Py_VISIT(state->heap_type);
    return 0;
}

static int
core_clear_state(PyObject *module)
{
    struct mp_core_state *state = PyModule_GetState(module);
    Py_CLEAR(state->snapshot_type);
    Py_CLEAR(state->heap_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)core_exec},
    MP_MODULE_SLOTS
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "memprof._core",
    .m_doc = "The tracer: see the package memprof for what to use.",
    .m_size = sizeof(struct mp_core_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear_state,
};

PyMODINIT_FUNC PyInit__core(void);

MEMPROF_API PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
