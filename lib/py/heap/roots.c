/* From where objects are held: modules, running frames, the data of threads. */
#include "py/heap/heap.h"

#include <string.h>

#include "py/cpython/frames.h"
#include "py/cpython/text.h"

enum { NAME = 256 };

static uint32_t
intern(struct mp_heap *heap, PyObject *text)
{
    char buffer[NAME];
    return mp_names_intern(&heap->names, buffer, mp_text_encode(text, buffer, sizeof buffer));
}

void
mp_heap_add_named_root(struct mp_heap *heap, enum mp_root_kind kind, const char *name,
                       PyObject *object)
{
    if (object)
        mp_heap_add_root(heap,
                         (struct mp_root){.node = mp_heap_add(heap, object),
                                          .kind = kind,
                                          .name = mp_names_intern(&heap->names, name, strlen(name))});
}

/* ---- modules ------------------------------------------------------------------------------- */

static bool
is_own_module(PyObject *name)
{
    char text[9];
    const size_t length = mp_text_encode(name, text, sizeof text);
    return length >= 7 && memcmp(text, "memprof", 7) == 0 && (length == 7 || text[7] == '.');
}

static void
add_module(struct mp_heap *heap, PyObject *name, PyObject *module)
{
    const bool own = is_own_module(name);
    mp_heap_add_root(heap, (struct mp_root){.node = mp_heap_add(heap, module),
                                            .kind = own ? MP_ROOT_OWN : MP_ROOT_MODULE,
                                            .name = intern(heap, name)});
    if (own && PyModule_Check(module))
        mp_heap_add_root(heap,
                         (struct mp_root){.node = mp_heap_add(heap, PyModule_GetDict(module)),
                                          .kind = MP_ROOT_OWN, .name = intern(heap, name)});
}

/* The main module first: of paths of one length that through it is taken. */
static void
add_modules(struct mp_heap *heap)
{
    PyObject *modules = PyImport_GetModuleDict(), *name, *module;
    if (!modules || !PyDict_Check(modules))
        return;
    for (int round = 0; round < 2; round++) {
        Py_ssize_t at = 0;
        while (PyDict_Next(modules, &at, &name, &module))
            if (PyUnicode_CheckExact(name) && mp_text_is(name, "__main__") == (round == 0))
                add_module(heap, name, module);
    }
}

/* ---- frames ----------------------------------------------------------------------------------- */

/* The object behind a slot of a frame; NULL for an empty one and for what is no object. */
static PyObject *
slot_object(uintptr_t slot)
{
    if (MP_FRAME_TAGGED && (slot & 3) == 3)
        return NULL; /* a small number */
    return (PyObject *)(MP_FRAME_TAGGED ? slot & ~(uintptr_t)7 : slot);
}

static PyCodeObject *
code_of(const struct mp_heap *heap, const char *frame)
{
    PyObject *code = (PyObject *)mp_frame_code(frame);
    return code && mp_heap_can_read(heap, code, sizeof(PyCodeObject)) && PyCode_Check(code)
               ? (PyCodeObject *)code
               : NULL;
}

void
mp_heap_each_local(const struct mp_heap *heap, const char *frame,
                   void (*visit)(PyObject *name, PyObject *value, void *data), void *data)
{
    PyCodeObject *code = code_of(heap, frame);
    if (!code)
        return;
    const uintptr_t *slots = (const uintptr_t *)(frame + MP_FRAME_LOCALS);
    const size_t count = (size_t)code->co_nlocalsplus;
    if (!mp_heap_can_read(heap, slots, count * sizeof *slots))
        return;
    for (size_t i = 0; i < count; i++) {
        PyObject *value = slot_object(slots[i]);
        if (value)
            visit(PyTuple_GET_ITEM(code->co_localsplusnames, (Py_ssize_t)i), value, data);
    }
}

struct locals {
    struct mp_heap *heap;
    uint32_t kind, function;
};

static void
add_local(PyObject *name, PyObject *value, void *data)
{
    const struct locals *locals = data;
    mp_heap_add_root(locals->heap, (struct mp_root){.node = mp_heap_add(locals->heap, value),
                                                    .kind = locals->kind,
                                                    .name = intern(locals->heap, name),
                                                    .name2 = locals->function});
}

static bool
is_own_frame(const struct mp_heap *heap, const PyCodeObject *code)
{
    char text[1024];
    const size_t length = strlen(heap->own_path);
    const size_t encoded = mp_text_encode(code->co_filename, text, sizeof text);
    return length && encoded >= length && memcmp(text, heap->own_path, length) == 0;
}

/* What may lie on the evaluation stack: it is not known how far that reaches. */
static void
add_stack(struct mp_heap *heap, const char *frame, const PyCodeObject *code)
{
    const uintptr_t *slots = (const uintptr_t *)(frame + MP_FRAME_LOCALS);
    const int begin = code->co_nlocalsplus;
    if (!mp_heap_can_read(heap, slots, (size_t)(begin + code->co_stacksize) * sizeof *slots))
        return;
    for (int i = begin; i < begin + code->co_stacksize; i++)
        mp_heap_add_root(heap, (struct mp_root){
                                   .node = mp_heap_find(heap, (uintptr_t)slot_object(slots[i])),
                                   .kind = MP_ROOT_STACK, .name2 = intern(heap, code->co_qualname)});
}

static void
add_frame(struct mp_heap *heap, const char *frame, bool stacks)
{
    const PyCodeObject *code = code_of(heap, frame);
    if (!code)
        return;
    const bool own = is_own_frame(heap, code);
    struct locals locals = {heap, own ? MP_ROOT_OWN : MP_ROOT_FRAME,
                            intern(heap, code->co_qualname)};
    if (!stacks)
        mp_heap_each_local(heap, frame, add_local, &locals);
    else if (!own) /* memprof holds what it looks at: more likely a left-over of the program's */
        add_stack(heap, frame, code);
}

/* ---- threads ------------------------------------------------------------------------------------ */

static void
add_frames(struct mp_heap *heap, PyThreadState *thread, bool stacks)
{
    for (const char *frame = mp_frame_top(thread); frame; frame = mp_frame_previous(frame))
        if (mp_frame_is_python(frame))
            add_frame(heap, frame, stacks);
}

static void
add_thread(struct mp_heap *heap, PyThreadState *thread)
{
    mp_heap_add_named_root(heap, MP_ROOT_THREAD, "thread-local", thread->dict);
    mp_heap_add_named_root(heap, MP_ROOT_CONTEXT, "context", thread->context);
    add_frames(heap, thread, false);
}

static PyThreadState *
first_thread(void)
{
    return PyInterpreterState_ThreadHead(PyInterpreterState_Get());
}

void
mp_heap_find_roots(struct mp_heap *heap)
{
    add_modules(heap);
    mp_heap_find_internals(heap);
    for (PyThreadState *thread = first_thread(); thread; thread = PyThreadState_Next(thread))
        add_thread(heap, thread);
}

void
mp_heap_find_stacks(struct mp_heap *heap)
{
    for (PyThreadState *thread = first_thread(); thread; thread = PyThreadState_Next(thread))
        add_frames(heap, thread, true);
}
