/* Memory of processes: now, at its peak, and over time. */
#include "core.h"

#include <assert.h>

#include "os/process.h"
#include "record/watch.h"

/* ---- resident memory ----------------------------------------------------------------------- */

static PyObject *
process_resident(PyObject *Py_UNUSED(module), PyObject *args)
{
    int pid, children = 0, metric = MP_RSS;
    if (!PyArg_ParseTuple(args, "i|pi:resident", &pid, &children, &metric))
        return NULL;
    if (metric < 0 || metric >= MP_PROCESS_METRICS)
        return PyErr_Format(PyExc_ValueError, "no such metric: %d", metric);
    int64_t now;
    Py_BEGIN_ALLOW_THREADS
    now = mp_process_resident(pid, (enum mp_process_metric)metric);
    if (now >= 0 && children)
        now += mp_process_descendants(pid, (enum mp_process_metric)metric);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong(now);
}

static PyObject *
process_reset_peak_rss(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(mp_process_reset_peak() == 0);
}

static PyObject *
process_peak_rss(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    struct mp_process_memory memory;
    mp_process_memory(&memory);
    return PyLong_FromLongLong(memory.peak_rss);
}

/* ---- the watch: a capsule ------------------------------------------------------------------ */

static const char watch_name[] = "memprof.watch";

static void
free_watch(PyObject *capsule)
{
    mp_watch_free(PyCapsule_GetPointer(capsule, watch_name));
}

static PyObject *
process_watch_start(PyObject *Py_UNUSED(module), PyObject *args)
{
    double interval;
    int children, metric, traced;
    if (!PyArg_ParseTuple(args, "dpip:watch_start", &interval, &children, &metric, &traced))
        return NULL;
    if (metric < 0 || metric >= MP_PROCESS_METRICS || !(interval >= 0 && interval < 1e9))
        return PyErr_Format(PyExc_ValueError, "an argument is out of range");
    const struct mp_watch_options options = {
        .interval = (uint64_t)(interval * 1e9),
        .children = children,
        .traced = traced,
        .metric = (enum mp_process_metric)metric,
    };
    struct mp_watch *watch;
    const int status = mp_watch_start(&options, &watch);
    if (status != MP_OK)
        return mp_core_raise(status, NULL, NULL);
    PyObject *capsule = PyCapsule_New(watch, watch_name, free_watch);
    if (!capsule)
        mp_watch_free(watch);
    return capsule;
}

static PyObject *
make_sample(size_t i, void *watch)
{
    assert(i < mp_watch_count(watch));
    const struct mp_sample sample = mp_watch_get(watch, i);
    return Py_BuildValue("(Ld)", (long long)sample.bytes, sample.time);
}

static PyObject *
process_watch_stop(PyObject *Py_UNUSED(module), PyObject *capsule)
{
    struct mp_watch *watch = PyCapsule_GetPointer(capsule, watch_name);
    if (!watch)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    mp_watch_stop(watch);
    Py_END_ALLOW_THREADS
    return mp_core_list(mp_watch_count(watch), make_sample, watch);
}

/* ---- the functions ------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"resident", process_resident, METH_VARARGS,
     "resident(pid, children=False, metric=0): bytes resident now; 0 is this process, -1 there is "
     "none"},
    {"reset_peak_rss", process_reset_peak_rss, METH_NOARGS,
     "Let the kernel's high-water mark begin anew; False when it cannot be."},
    {"peak_rss", process_peak_rss, METH_NOARGS, "That mark, in bytes."},
    {"watch_start", process_watch_start, METH_VARARGS,
     "watch_start(interval, children, metric, traced) -> watch: a thread reads memory"},
    {"watch_stop", process_watch_stop, METH_O, "watch_stop(watch) -> [(bytes, unix time)]"},
    {0},
};

int
mp_core_add_process(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
