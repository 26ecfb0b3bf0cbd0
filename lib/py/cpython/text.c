#include "py/cpython/text.h"

#include <string.h>

#include "base/debug.h"

size_t
mp_text_put(Py_UCS4 c, char out[4])
{
    assert(c <= 0x10ffff);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[length] | c);
    return length;
}

size_t
mp_text_encode(PyObject *text, char *out, size_t size)
{
    size_t used = 0;
    assert(out || !size);
    if (!text || !PyUnicode_CheckExact(text) || !mp_text_is_ready(text))
        return 0;
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text); i++) {
        char character[4];
        const size_t length = mp_text_put(PyUnicode_READ_CHAR(text, i), character);
        if (length > size - used)
            break;
        memcpy(out + used, character, length);
        used += length;
    }
    return used;
}

bool
mp_text_is(PyObject *text, const char *ascii)
{
    const size_t length = strlen(ascii);
    return text && PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text) &&
           (size_t)PyUnicode_GET_LENGTH(text) == length &&
           memcmp(PyUnicode_DATA(text), ascii, length) == 0;
}
