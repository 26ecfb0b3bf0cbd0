#include "py/cpython/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/debug.h"
#include "os/memory_map.h"
#include "py/cpython/frames.h"

enum { MAX_FRAMES = 100 }; /* of the running ones; the rest is no different */

struct mp_layout
mp_verify_layout(void)
{
    return (struct mp_layout){MP_FRAME_CODE, MP_FRAME_PREVIOUS, MP_FRAME_IP, MP_FRAME_OWNER};
}

static bool
refuse(char *text, const char *why)
{
    char version[16] = "";
    sscanf(Py_GetVersion(), "%15s", version);
    snprintf(text, MP_VERIFY_TEXT,
             "memprof was compiled for a Python %s with other frames than this Python %s "
             "(%s); install a memprof that was built for it",
             MP_BUILT_FOR, version, why);
    return false;
}

/* ---- CPython's table of offsets -------------------------------------------------------------- */

#if MP_DEBUG_FRAME
extern const uint64_t runtime_words[] __asm__("_PyRuntime");

static bool
check_word(char *text, size_t at, const char *name, size_t ours)
{
    const uint64_t theirs = runtime_words[at / 8];
    char why[80];
    if (theirs == ours)
        return true;
    snprintf(why, sizeof why, "%s at %zu, not %llu", name, ours, (unsigned long long)theirs);
    return refuse(text, why);
}

static bool
check_table(const struct mp_layout *layout, char *text)
{
    if (memcmp(runtime_words, "xdebugpy", 8) != 0)
        return refuse(text, "no table of offsets");
    return check_word(text, MP_DEBUG_FREE_THREADED, "free-threaded", !MP_HAS_GIL) &&
           check_word(text, MP_DEBUG_CURRENT_FRAME, "current_frame",
                      offsetof(PyThreadState, current_frame)) &&
           check_word(text, MP_DEBUG_FRAME, "previous", layout->previous) &&
           check_word(text, MP_DEBUG_FRAME + 8, "executable", layout->code) &&
           check_word(text, MP_DEBUG_FRAME + 16, "instr_ptr", layout->ip) &&
           check_word(text, MP_DEBUG_FRAME + 32, "owner", layout->owner) &&
           check_word(text, MP_DEBUG_CODE_START, "co_code_adaptive",
                      offsetof(PyCodeObject, co_code_adaptive));
}
#else
static bool
check_table(const struct mp_layout *Py_UNUSED(layout), char *Py_UNUSED(text))
{
    return true; /* has none */
}
#endif

/* ---- the frames that run --------------------------------------------------------------------- */

struct raw_frame {
    uintptr_t code, previous, ip;
    unsigned char owner;
};

static bool
read_frame(const struct mp_layout *layout, uintptr_t frame, struct raw_frame *raw)
{
    PyObject object;
    if (!mp_memory_map_copy(frame + layout->previous, &raw->previous, sizeof raw->previous) ||
        !mp_memory_map_copy(frame + layout->code, &raw->code, sizeof raw->code) ||
        !mp_memory_map_copy(frame + layout->ip, &raw->ip, sizeof raw->ip) ||
        !mp_memory_map_copy(frame + layout->owner, &raw->owner, sizeof raw->owner))
        return false;
    raw->code &= MP_FRAME_CODE_MASK;
    if (MP_FRAME_HAS_SHIMS && raw->owner > MP_FRAME_OWNER_LAST)
        return true; /* not code */
    return raw->code && mp_memory_map_copy(raw->code, &object, sizeof object) &&
           Py_TYPE(&object) == &PyCode_Type;
}

static bool
is_shown(const struct raw_frame *raw)
{
    const PyCodeObject *code = (const PyCodeObject *)raw->code;
    if (MP_FRAME_HAS_SHIMS && raw->owner > MP_FRAME_OWNER_LAST)
        return false;
    return raw->owner == MP_FRAME_OWNER_GENERATOR ||
           raw->ip >= mp_code_start(code, raw->ip) + (uintptr_t)code->_co_firsttraceable * 2;
}

/* Go on to the next frame that CPython shows, and compare it with `expected`. */
static const char *
compare(const struct mp_layout *layout, uintptr_t *frame, PyFrameObject *expected)
{
    struct raw_frame raw;
    do {
        if (!*frame)
            return "frames are missing";
        if (!read_frame(layout, *frame, &raw))
            return "a frame cannot be read";
        *frame = raw.previous;
    } while (!is_shown(&raw));

    PyCodeObject *code = PyFrame_GetCode(expected);
    const char *why = NULL;
    if (raw.code != (uintptr_t)code)
        why = "a frame runs other code";
    else if (raw.ip != mp_code_start(code, raw.ip) + (uintptr_t)PyFrame_GetLasti(expected))
        why = "a frame is at another instruction";
    Py_DECREF(code);
    return why;
}

static bool
check_frames(const struct mp_layout *layout, char *text)
{
    PyThreadState *tstate = PyThreadState_Get();
    uintptr_t frame = (uintptr_t)mp_frame_top(tstate);
    PyFrameObject *expected = PyThreadState_GetFrame(tstate);
    const char *why = NULL;

    for (int i = 0; expected && !why && i < MAX_FRAMES; i++) {
        why = compare(layout, &frame, expected);
        PyFrameObject *back = why ? NULL : PyFrame_GetBack(expected);
        Py_DECREF(expected);
        expected = back;
    }
    Py_XDECREF(expected);
    return why ? refuse(text, why) : true;
}

bool
mp_verify(const struct mp_layout *layout, char *text)
{
    assert(layout && text && PyGILState_Check());
    text[0] = '\0';
    return check_table(layout, text) && check_frames(layout, text) && !PyErr_Occurred();
}
