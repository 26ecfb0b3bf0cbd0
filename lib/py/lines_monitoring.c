/* Events of selected code on CPython 3.12 and later: sys.monitoring. */
#include "compat.h"

#if MP_HAS_MONITORING

#include "activations.h"
#include "hook.h"
#include "line_events.h"

/* ---- callbacks: called by the interpreter, in the frame that they concern ------------------ */

/* The calling thread; NULL while memprof itself is at work in it. `number` is an int object
 * that the interpreter may have made for the call. */
static inline struct mp_thread *
begin_event(const PyObject *number)
{
    struct mp_thread *self = mp_thread_self();
    if (MP_UNLIKELY(!self || atomic_load_explicit(&self->guard, memory_order_relaxed) != self->idle))
        return NULL;
    if (MP_UNLIKELY(self->meter.last == (uintptr_t)number || self->idle == MP_GUARD_FREE))
        mp_hook_disown(self, (uintptr_t)number);
    return self;
}

static inline const char *
own_frame(void)
{
    return mp_frame_top(mp_tstate_attached());
}

static PyObject *
on_start(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    struct mp_thread *self = begin_event(args[1]);
    if (self)
        mp_activation_enter(self, own_frame(), (const PyCodeObject *)args[0]);
    Py_RETURN_NONE;
}

static PyObject *
on_resume(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    const PyCodeObject *code = (const PyCodeObject *)args[0];
    struct mp_thread *self = mp_lines_may_select(code) ? begin_event(args[1]) : NULL;
    if (self)
        mp_activation_resume(self, own_frame(), code);
    Py_RETURN_NONE;
}

static PyObject *
on_line(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    struct mp_thread *self = begin_event(args[1]);
    const PyLongObject *line = (const PyLongObject *)args[1];
    if (self)
        mp_activation_line(self, own_frame(), (const PyCodeObject *)args[0],
                           PyUnstable_Long_IsCompact(line) ? (int)PyUnstable_Long_CompactValue(line)
                                                           : 0);
    Py_RETURN_NONE;
}

static PyObject *disable; /* sys.monitoring's word for: do not tell of this place again */

/* As begin_event, for two numbers: the interpreter makes that of the target first. */
static struct mp_thread *
begin_jump(const PyObject *from, const PyObject *to)
{
    struct mp_thread *self = mp_thread_self();
    const bool is_made = self && self->meter.last == (uintptr_t)from;
    if (begin_event(from) && is_made && from != to)
        self->meter.last = (uintptr_t)to;
    return begin_event(to);
}

/* (code, offset, offset of the target). No line event tells of a jump back within a line. */
static PyObject *
on_jump(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    const long from = PyLong_AsLong(args[1]), to = PyLong_AsLong(args[2]);
    struct mp_thread *self = to < from ? begin_jump(args[1], args[2]) : NULL;
    if (to > from || (self && !mp_activation_jump(self, own_frame(), (PyCodeObject *)args[0],
                                                  (int)from, (int)to)))
        return Py_NewRef(disable);
    Py_RETURN_NONE;
}

static PyObject *
leave(PyObject *const *args, bool suspended)
{
    const PyCodeObject *code = (const PyCodeObject *)args[0];
    struct mp_thread *self = mp_lines_may_select(code) ? begin_event(args[1]) : NULL;
    if (self)
        mp_activation_leave(self, own_frame(), suspended);
    Py_RETURN_NONE;
}

static PyObject *
on_end(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    return leave(args, false);
}

static PyObject *
on_yield(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    return leave(args, true);
}

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}

static PyMethodDef methods[] = {METHOD(on_start), METHOD(on_resume), METHOD(on_line),
                                METHOD(on_end), METHOD(on_yield),
                                METHOD(on_jump)};

/* `local` events are set on the code; the others can only be set for all code, and happen where
 * an exception leaves a function or is thrown into a generator. */
