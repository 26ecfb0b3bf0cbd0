/* extension: memprof_track and its kin for C extensions of Python, without linking.
 *
 * Include it after Python.h, in one C file or in several (each has its own copy).
 * The functions are reached through a capsule of the memprof package when that is
 * imported in the process; until then they do nothing and return
 * MEMPROF_NOT_TRACING, so an extension can be shipped with these calls in it and
 * never needs memprof to be installed.
 *
 *     static void *
 *     pool_take(struct pool *pool, size_t size)
 *     {
 *         void *block = pool_carve(pool, size);
 *         if (block)
 *             memprof_ext_track(MY_DOMAIN, (uintptr_t)block, size);
 *         return block;
 *     }
 *
 * Call memprof_ext_import() with the GIL held: when your module is initialised and
 * again whenever you like; it is cheap, and finds memprof once it is there. The other
 * functions may be called from any thread, without the GIL.
 */
#ifndef MEMPROF_EXTENSION_H
#define MEMPROF_EXTENSION_H

#include <stddef.h>
#include <stdint.h>

#define MEMPROF_CAPSULE "memprof._core.c_api"
#define MEMPROF_CAPSULE_VERSION 1

/* What the capsule points to; later versions only add members at the end. */
struct memprof_capsule {
    unsigned int version;
    int (*track)(unsigned int domain, uintptr_t address, size_t size);
    int (*untrack)(unsigned int domain, uintptr_t address);
    int (*move)(unsigned int domain, uintptr_t old_address, uintptr_t new_address, size_t size);
    int (*is_tracing)(void);
};

#ifdef Py_PYTHON_H

static const struct memprof_capsule *memprof_ext_capsule;

/* Look for memprof in this process; 1 when it is there, else 0. Never imports it and
 * never leaves an exception set. */
static inline int
memprof_ext_import(void)
{
    if (memprof_ext_capsule)
        return 1;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *core = modules ? PyDict_GetItemString(modules, "memprof._core") : NULL;
    PyObject *capsule = core ? PyObject_GetAttrString(core, "c_api") : NULL;
    const struct memprof_capsule *found = NULL;
    if (capsule)
        found = (const struct memprof_capsule *)PyCapsule_GetPointer(capsule, MEMPROF_CAPSULE);
    Py_XDECREF(capsule);
    PyErr_Clear();
    if (found && found->version >= MEMPROF_CAPSULE_VERSION)
        memprof_ext_capsule = found;
    return memprof_ext_capsule != NULL;
}

/* As memprof_track in memprof.h: 0 done, -1 no memory, -2 not tracing. */
static inline int
memprof_ext_track(unsigned int domain, uintptr_t address, size_t size)
{
    return memprof_ext_capsule ? memprof_ext_capsule->track(domain, address, size) : -2;
}

/* As memprof_untrack. */
static inline int
memprof_ext_untrack(unsigned int domain, uintptr_t address)
{
    return memprof_ext_capsule ? memprof_ext_capsule->untrack(domain, address) : -2;
}

/* As memprof_move. */
static inline int
memprof_ext_move(unsigned int domain, uintptr_t old_address, uintptr_t new_address, size_t size)
{
    return memprof_ext_capsule
               ? memprof_ext_capsule->move(domain, old_address, new_address, size)
               : -2;
}

#endif
#endif
