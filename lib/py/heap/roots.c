#include "py/heap/roots.h"

#include <string.h>

#include "py/cpython/frames.h"
#include "py/cpython/text.h"
#include "py/heap/frame_slots.h"
#include "py/heap/internals.h"

enum { NAME = 256 };

static uint32_t
intern(struct mp_pass *pass, PyObject *text)
{
    char buffer[NAME];
    return mp_names_intern(&pass->heap->names, buffer,
                           mp_text_encode(text, buffer, sizeof buffer));
}

void
mp_roots_add_named(struct mp_pass *pass, enum mp_root_kind kind, const char *name,
                   PyObject *object)
{
    struct mp_root root = {.kind = kind};
    if (!object)
        return;
    root.node = mp_pass_add(pass, object);
    root.name = mp_names_intern(&pass->heap->names, name, strlen(name));
    mp_heap_add_root(pass->heap, &root);
}

/* ---- modules ------------------------------------------------------------------------------ */

static bool
is_own_module(PyObject *name)
{
    char text[9];
    const size_t length = mp_text_encode(name, text, sizeof text);
    return length >= 7 && memcmp(text, "memprof", 7) == 0 && (length == 7 || text[7] == '.');
}

static void
add_module(struct mp_pass *pass, PyObject *name, PyObject *module)
{
    const bool own = is_own_module(name);
    struct mp_root root = {.kind = own ? MP_ROOT_OWN : MP_ROOT_MODULE};
    root.node = mp_pass_add(pass, module);
    root.name = intern(pass, name);
    mp_heap_add_root(pass->heap, &root);
    if (own && PyModule_Check(module)) {
        root.node = mp_pass_add(pass, PyModule_GetDict(module));
        mp_heap_add_root(pass->heap, &root);
    }
}

/* The main module first: of paths of one length that through it is taken. */
static void
add_modules(struct mp_pass *pass)
{
    PyObject *modules = PyImport_GetModuleDict(), *name, *module;
    if (!modules || !PyDict_Check(modules))
        return;
    for (int round = 0; round < 2; round++) {
        Py_ssize_t at = 0;
        while (PyDict_Next(modules, &at, &name, &module))
            if (PyUnicode_CheckExact(name) && mp_text_is(name, "__main__") == (round == 0))
                add_module(pass, name, module);
    }
}

/* ---- frames ------------------------------------------------------------------------------- */

struct frame_roots {
    struct mp_pass *pass;
    uint32_t kind, function;
};

static void
add_local(PyObject *name, PyObject *value, void *data)
{
    const struct frame_roots *roots = data;
    struct mp_root root = {.kind = roots->kind, .name2 = roots->function};
    root.node = mp_pass_add(roots->pass, value);
    root.name = intern(roots->pass, name);
    mp_heap_add_root(roots->pass->heap, &root);
}

/* What may lie on the evaluation stack is a root only where an object is known to be. */
static void
add_of_stack(PyObject *name, PyObject *value, void *data)
{
    const struct frame_roots *roots = data;
    struct mp_heap *heap = roots->pass->heap;
    (void)name;
    mp_heap_add_root(heap, &(struct mp_root){.node = mp_heap_find(heap, (uintptr_t)value),
                                             .kind = MP_ROOT_STACK,
                                             .name2 = roots->function});
}

static bool
is_own_frame(const struct mp_pass *pass, const PyCodeObject *code)
{
    char text[1024];
    const size_t length = strlen(pass->own_path);
    const size_t encoded = mp_text_encode(code->co_filename, text, sizeof text);
    return length && encoded >= length && memcmp(text, pass->own_path, length) == 0;
}

static void
add_frame(struct mp_pass *pass, const char *frame, bool stacks)
{
    const PyCodeObject *code = mp_frame_slots_code(pass, frame);
    if (!code)
        return;
    const bool own = is_own_frame(pass, code);
    struct frame_roots roots = {pass, own ? MP_ROOT_OWN : MP_ROOT_FRAME,
                                intern(pass, code->co_qualname)};
    if (!stacks)
        mp_frame_slots_locals(pass, frame, add_local, &roots);
    else if (!own) /* memprof holds what it looks at: more likely a left-over of the program's */
        mp_frame_slots_stack(pass, frame, add_of_stack, &roots);
}

/* ---- threads ------------------------------------------------------------------------------ */

static void
add_frames(struct mp_pass *pass, PyThreadState *thread, bool stacks)
{
    for (const char *frame = mp_frame_top(thread); frame; frame = mp_frame_previous(frame))
        if (mp_frame_is_python(frame))
            add_frame(pass, frame, stacks);
}

static void
add_thread(struct mp_pass *pass, PyThreadState *thread)
{
    mp_roots_add_named(pass, MP_ROOT_THREAD, "thread-local", thread->dict);
    mp_roots_add_named(pass, MP_ROOT_CONTEXT, "context", thread->context);
    add_frames(pass, thread, false);
}

static PyThreadState *
first_thread(void)
{
    return PyInterpreterState_ThreadHead(PyInterpreterState_Get());
}

void
mp_roots_find(struct mp_pass *pass)
{
    add_modules(pass);
    mp_internals_find(pass);
    for (PyThreadState *thread = first_thread(); thread; thread = PyThreadState_Next(thread))
        add_thread(pass, thread);
}

void
mp_roots_find_stacks(struct mp_pass *pass)
{
    for (PyThreadState *thread = first_thread(); thread; thread = PyThreadState_Next(thread))
        add_frames(pass, thread, true);
}
