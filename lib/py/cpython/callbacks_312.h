/* Callbacks of sys.monitoring and handlers of signals, CPython 3.12 and later. For
 * interpreter_3xx.h, which says what mp_signal_handler() is. */
#ifndef MP_CALLBACKS_H
#define MP_CALLBACKS_H

static inline void
mp_interpreter_each_callback(const PyInterpreterState *interpreter,
                             void (*visit)(const char *name, PyObject *object, void *data),
                             void *data)
{
    PyObject *const *callback = &interpreter->monitoring_callables[0][0];
    const size_t size = sizeof interpreter->monitoring_callables;
    for (size_t i = 0; i < size / sizeof *callback; i++)
        visit("sys.monitoring.register_callback()", callback[i], data);
    for (int i = 0; i < PY_MONITORING_TOOL_IDS; i++)
        visit("sys.monitoring.use_tool_id()", interpreter->monitoring_tool_names[i], data);
    /* The handlers are objects of the main one, which is the last field of what they are in. */
    if (interpreter != PyInterpreterState_Main() || interpreter != &_PyRuntime._main_interpreter)
        return;
    for (int i = 1; i < Py_NSIG; i++)
        visit("signal.signal()", mp_signal_handler(i), data);
}

#endif
