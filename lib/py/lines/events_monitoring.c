/* Events of selected code on CPython 3.12 and later: sys.monitoring. */
#include "py/cpython/frames.h"

#if MP_HAS_MONITORING

#include <string.h>
#include <structmember.h>

#include "py/alloc/hook.h"
#include "py/lines/activations.h"
#include "py/lines/events.h"
#include "py/lines/selection.h"

/* ---- callbacks: called by the interpreter, in the frame that they concern ------------------ */

/* The calling thread; NULL while memprof itself is at work in it. `number` is an int object
 * that the interpreter may have made for the call. */
static inline struct mp_thread *
begin_event(const PyObject *number)
{
    struct mp_thread *self = mp_thread_self();
    if (MP_UNLIKELY(!self))
        return NULL;
    if (MP_UNLIKELY(atomic_load_explicit(&self->guard, memory_order_relaxed) != self->idle))
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
on_start(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
         PyObject *Py_UNUSED(names))
{
    struct mp_thread *self = begin_event(args[1]);
    if (self)
        mp_activation_enter(self, own_frame(), (const PyCodeObject *)args[0]);
    Py_RETURN_NONE;
}

static PyObject *
on_resume(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
          PyObject *Py_UNUSED(names))
{
    const PyCodeObject *code = (const PyCodeObject *)args[0];
    struct mp_thread *self = mp_selection_may_have(code) ? begin_event(args[1]) : NULL;
    if (self)
        mp_activation_resume(self, own_frame(), code);
    Py_RETURN_NONE;
}

static PyObject *
on_line(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
        PyObject *Py_UNUSED(names))
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
on_jump(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
        PyObject *Py_UNUSED(names))
{
    const long from = PyLong_AsLong(args[1]), to = PyLong_AsLong(args[2]);
    const struct mp_jump jump = {(int)from, (int)to};
    struct mp_thread *self = to < from ? begin_jump(args[1], args[2]) : NULL;
    if (to > from ||
        (self && !mp_activation_jump(self, own_frame(), (PyCodeObject *)args[0], jump)))
        return Py_NewRef(disable);
    Py_RETURN_NONE;
}

static PyObject *
leave(PyObject *const *args, bool suspended)
{
    const PyCodeObject *code = (const PyCodeObject *)args[0];
    struct mp_thread *self = mp_selection_may_have(code) ? begin_event(args[1]) : NULL;
    if (self)
        mp_activation_leave(self, own_frame(), suspended);
    Py_RETURN_NONE;
}

static PyObject *
on_end(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
       PyObject *Py_UNUSED(names))
{
    return leave(args, false);
}

static PyObject *
on_yield(PyObject *Py_UNUSED(callback), PyObject *const *args, size_t Py_UNUSED(count),
         PyObject *Py_UNUSED(names))
{
    return leave(args, true);
}

/* `local` events are set on the code; the others can only be set for all code, and happen where
 * an exception leaves a function or is thrown into a generator. */
static const struct event {
    const char *name;
    vectorcallfunc call;
    bool local;
} events[] = {
    {"PY_START", on_start, true}, {"PY_RESUME", on_resume, true}, {"LINE", on_line, true},
    {"PY_RETURN", on_end, true},  {"PY_YIELD", on_yield, true},   {"JUMP", on_jump, true},
    {"PY_UNWIND", on_end, false}, {"PY_THROW", on_resume, false},
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

static long numbers[EVENTS];         /* of the events */
static PyObject *callbacks[EVENTS]; /* made once, as the numbers */
static PyTypeObject *callback_type;
static bool tells_of_end;

/* What the interpreter calls. A built-in function does as well, with twice the way to it. */
struct callback {
    PyObject_HEAD
    vectorcallfunc call;
};

static PyObject *
make_callback(vectorcallfunc call)
{
    static PyMemberDef members[] = {
        {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct callback, call), READONLY, NULL}, {0}};
    static PyType_Slot slots[] = {{Py_tp_members, members},
                                  {Py_tp_call, (void *)(uintptr_t)PyVectorcall_Call},
                                  {0, NULL}};
    static PyType_Spec spec = {
        .name = "memprof._core.LineCallback",
        .basicsize = sizeof(struct callback),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                 Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    if (!callback_type)
        callback_type = (PyTypeObject *)PyType_FromSpec(&spec);
    struct callback *callback =
        callback_type ? PyObject_New(struct callback, callback_type) : NULL;
    if (callback)
        callback->call = call;
    return (PyObject *)callback;
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

/* Python ends; a program that embeds it may start it again. */
static void
forget(void)
{
    tells_of_end = false;
    disable = NULL;
    callback_type = NULL;
    memset(callbacks, 0, sizeof callbacks);
    tool = -1;
    watched = 0;
}

/* -1 with an exception set. */
static int
prepare(void)
{
    if (disable)
        return 0;
    if (!tells_of_end)
        tells_of_end = Py_AtExit(forget) == 0;
    for (int i = 0; i < EVENTS; i++) {
        numbers[i] = number_of(events[i].name);
        if (!callbacks[i])
            callbacks[i] = make_callback(events[i].call);
        if (numbers[i] < 0 || !callbacks[i])
            return -1;
    }
    disable = PyObject_GetAttrString(monitoring(), "DISABLE");
    return disable ? 0 : -1;
}

static long
set_of(bool local)
{
    long set = 0;
    for (int i = 0; i < EVENTS; i++)
        set |= events[i].local == local ? numbers[i] : 0;
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
register_callback(int event, bool on)
{
    return CALL("register_callback", "ilO", tool, numbers[event],
                on ? callbacks[event] : Py_None);
}

static void
close_tool(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    int failed = CALL("set_events", "ii", tool, 0);
    for (int i = 0; i < EVENTS; i++)
        failed |= register_callback(i, false);
    failed |= CALL("free_tool_id", "i", tool);
    if (failed && PyErr_Occurred())
        PyErr_WriteUnraisable(NULL);
    tool = -1;
    PyErr_Restore(type, value, traceback);
}

static int
open_tool(void)
{
    tool = monitoring() && prepare() == 0 ? claim_tool() : -1;
    if (tool < 0)
        return -1;
    int failed = 0;
    for (int i = 0; i < EVENTS && !failed; i++)
        failed = register_callback(i, true);
    if (failed || CALL("set_events", "il", tool, set_of(false))) {
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
    if (CALL("set_local_events", "iOl", tool, code, set_of(true))) {
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
    if (!mp_selection_has(code) && CALL("set_local_events", "iOi", tool, code, 0))
        PyErr_WriteUnraisable((PyObject *)code);
    if (--watched == 0)
        close_tool();
}

#endif
