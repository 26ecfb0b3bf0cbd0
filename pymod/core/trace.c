/* The trace: start, stop, what is asked of it, and snapshots of it. */
#include "core.h"

#include "memprof/memprof.h"

#include "freeze.h"
#include "py/alloc/chain.h"
#include "py/alloc/ending.h"
#include "py/alloc/hook.h"
#include "py/alloc/restamp.h"
#include "py/cpython/verify.h"
#include "py/lines/activations.h"
#include "record/tracer.h"

/* ---- the trace ----------------------------------------------------------------------------- */

static int
start(void)
{
    if (mp_tracer_is_active())
        return MP_OK;
    mp_hook_connect();
    const int status = memprof_start();
    if (status == MP_OK)
        mp_hook_install();
    return status;
}

/* Threads without a common GIL may be here at the same time. */
static PyObject *
trace_start(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
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
trace_start_on_demand(PyObject *Py_UNUSED(module), PyObject *on)
{
    mp_ending_watch();
    mp_activation_starts_trace = PyObject_IsTrue(on) == 1 ? start_on_demand : NULL;
    Py_RETURN_NONE;
}

/* False when there are blocks whose free was not seen. */
static PyObject *
trace_see_all(PyObject *Py_UNUSED(module), PyObject *all)
{
    return PyBool_FromLong(mp_chain_see_all(PyObject_IsTrue(all) == 1));
}

static PyObject *
trace_count_meters(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_hook_count_meters();
    Py_RETURN_NONE;
}

static PyObject *
trace_stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
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
trace_restamp(PyObject *Py_UNUSED(module), PyObject *on)
{
    if (on != Py_True)
        mp_restamp_end();
    else if (!mp_restamp_begin())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
trace_is_tracing(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_tracer_is_active());
}

static PyObject *
trace_is_reached(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_chain_is_reached());
}

static PyObject *
trace_clear(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_spin_lock(&mp_tracer.life);
    memprof_clear();
    mp_spin_unlock(&mp_tracer.life);
    Py_RETURN_NONE;
}

static PyObject *
trace_get_traced(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    int64_t current, peak;
    memprof_get_traced(&current, &peak);
    return Py_BuildValue("(LL)", (long long)current, (long long)peak);
}

static PyObject *
trace_reset_peak(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (mp_tracer_is_active())
        memprof_reset_peak();
    Py_RETURN_NONE;
}

static PyObject *
trace_own_memory(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromSize_t(memprof_own_memory());
}

static PyObject *
trace_lost(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromUnsignedLongLong(memprof_lost());
}

static PyObject *
trace_shut_down(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_ending_begin());
}

static PyObject *
trace_quiet(PyObject *Py_UNUSED(module), PyObject *quiet)
{
    return PyBool_FromLong(mp_hook_quiet(PyObject_IsTrue(quiet) == 1));
}

/* What the thread was at each begin_quiet() that has not ended: a bit for each, the last one is
 * the lowest. */
static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t quiet_before;

static PyObject *
trace_begin_quiet(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    quiet_before = quiet_before << 1 | mp_hook_quiet(true);
    Py_RETURN_NONE;
}

/* Arguments as of __exit__, not looked at. */
static PyObject *
trace_end_quiet(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args),
               Py_ssize_t Py_UNUSED(count))
{
    mp_hook_quiet(quiet_before & 1);
    quiet_before >>= 1;
    Py_RETURN_NONE;
}

static PyObject *
trace_leave_out_stacks(PyObject *Py_UNUSED(module), PyObject *on)
{
    mp_hook_leave_out_stacks(PyObject_IsTrue(on) == 1);
    Py_RETURN_NONE;
}

static PyObject *
trace_check(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    const char *why = NULL;
    if (mp_tracer_check(&why))
        Py_RETURN_NONE;
    return PyUnicode_FromString(why);
}

/* The offsets of frames; with other ones as arguments: None, or why they are wrong. */
static PyObject *
trace_verify(PyObject *Py_UNUSED(module), PyObject *args)
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
trace_fail_nth(PyObject *Py_UNUSED(module), PyObject *count)
{
    const long n = PyLong_AsLong(count);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    mp_mem_fail_nth(n);
    Py_RETURN_NONE;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static PyObject *
trace_take_snapshot(PyObject *module, PyObject *series)
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
trace_heap_split(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    struct mp_facts facts;
    const int64_t raw = mp_freeze_split_heap(&facts);
    return Py_BuildValue("(LLL)", (long long)facts.traced_small, (long long)facts.traced_c_heap,
                         (long long)raw);
}

/* ---- the functions ------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"start", trace_start, METH_NOARGS, "Begin to trace; no-op while tracing."},
    {"start_on_demand", trace_start_on_demand, METH_O,
     "Begin to trace when a function is called whose lines are profiled, or no more."},
    {"stop", trace_stop, METH_NOARGS, "End the trace and forget it."},
    {"restamp", trace_restamp, METH_O,
     "restamp(on): give objects from free lists their own sites."},
    {"is_tracing", trace_is_tracing, METH_NOARGS, "True while tracing."},
    {"see_all", trace_see_all, METH_O,
     "Trace every call (False when some were not before), or those only that lines are charged."},
    {"count_meters", trace_count_meters, METH_NOARGS, "Of the threads that there are."},
    {"is_reached", trace_is_reached, METH_NOARGS, "Do allocations still reach our hooks?"},
    {"clear", trace_clear, METH_NOARGS, "Forget all blocks and numbers and go on."},
    {"get_traced", trace_get_traced, METH_NOARGS, "(current, peak) in bytes."},
    {"reset_peak", trace_reset_peak, METH_NOARGS, "Let the peak begin anew."},
    {"own_memory", trace_own_memory, METH_NOARGS, "Resident bytes of the tracer."},
    {"lost", trace_lost, METH_NOARGS, "Number of events that could not be recorded."},
    {"shut_down", trace_shut_down, METH_NOARGS,
     "The interpreter is about to end; was it the main one?"},
    {"quiet", trace_quiet, METH_O, "quiet(on) -> before: leave out this thread's allocations."},
    {"begin_quiet", trace_begin_quiet, METH_NOARGS, "What `with quiet` begins with: see quiet.py."},
    {"end_quiet", (PyCFunction)(void (*)(void))trace_end_quiet, METH_FASTCALL, "And its end."},
    {"leave_out_stacks", trace_leave_out_stacks, METH_O,
     "For a trace that only serves line profilers."},
    {"check", trace_check, METH_NOARGS, "None, or which invariant is broken. For tests."},
    {"verify", trace_verify, METH_VARARGS, "Offsets of frames: None, or why wrong. For tests."},
    {"fail_nth", trace_fail_nth, METH_O, "Let our n-th request for memory fail. For tests."},
    {"take_snapshot", trace_take_snapshot, METH_O, "take_snapshot(with_series) -> Snapshot"},
    {"heap_split", trace_heap_split, METH_NOARGS,
     "(small, large, raw) bytes of live traced blocks; raw ones are among the large"},
    {0},
};

int
mp_core_add_trace(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
