/* pool: a C extension with a memory pool of its own, which it shows to memprof.
 *
 * A pool is one piece of static memory, cut into blocks of 64 bytes; a block is taken
 * from the first run of free ones. Beside the pool there are the bare calls of
 * memprof/extension.h, and the same from a thread that Python does not know.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "memprof/extension.h"

enum { UNIT = 64, UNITS = 4096, DOMAIN = 77 };

static _Alignas(UNIT) char memory[UNITS * UNIT];
static unsigned short used[UNITS]; /* at the first unit of a block: its units; within: 1 */

static size_t
units_of(size_t size)
{
    return size ? (size + UNIT - 1) / UNIT : 1;
}

static bool
is_free(size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++)
        if (i >= UNITS || used[i])
            return false;
    return true;
}

static void
mark(size_t at, size_t count, bool taken)
{
    for (size_t i = at; i < at + count; i++)
        used[i] = taken;
    if (taken)
        used[at] = (unsigned short)count;
}

static void *
pool_carve(size_t size)
{
    const size_t count = units_of(size);
    for (size_t at = 0; at < UNITS; at++)
        if (is_free(at, count)) {
            mark(at, count, true);
            return memory + at * UNIT;
        }
    return NULL;
}

static void
pool_return(void *block)
{
    const size_t at = (size_t)((char *)block - memory) / UNIT;
    mark(at, used[at], false);
}

/* ---- the pool, as an extension would use memprof ---------------------------------------- */

static PyObject *
address_or_error(void *block)
{
    return block ? PyLong_FromVoidPtr(block) : PyErr_NoMemory();
}

static PyObject *
pool_take(PyObject *Py_UNUSED(module), PyObject *size)
{
    const size_t bytes = PyLong_AsSize_t(size);
    if (PyErr_Occurred())
        return NULL;
    void *block = pool_carve(bytes);
    if (block)
        memprof_ext_track(DOMAIN, (uintptr_t)block, bytes);
    return address_or_error(block);
}

static PyObject *
pool_give(PyObject *Py_UNUSED(module), PyObject *address)
{
    void *block = PyLong_AsVoidPtr(address);
    if (PyErr_Occurred())
        return NULL;
    memprof_ext_untrack(DOMAIN, (uintptr_t)block);
    pool_return(block);
    Py_RETURN_NONE;
}

static PyObject *
pool_resize(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long address;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "Kn", &address, &size))
        return NULL;
    void *old = (void *)(uintptr_t)address;
    pool_return(old); /* nobody else takes from the pool meanwhile */
    void *block = pool_carve((size_t)size);
    if (block)
        memprof_ext_move(DOMAIN, (uintptr_t)old, (uintptr_t)block, (size_t)size);
    return address_or_error(block);
}

/* ---- the bare calls ------------------------------------------------------------------------ */

static PyObject *
ext_import(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLong(memprof_ext_import());
}

static PyObject *
ext_track(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long address;
    unsigned int domain;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "IKn", &domain, &address, &size))
        return NULL;
    return PyLong_FromLong(memprof_ext_track(domain, (uintptr_t)address, (size_t)size));
}

static PyObject *
ext_untrack(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long address;
    unsigned int domain;
    if (!PyArg_ParseTuple(args, "IK", &domain, &address))
        return NULL;
    return PyLong_FromLong(memprof_ext_untrack(domain, (uintptr_t)address));
}

static PyObject *
ext_move(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long from, to;
    unsigned int domain;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "IKKn", &domain, &from, &to, &size))
        return NULL;
    return PyLong_FromLong(
        memprof_ext_move(domain, (uintptr_t)from, (uintptr_t)to, (size_t)size));
}

/* ---- from threads without the GIL ------------------------------------------------------------ */

struct storm {
    unsigned int domain;
    uintptr_t base; /* of addresses that are this thread's own */
    Py_ssize_t rounds;
    int worst; /* the lowest result */
};

static void
note(struct storm *storm, int result)
{
    if (result < storm->worst)
        storm->worst = result;
}

/* Each round tracks two blocks, moves one and untracks the other. */
static void *
run_storm(void *data)
{
    struct storm *storm = data;
    for (Py_ssize_t i = 0; i < storm->rounds; i++) {
        const uintptr_t block = storm->base + (uintptr_t)i * 16;
        note(storm, memprof_ext_track(storm->domain, block, 100));
        note(storm, memprof_ext_track(storm->domain, block + 1, 50));
        note(storm, memprof_ext_move(storm->domain, block, block + 2, 10));
        note(storm, memprof_ext_untrack(storm->domain, block + 1));
    }
    return NULL;
}

/* storm(domain, base, rounds, own_thread): the lowest result. Without own_thread it runs in
 * the calling thread, but without the GIL too. */
static PyObject *
ext_storm(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct storm storm = {0};
    unsigned long long base;
    pthread_t thread;
    int own_thread;
    if (!PyArg_ParseTuple(args, "IKnp", &storm.domain, &base, &storm.rounds, &own_thread))
        return NULL;
    storm.base = (uintptr_t)base;
    Py_BEGIN_ALLOW_THREADS
    if (own_thread && pthread_create(&thread, NULL, run_storm, &storm) == 0)
        pthread_join(thread, NULL);
    else
        run_storm(&storm);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(storm.worst);
}

static PyMethodDef functions[] = {
    {"take", pool_take, METH_O, "take(size) -> address"},
    {"give", pool_give, METH_O, "give(address)"},
    {"resize", pool_resize, METH_VARARGS, "resize(address, size) -> address"},
    {"connect", ext_import, METH_NOARGS, "memprof_ext_import()"},
    {"track", ext_track, METH_VARARGS, "memprof_ext_track(domain, address, size)"},
    {"untrack", ext_untrack, METH_VARARGS, "memprof_ext_untrack(domain, address)"},
    {"move", ext_move, METH_VARARGS, "memprof_ext_move(domain, old, new, size)"},
    {"storm", ext_storm, METH_VARARGS, "storm(domain, base, rounds, own_thread) -> worst"},
    {0},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pool",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit_pool(void)
{
    memprof_ext_import();
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "DOMAIN", DOMAIN))
        Py_CLEAR(module);
#ifdef Py_GIL_DISABLED
    if (module)
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
