/* Types whose tp_traverse is wrong in all the ways that come to mind. The collector itself
 * would not survive some of them: use with gc.disable(). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct wrong {
    PyObject_HEAD
    PyObject *held;
    int way;
};

enum { WILD, UNMAPPED, ODD, NO_OBJECT, TWICE, NOTHING, TYPE_IS_WILD, WAYS };

static uintptr_t no_object[4] = {1, 2, 3, 4};          /* its type is no pointer */
static uintptr_t wild_type[4] = {1, 0x7000000000, 0, 0}; /* its type cannot be read */

static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    struct wrong *wrong = (struct wrong *)self;
    PyObject *const pointers[WAYS] = {
        [WILD] = (PyObject *)0x10, [UNMAPPED] = (PyObject *)0x700000000000,
        [ODD] = (PyObject *)((char *)wrong->held + 1), [NO_OBJECT] = (PyObject *)no_object,
        [TWICE] = wrong->held, [TYPE_IS_WILD] = (PyObject *)wild_type,
    };
    PyObject *pointer = pointers[wrong->way];
    if (pointer) {
        const int status = visit(pointer, arg);
        if (status)
            return status;
    }
    if (wrong->way != NOTHING)
        Py_VISIT(wrong->held);
    return 0;
}

static PyObject *
make(PyObject *type, PyObject *args)
{
    PyObject *held;
    int way;
    if (!PyArg_ParseTuple(args, "iO", &way, &held))
        return NULL;
    struct wrong *self = PyObject_GC_New(struct wrong, (PyTypeObject *)type);
    if (!self)
        return NULL;
    self->held = Py_NewRef(held);
    self->way = way;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyMethodDef methods[] = {
    {"make", make, METH_VARARGS | METH_CLASS, "make(way, held)"},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_traverse, traverse},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "wrong.Wrong",
    .basicsize = sizeof(struct wrong),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "wrong", .m_size = 0};

PyMODINIT_FUNC
PyInit_wrong(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = module ? PyType_FromSpec(&spec) : NULL;
    if (!type || PyModule_AddObjectRef(module, "Wrong", type))
        return NULL;
    return module;
}
