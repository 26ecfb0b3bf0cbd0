#include "py/stack/code.h"

#include <assert.h>

#include "base/linetable.h"
#include "py/cpython/frames.h"
#include "py/cpython/text.h"
#include "record/tracer.h"

/* ---- text ---------------------------------------------------------------------- */

/* Name id of a Python string, 0 for none; false: no memory for it. PyUnicode_AsUTF8
 * would allocate. */
static bool
intern_text(struct mp_py_thread *self, PyObject *text, uint32_t *name)
{
    struct mp_names *names = &mp_tracer.depot.names;
    *name = 0;
    if (!text || !PyUnicode_Check(text))
        return true;
    const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (length == 0)
        return true;
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *name = mp_names_intern(names, PyUnicode_DATA(text), (size_t)length);
        return *name != 0;
    }
    if (!mp_cache_reserve_text(self, (size_t)length * 4))
        return false;
    char *end = self->text;
    for (Py_ssize_t i = 0; i < length; i++)
        end += mp_text_put(PyUnicode_READ_CHAR(text, i), end);
    assert((size_t)(end - self->text) <= self->text_capacity);
    *name = mp_names_intern(names, self->text, (size_t)(end - self->text));
    return *name != 0;
}

/* ---- location -------------------------------------------------------------------- */

static uint32_t
line_of(struct mp_py_thread *self, const PyCodeObject *code, int64_t offset)
{
    struct mp_line_cursor *cursor = &self->lines[((uintptr_t)code >> 6) & (MP_LINE_CURSORS - 1)];
    return mp_linetable_seek(cursor, (const uint8_t *)PyBytes_AS_STRING(code->co_linetable),
                             (size_t)PyBytes_GET_SIZE(code->co_linetable), code->co_firstlineno,
                             offset);
}

/* The birth of the code object, or of its instructions, which may be a copy of the thread's that
 * dies before the code object does: the later one. 0: there is no memory. */
static uint32_t
mark(const PyCodeObject *code, uintptr_t start)
{
    const uint32_t birth = mp_tracer_mark_code((uintptr_t)code);
    if (!birth || start == (uintptr_t)code->co_code_adaptive)
        return birth;
    const uint32_t of_copy = mp_tracer_mark_code(start);
    return of_copy && of_copy < birth ? birth : of_copy;
}

static uint32_t
resolve(struct mp_py_thread *self, const struct mp_frame_key *frame, uint32_t *birth)
{
    const PyCodeObject *code = (const PyCodeObject *)frame->code;
    const uintptr_t start = mp_code_start(code, frame->ip);
    const int64_t offset = (int64_t)(frame->ip - start);
    struct mp_location location = {
        .first_line = (uint32_t)code->co_firstlineno,
        .line = line_of(self, code, offset),
    };
    if (!intern_text(self, code->co_filename, &location.file) ||
        !intern_text(self, code->co_qualname, &location.function) ||
        !(*birth = mark(code, start)))
        return 0;
    return mp_depot_location(&mp_tracer.depot, &location);
}

uint32_t
mp_code_location(struct mp_py_thread *self, const struct mp_frame_key *frame, uint32_t *birth)
{
    struct mp_location_slot *slot = mp_location_slot(self, frame->ip);
    assert(frame->code != 0 && frame->ip != 0);
    if (slot->ip == frame->ip) {
        *birth = slot->birth;
        return slot->location;
    }
    const uint32_t location = resolve(self, frame, birth);
    assert(!(location & MP_FOLDED));
    if (location)
        *slot = (struct mp_location_slot){frame->ip, location, *birth};
    return location;
}
