#include "py/heap/walks.h"

#include "py/heap/frame_slots.h"
#include "py/heap/types.h"

void
mp_walk_say(const struct mp_walk *walk, PyObject *child, const struct mp_label *label)
{
    const uint32_t node = child ? mp_heap_find(walk->pass->heap, (uintptr_t)child) : 0;
    if (node)
        walk->visit(node, label, walk->data);
}

void
mp_walk_say_word(const struct mp_walk *walk, PyObject *child, const char *word)
{
    mp_walk_say(walk, child, &(struct mp_label){.step = MP_STEP_ATTRIBUTE, .word = word});
}

void
mp_walk_say_hidden(const struct mp_walk *walk, PyObject *child, enum mp_role role)
{
    mp_walk_say(walk, child, &(struct mp_label){.step = MP_STEP_HIDDEN, .role = role});
}

/* ---- dicts and sequences ------------------------------------------------------------------ */

static struct mp_label
label_of_entry(enum mp_role role, PyObject *key, PyObject *value)
{
    const bool text = PyUnicode_CheckExact(key);
    if (role == MP_ROLE_NAMESPACE && text)
        return (struct mp_label){.step = MP_STEP_ATTRIBUTE, .text = key};
    if (role == MP_ROLE_DEFAULTS && text)
        return (struct mp_label){.step = MP_STEP_DEFAULT, .text = key};
    if (role == MP_ROLE_THREAD && text) /* "thread.local...": the data of a threading.local */
        return (struct mp_label){.step = MP_STEP_HIDDEN,
                                 .role = PyDict_Check(value) ? MP_ROLE_NAMESPACE
                                                             : MP_ROLE_LOCALS};
    if (role == MP_ROLE_LOCALS)
        return (struct mp_label){.step = MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE};
    return (struct mp_label){.step = MP_STEP_KEY, .text = key};
}

void
mp_walk_dict(const struct mp_walk *walk)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(walk->object, &at, &key, &value)) {
        const struct mp_label label = label_of_entry(walk->held->role, key, value);
        mp_walk_say(walk, value, &label);
        mp_walk_say(walk, key, &(struct mp_label){.step = MP_STEP_AS_KEY});
    }
}

/* The code of the function whose closure or defaults these are; NULL where there is none. */
static const PyCodeObject *
parent_code(const struct mp_walk *walk)
{
    const uint32_t parent = walk->held->parent;
    const struct mp_type_row *row = parent ? mp_row_of(walk->pass->heap, parent) : NULL;
    return row && row->code ? row->code(mp_pass_object(walk->pass, parent)) : NULL;
}

/* Name of the i-th closure variable or default of a function; NULL when there is none. */
static PyObject *
name_in_code(const PyCodeObject *code, enum mp_role role, Py_ssize_t i, Py_ssize_t count)
{
    Py_ssize_t at = code->co_argcount - count + i;
    if (role == MP_ROLE_CLOSURE)
        at = code->co_nlocalsplus - code->co_nfreevars + i;
    return at >= 0 && at < code->co_nlocalsplus ? PyTuple_GET_ITEM(code->co_localsplusnames, at)
                                                : NULL;
}

void
mp_walk_tuple(const struct mp_walk *walk)
{
    const enum mp_role role = walk->held->role;
    const bool named = role == MP_ROLE_CLOSURE || role == MP_ROLE_DEFAULTS;
    const PyCodeObject *code = named ? parent_code(walk) : NULL;
    const Py_ssize_t count = PyTuple_GET_SIZE(walk->object);
    for (Py_ssize_t i = 0; i < count; i++) {
        struct mp_label label = {.step = MP_STEP_INDEX, .index = i};
        if (code) {
            label.text = name_in_code(code, role, i, count);
            label.step = role == MP_ROLE_CLOSURE ? MP_STEP_CLOSURE : MP_STEP_DEFAULT;
        }
        mp_walk_say(walk, PyTuple_GET_ITEM(walk->object, i), &label);
    }
}

void
mp_walk_list(const struct mp_walk *walk)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(walk->object); i++)
        mp_walk_say(walk, PyList_GET_ITEM(walk->object, i),
                    &(struct mp_label){.step = MP_STEP_INDEX, .index = i});
}

/* ---- modules, classes, functions ---------------------------------------------------------- */

