/* memprof._core: the tracer for Python. Flat tuples go out; the package makes views of them. */
#include "core.h"

#include "memprof/extension.h"
#include "memprof/memprof.h"

#include "py/alloc/chain.h"
#include "py/alloc/ending.h"
#include "py/cpython/verify.h"
#include "py/stack/cache.h"
#include "record/tracer.h"

static const struct memprof_capsule capsule = {
    .version = MEMPROF_CAPSULE_VERSION,
    .track = memprof_track,
    .untrack = memprof_untrack,
    .move = memprof_move,
    .is_tracing = memprof_is_tracing,
};

/* What each file adds to the module. */
static int (*const parts[])(PyObject *module) = {
    mp_core_add_trace, mp_core_add_snapshot, mp_core_add_columns, mp_core_add_live_blocks,
    mp_core_add_heap,  mp_core_add_leaks,    mp_core_add_lines,   mp_core_add_process,
    mp_core_add_timeline, mp_core_add_program,
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
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i](module))
            return -1;
    return 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct mp_core_state *state = PyModule_GetState(module);
    Py_VISIT(state->snapshot_type);
    Py_VISIT(state->heap_type);
    Py_VISIT(state->column_type);
    return 0;
}

static int
core_clear_state(PyObject *module)
{
    struct mp_core_state *state = PyModule_GetState(module);
    Py_CLEAR(state->snapshot_type);
    Py_CLEAR(state->heap_type);
    Py_CLEAR(state->column_type);
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