static const struct event {
    const char *name;
    PyMethodDef *method;
    bool local;
} events[] = {
    {"PY_START", &methods[0], true}, {"PY_RESUME", &methods[1], true},
    {"LINE", &methods[2], true},     {"PY_RETURN", &methods[3], true},
    {"PY_YIELD", &methods[4], true}, {"JUMP", &methods[5], true},
    {"PY_UNWIND", &methods[3], false}, {"PY_THROW", &methods[1], false},
};
enum { EVENTS = sizeof events / sizeof *events };

/* ---- the tool -------------------------------------------------------------------------- */

static int tool = -1;           /* our number while anything is watched */
static unsigned long watched;   /* number of code objects */

static PyObject *
monitoring(void)
{
    PyObject *module = PySys_GetObject("monitoring"); /* borrowed */
    if (!module)
        PyErr_SetString(PyExc_RuntimeError, "this Python has no sys.monitoring");
    return module;
}

/* Call sys.monitoring.NAME; -1 with an exception set. */
#define CALL(name, ...) done(PyObject_CallMethod(monitoring(), name, __VA_ARGS__))

static int
done(PyObject *result)
{
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* The number of an event; -1 with an exception set. */
static long
number_of(const char *name)
{
    PyObject *module = monitoring();
    PyObject *all = module ? PyObject_GetAttrString(module, "events") : NULL;
    PyObject *value = all ? PyObject_GetAttrString(all, name) : NULL;
    const long number = value ? PyLong_AsLong(value) : -1;
    Py_XDECREF(value);
    Py_XDECREF(all);
    return number;
}

static long
set_of(bool local)
{
    long set = 0;
    for (int i = 0; i < EVENTS; i++)
        if (events[i].local == local) {
            const long number = number_of(events[i].name);
            if (number < 0)
                return -1;
            set |= number;
        }
    return set;
}

/* Numbers 0 to 2 and 5 have owners by convention: debuggers, coverage, profilers (cProfile),
 * optimizers. They come last. */
static int
claim_tool(void)
{
    static const int order[] = {3, 4, 5, 1, 0, 2};
    for (int i = 0; i < (int)(sizeof order / sizeof *order); i++) {
        if (CALL("use_tool_id", "is", order[i], "memprof lines") == 0)
            return order[i];
        if (!PyErr_ExceptionMatches(PyExc_ValueError))
            return -1;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "all of sys.monitoring's tool numbers are in use by other tools");
    return -1;
}

static int
register_callback(const struct event *event, bool on)
{
    const long number = number_of(event->name);
    PyObject *function = on ? PyCFunction_New(event->method, NULL) : Py_NewRef(Py_None);
    const int status =
        number < 0 || !function ? -1 : CALL("register_callback", "ilO", tool, number, function);
    Py_XDECREF(function);
    return status;
}

static void
close_tool(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    int failed = CALL("set_events", "ii", tool, 0);
    for (int i = 0; i < EVENTS; i++)
        failed |= register_callback(&events[i], false);
    failed |= CALL("free_tool_id", "i", tool);
    if (failed && PyErr_Occurred())
        PyErr_WriteUnraisable(NULL);
    tool = -1;
    PyErr_Restore(type, value, traceback);
}

static int
open_tool(void)
{
    tool = monitoring() ? claim_tool() : -1;
    if (tool < 0)
        return -1;
    Py_XSETREF(disable, PyObject_GetAttrString(monitoring(), "DISABLE"));
    int failed = !disable;
    for (int i = 0; i < EVENTS && !failed; i++)
        failed = register_callback(&events[i], true);
    const long global = failed ? -1 : set_of(false);
    if (global < 0 || CALL("set_events", "il", tool, global)) {
        close_tool();
        return -1;
    }
    return 0;
}

int
mp_line_events_watch(PyCodeObject *code)
{
    if (watched == 0 && open_tool())
        return -1;
    const long local = set_of(true);
    if (local < 0 || CALL("set_local_events", "iOl", tool, code, local)) {
        if (watched == 0)
            close_tool();
        return -1;
    }
    watched++;
    return 0;
}

void
mp_line_events_unwatch(PyCodeObject *code)
{
    if (!mp_lines_is_selected(code) && CALL("set_local_events", "iOi", tool, code, 0))
        PyErr_WriteUnraisable((PyObject *)code);
    if (--watched == 0)
        close_tool();
}

#endif