void
mp_walk_module(const struct mp_walk *walk)
{
    mp_walk_say_hidden(walk, PyModule_GetDict(walk->object), MP_ROLE_NAMESPACE);
}

void
mp_walk_type(const struct mp_walk *walk)
{
    const PyTypeObject *type = (PyTypeObject *)walk->object;
    mp_walk_say_hidden(walk, type->tp_dict, MP_ROLE_NAMESPACE);
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        mp_walk_say_word(walk, (PyObject *)type->tp_subclasses, "__subclasses__()");
}

void
mp_walk_function(const struct mp_walk *walk)
{
    const PyFunctionObject *function = (PyFunctionObject *)walk->object;
    mp_walk_say_hidden(walk, function->func_closure, MP_ROLE_CLOSURE);
    mp_walk_say_hidden(walk, function->func_defaults, MP_ROLE_DEFAULTS);
    mp_walk_say_hidden(walk, function->func_kwdefaults, MP_ROLE_DEFAULTS);
    mp_walk_say_hidden(walk, function->func_dict, MP_ROLE_NAMESPACE);
    mp_walk_say_word(walk, function->func_globals, "__globals__");
}

void
mp_walk_cell(const struct mp_walk *walk)
{
    mp_walk_say_hidden(walk, PyCell_GET(walk->object), MP_ROLE_PLAIN);
}

/* ---- frames, exceptions ------------------------------------------------------------------- */

static void
say_local(PyObject *name, PyObject *value, void *data)
{
    mp_walk_say(data, value, &(struct mp_label){.step = MP_STEP_LOCAL, .text = name});
}

static void
walk_locals(const struct mp_walk *walk, const char *frame)
{
    if (mp_pass_can_read(walk->pass, frame, MP_FRAME_LOCALS))
        mp_frame_slots_locals(walk->pass, frame, say_local, (void *)(uintptr_t)walk);
}

/* A suspended frame lies at the end of its generator or coroutine. */
void
mp_walk_suspended(const struct mp_walk *walk)
{
    const char *end = (const char *)walk->object + Py_TYPE(walk->object)->tp_basicsize;
    walk_locals(walk, end - MP_FRAME_LOCALS);
}

/* A frame object refers to its frame behind f_back. */
void
mp_walk_frame(const struct mp_walk *walk)
{
    const char *fields = (const char *)(walk->object + 1);
    walk_locals(walk, *(const char *const *)(const void *)(fields + sizeof(void *)));
}

void
mp_walk_exception(const struct mp_walk *walk)
{
    const PyBaseExceptionObject *error = (PyBaseExceptionObject *)walk->object;
    mp_walk_say_word(walk, error->traceback, "__traceback__");
    mp_walk_say_word(walk, error->context, "__context__");
    mp_walk_say_word(walk, error->cause, "__cause__");
    mp_walk_say_word(walk, error->args, "args");
    mp_walk_say_hidden(walk, error->dict, MP_ROLE_NAMESPACE);
}

/* ---- types of extensions ------------------------------------------------------------------ */

/* The base and the dtype of a numpy array (see sizes.c), in words after its head. */
void
mp_walk_numpy(const struct mp_walk *walk)
{
    enum { BASE = 4, DTYPE = 5 };
    PyObject *const *words = (PyObject *const *)(walk->object + 1);
    if (Py_TYPE(walk->object)->tp_basicsize <
        (Py_ssize_t)(sizeof(PyObject) + (DTYPE + 1) * sizeof *words))
        return;
    mp_walk_say_word(walk, words[BASE], "base");
    mp_walk_say_word(walk, words[DTYPE], "dtype");
}

/* A node of a context's tree reports each value next to its key, from the last to the first. */
void
mp_walk_context(const struct mp_walk *walk)
{
    const struct mp_heap *heap = walk->pass->heap;
    const uint32_t *target = heap->graph.target, end = heap->graph.first[walk->held->node + 1];
    for (uint32_t edge = heap->graph.first[walk->held->node]; edge < end; edge++) {
        struct mp_label label = {.step = MP_STEP_HIDDEN};
        const struct mp_type_row *key = edge + 1 < end ? mp_row_of(heap, target[edge + 1]) : NULL;
        if (key && key->name_of)
            label = (struct mp_label){
                .step = MP_STEP_CONTEXT,
                .text = key->name_of(mp_pass_object(walk->pass, target[edge + 1]))};
        walk->visit(target[edge], &label, walk->data);
    }
}
