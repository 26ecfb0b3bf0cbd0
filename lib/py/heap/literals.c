#include "py/heap/literals.h"

#include <assert.h>
#include <stdio.h>

#include "py/cpython/text.h"

enum { SHOWN = 40, LONGEST = 4 * SHOWN + 4 };

struct quoted {
    const char *prefix;
    const char *text;
    size_t length;
};

static size_t
quote(const struct quoted *quoted, char *out, size_t size)
{
    assert(quoted->length <= SHOWN && size >= LONGEST);
    size_t used = (size_t)snprintf(out, size, "%s'", quoted->prefix);
    for (size_t i = 0; i < quoted->length && used + 6 < size; i++) {
        const unsigned char c = (unsigned char)quoted->text[i];
        if (c == '\'' || c == '\\')
            used += (size_t)snprintf(out + used, size - used, "\\%c", c);
        else if (c < ' ' || c == 0x7f || (*quoted->prefix && c > 0x7f))
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
        else
            out[used++] = (char)c;
    }
    out[used++] = '\'';
    return used;
}

size_t
mp_literal_text(PyObject *key, char *out, size_t size)
{
    char text[SHOWN];
    return quote(&(struct quoted){"", text, mp_text_encode(key, text, sizeof text)}, out, size);
}

size_t
mp_literal_bytes(PyObject *key, char *out, size_t size)
{
    const Py_ssize_t length = PyBytes_GET_SIZE(key);
    const size_t shown = length < SHOWN ? (size_t)length : SHOWN;
    return quote(&(struct quoted){"b", PyBytes_AS_STRING(key), shown}, out, size);
}

size_t
mp_literal_int(PyObject *key, char *out, size_t size)
{
    int overflow = 0;
    const long value = PyLong_AsLongAndOverflow(key, &overflow);
    return overflow ? 0 : (size_t)snprintf(out, size, "%ld", value);
}

size_t
mp_literal_bool(PyObject *key, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s", key == Py_True ? "True" : "False");
}

size_t
mp_literal_none(PyObject *key, char *out, size_t size)
{
    (void)key;
    return (size_t)snprintf(out, size, "None");
}
