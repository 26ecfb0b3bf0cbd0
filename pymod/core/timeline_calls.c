/* The timeline's thread, for Python: start, stop, and the pause around fork(). */
#include "core.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "freeze.h"
#include "os/threads.h"
#include "profile/profile_file.h"
#include "record/timeline.h"

static const unsigned long nanoseconds = 1000000000;

/* Where the timeline writes the profile; changed only while it is stopped. */
static struct {
    char *path;
    char *note;
    size_t note_size;
    bool series, failed; /* failed: the last write */
} target;

/* Stopped for a fork, and to be started again. */
static _Atomic bool paused;

/* Called by the timeline's thread, without the GIL. A failed write leaves the older profile. */
static void
write_profile(void *unused)
{
    (void)unused;
    struct mp_snapshot *snapshot = mp_freeze(target.series);
    if (snapshot && target.note_size &&
        mp_snapshot_set_note(snapshot, target.note, target.note_size) != MP_OK) {
        mp_snapshot_free(snapshot);
        return;
    }
    target.failed = !snapshot || mp_profile_write(snapshot, target.path) != MP_OK;
    mp_snapshot_free(snapshot);
}

static bool
set_target(const char *path, const char *note, size_t note_size)
{
    char *path_copy = path ? strdup(path) : NULL;
    char *note_copy = note_size ? malloc(note_size) : NULL;
    if ((path && !path_copy) || (note_size && !note_copy)) {
        free(path_copy);
        free(note_copy);
        return false;
    }
    if (note_size)
        memcpy(note_copy, note, note_size);
    free(target.path);
    free(target.note);
    target.path = path_copy;
    target.note = note_copy;
    target.note_size = note_size;
    return true;
}

static PyObject *
raise_no_thread(void)
{
    return PyErr_Format(PyExc_RuntimeError, "cannot start the thread that takes checkpoints: %s",
                        strerror(errno));
}

static PyObject *
timeline_start(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path, *note;
    Py_ssize_t note_size;
    double interval;
    int series;
    if (!PyArg_ParseTuple(args, "pzdy#:timeline_start", &series, &path, &interval, &note,
                          &note_size))
        return NULL;
    paused = false;
    mp_timeline_stop();
    if (!set_target(path, note, (size_t)note_size))
        return PyErr_NoMemory();
    target.series = series;
    const struct mp_timeline_options options = {
        .series = series,
        .call_interval = path ? (uint64_t)(interval * (double)nanoseconds) : 0,
        .call = write_profile,
    };
    if (mp_timeline_start(&options) != MP_OK)
        return raise_no_thread();
    Py_RETURN_NONE;
}

static PyObject *
timeline_stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    bool ran;
    Py_BEGIN_ALLOW_THREADS
    ran = mp_timeline_stop();
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(ran || atomic_exchange(&paused, false));
}

static PyObject *
timeline_pause(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (mp_timeline_stop())
        atomic_store(&paused, true);
    Py_RETURN_NONE;
}

static int
resume(void *unused)
{
    (void)unused;
    if (atomic_exchange(&paused, false) && mp_timeline_resume() != MP_OK)
        PyErr_WriteUnraisable(raise_no_thread());
    return 0;
}

/* Python looks for other threads after os.fork() and warns of them: ours comes back a little
 * later. Not so in a program that forks elsewhere than in its main thread: it has threads. */
static PyObject *
timeline_resume(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    if (!mp_threads_is_main() || Py_AddPendingCall(resume, NULL))
        resume(NULL);
    Py_RETURN_NONE;
}

static PyObject *
timeline_take(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    mp_timeline_take();
    Py_RETURN_NONE;
}

static PyObject *
timeline_mark(PyObject *Py_UNUSED(module), PyObject *done)
{
    const unsigned long long units = PyLong_AsUnsignedLongLong(done);
    if (PyErr_Occurred())
        return NULL;
    mp_timeline_take_at(units * 1000000000u);
    return PyLong_FromUnsignedLong(mp_timeline_series()->thinned);
}

static PyMethodDef functions[] = {
    {"timeline_start", timeline_start, METH_VARARGS,
     "timeline_start(series, path, interval, note): start the timeline's thread"},
    {"timeline_stop", timeline_stop, METH_NOARGS, "Stop it; True when it ran."},
    {"timeline_pause", timeline_pause, METH_NOARGS, "Stop it for a fork."},
    {"timeline_resume", timeline_resume, METH_NOARGS, "After the fork, in the parent."},
    {"timeline_take", timeline_take, METH_NOARGS, "Take a checkpoint now."},
    {"timeline_mark", timeline_mark, METH_O,
     "timeline_mark(units): a checkpoint after so many units of work; how often it was thinned"},
    {0},
};

int
mp_core_add_timeline(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
