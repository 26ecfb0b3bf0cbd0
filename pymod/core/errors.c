/* The one maker of exceptions for statuses of the library, and for words that are none. */
#include "core.h"

#include <errno.h>
#include <string.h>

#include "memprof/memprof.h"

PyObject *
mp_core_raise(int status, const char *path, const char *why)
{
    const char *text = why ? why : memprof_status_text(status);
    if (status == MP_NO_MEMORY)
        return PyErr_NoMemory();
    if (status == MP_SYSTEM)
        return path ? PyErr_SetFromErrnoWithFilename(PyExc_OSError, path)
                    : PyErr_SetFromErrno(PyExc_OSError);
    if (status == MP_NOT_TRACING)
        PyErr_SetString(PyExc_RuntimeError, "memprof is not tracing");
    else if (path)
        PyErr_Format(PyExc_ValueError, "cannot read profile '%s': %s", path, text);
    else
        PyErr_SetString(PyExc_ValueError, text);
    return NULL;
}

static int
find_word(const char *text, const char *const *words, int count, const char *what)
{
    for (int i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    PyErr_Format(PyExc_ValueError, "unknown %s: '%s'", what, text);
    return -1;
}

int
mp_core_by(const char *text)
{
    static const char *const words[MP_BYS] = {"line", "file", "function", "stack"};
    return find_word(text, words, MP_BYS, "key");
}

int
mp_core_metric(const char *text)
{
    static const char *const words[MP_METRICS] = {"live", "peak", "total"};
    return find_word(text, words, MP_METRICS, "metric");
}
