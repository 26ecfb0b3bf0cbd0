#include "py/heap/labels.h"

#include <structmember.h>

#include <stdio.h>
#include <string.h>

#include "py/cpython/text.h"
#include "py/cpython/values.h"

struct walk {
    const struct mp_heap *heap;
    PyObject *object;
    mp_child_visit *visit;
    void *data;
};

static void
say(const struct walk *walk, PyObject *child, struct mp_label label)
{
    if (child)
        walk->visit(child, &label, walk->data);
}

static void
say_word(const struct walk *walk, PyObject *child, const char *word)
{
    say(walk, child, (struct mp_label){.step = MP_STEP_ATTRIBUTE, .word = word});
}

static void
say_hidden(const struct walk *walk, PyObject *child, enum mp_role role)
{
    say(walk, child, (struct mp_label){.step = MP_STEP_HIDDEN, .role = role});
}

/* ---- dicts and sequences ---------------------------------------------------------------------- */

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

static void
walk_dict(const struct walk *walk, enum mp_role role)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(walk->object, &at, &key, &value)) {
        say(walk, value, label_of_entry(role, key, value));
        say(walk, key, (struct mp_label){.step = MP_STEP_AS_KEY});
    }
}

static PyObject *
parent_code(const struct mp_heap *heap, uint32_t parent)
{
    PyObject *function = parent ? mp_heap_object(heap, parent) : NULL;
    return function && PyFunction_Check(function) ? PyFunction_GET_CODE(function) : NULL;
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

static void
walk_tuple(const struct walk *walk, enum mp_role role, uint32_t parent)
{
    const PyCodeObject *code = (PyCodeObject *)parent_code(walk->heap, parent);
    const Py_ssize_t count = PyTuple_GET_SIZE(walk->object);
    for (Py_ssize_t i = 0; i < count; i++) {
        struct mp_label label = {.step = MP_STEP_INDEX, .index = i};
        if (code && (role == MP_ROLE_CLOSURE || role == MP_ROLE_DEFAULTS)) {
            label.text = name_in_code(code, role, i, count);
            label.step = role == MP_ROLE_CLOSURE ? MP_STEP_CLOSURE : MP_STEP_DEFAULT;
        }
        say(walk, PyTuple_GET_ITEM(walk->object, i), label);
    }
}

static void
walk_list(const struct walk *walk)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(walk->object); i++)
        say(walk, PyList_GET_ITEM(walk->object, i),
            (struct mp_label){.step = MP_STEP_INDEX, .index = i});
}

/* ---- functions, frames, exceptions ------------------------------------------------------------ */

static void
walk_function(const struct walk *walk)
{
    const PyFunctionObject *function = (PyFunctionObject *)walk->object;
    say_hidden(walk, function->func_closure, MP_ROLE_CLOSURE);
    say_hidden(walk, function->func_defaults, MP_ROLE_DEFAULTS);
    say_hidden(walk, function->func_kwdefaults, MP_ROLE_DEFAULTS);
    say_hidden(walk, function->func_dict, MP_ROLE_NAMESPACE);
    say_word(walk, function->func_globals, "__globals__");
}

static void
walk_type(const struct walk *walk)
{
    const PyTypeObject *type = (PyTypeObject *)walk->object;
    say_hidden(walk, type->tp_dict, MP_ROLE_NAMESPACE);
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        say_word(walk, (PyObject *)type->tp_subclasses, "__subclasses__()");
}

static void
say_local(PyObject *name, PyObject *value, void *data)
{
    say(data, value, (struct mp_label){.step = MP_STEP_LOCAL, .text = name});
}

static void
walk_frame(struct walk *walk, const char *frame)
{
    if (mp_heap_can_read(walk->heap, frame, MP_FRAME_LOCALS))
        mp_heap_each_local(walk->heap, frame, say_local, walk);
}

/* A suspended frame lies at the end of its generator or coroutine. */
static const char *
suspended_frame(PyObject *object)
{
    return (const char *)object + Py_TYPE(object)->tp_basicsize - MP_FRAME_LOCALS;
}

static bool
has_suspended_frame(PyObject *object)
{
    return PyGen_CheckExact(object) || PyCoro_CheckExact(object) ||
           PyAsyncGen_CheckExact(object);
}

static void
walk_exception(const struct walk *walk)
{
    const PyBaseExceptionObject *error = (PyBaseExceptionObject *)walk->object;
    say_word(walk, error->traceback, "__traceback__");
    say_word(walk, error->context, "__context__");
    say_word(walk, error->cause, "__cause__");
    say_word(walk, error->args, "args");
    say_hidden(walk, error->dict, MP_ROLE_NAMESPACE);
}

/* ---- instances -------------------------------------------------------------------------------- */

/* The names of a type's shared keys (struct _dictkeysobject, split or of str alone). */
static void
walk_values(const struct walk *walk, PyObject **values)
{
    PyTypeObject *type = Py_TYPE(walk->object);
    const char *keys = (const char *)((PyHeapTypeObject *)type)->ht_cached_keys;
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || !keys || keys[10] == 0)
        return;
    const Py_ssize_t count = *(const Py_ssize_t *)(keys + 24);
    PyObject *const *names = (PyObject *const *)(keys + 32 + ((size_t)1 << keys[9]));
    for (Py_ssize_t i = 0; i < count; i++)
        say(walk, values[i], (struct mp_label){.step = MP_STEP_ATTRIBUTE, .text = names[2 * i]});
}

static void
walk_slots(const struct walk *walk)
{
    for (PyTypeObject *type = Py_TYPE(walk->object); type; type = type->tp_base)
        for (const PyMemberDef *member = type->tp_members; member && member->name; member++)
            if ((member->type == T_OBJECT_EX || member->type == T_OBJECT) &&
                member->offset >= (Py_ssize_t)sizeof(PyObject) &&
                member->offset + (Py_ssize_t)sizeof(PyObject *) <= Py_TYPE(walk->object)->tp_basicsize)
                say_word(walk, *(PyObject **)((char *)walk->object + member->offset),
                         member->name);
}

static void
walk_instance(const struct walk *walk)
{
    PyTypeObject *type = Py_TYPE(walk->object);
    if (PyType_HasFeature(type, MP_PREHEADER_FLAGS)) {
        PyObject **values = mp_instance_values(walk->object);
        if (values)
            walk_values(walk, values);
        say_hidden(walk, mp_managed_dict(walk->object), MP_ROLE_NAMESPACE);
    } else if (type->tp_dictoffset > 0 && type->tp_dictoffset < type->tp_basicsize) {
        say_hidden(walk, *(PyObject **)((char *)walk->object + type->tp_dictoffset),
                   MP_ROLE_NAMESPACE);
    }
    walk_slots(walk);
}

/* ---- types that are known by their names only -------------------------------------------------- */

static PyObject *
edge_target(const struct mp_heap *heap, uint32_t edge)
{
    return mp_heap_object(heap, heap->graph.target[edge]);
}

/* The base and the dtype of a numpy array (see sizes.c), in words after its head. */
static void
walk_array(const struct walk *walk)
{
    enum { BASE = 4, DTYPE = 5 };
    PyObject *const *words = (PyObject *const *)(walk->object + 1);
    if (Py_TYPE(walk->object)->tp_basicsize <
        (Py_ssize_t)(sizeof(PyObject) + (DTYPE + 1) * sizeof *words))
        return;
    say_word(walk, words[BASE], "base");
    say_word(walk, words[DTYPE], "dtype");
}

/* The name of a ContextVar is its first field. */
static PyObject *
context_name(const struct mp_heap *heap, uint32_t node)
{
    const struct mp_heap_type *type = mp_heap_type_of(heap, node);
    PyObject *object = mp_heap_object(heap, node);
    return strcmp(type->type->tp_name, "_contextvars.ContextVar") == 0
               ? *(PyObject **)((char *)object + sizeof(PyObject))
               : NULL;
}

/* A node of a context's tree reports each value next to its key, from the last to the first. */
static void
walk_context(const struct walk *walk, uint32_t begin, uint32_t end)
{
    for (uint32_t edge = begin; edge < end; edge++) {
        PyObject *name =
            edge + 1 < end ? context_name(walk->heap, walk->heap->graph.target[edge + 1]) : NULL;
        if (name)
            say(walk, edge_target(walk->heap, edge),
                (struct mp_label){.step = MP_STEP_CONTEXT, .text = name});
        else
            say_hidden(walk, edge_target(walk->heap, edge), MP_ROLE_PLAIN);
    }
}

static void
walk_edges(const struct walk *walk, uint32_t node, enum mp_role role)
{
    const struct mp_graph *graph = &walk->heap->graph;
    const uint32_t begin = graph->first[node], end = graph->first[node + 1];
    const char *name = Py_TYPE(walk->object)->tp_name;
    struct mp_label label = {.step = MP_STEP_FIELD};
    if (strcmp(name, "_contextvars.Context") == 0 || strncmp(name, "hamt", 4) == 0) {
        walk_context(walk, begin, end);
        return;
    }
    if (strcmp(name, "collections.deque") == 0)
        label.step = MP_STEP_INDEX;
    else if (PyAnySet_Check(walk->object))
        label.step = MP_STEP_MEMBER;
    else if (strcmp(name, "_thread._local") == 0)
        label = (struct mp_label){.step = MP_STEP_HIDDEN, .role = MP_ROLE_LOCALS};
    else if (role == MP_ROLE_LOCALS) /* _thread._localdummy */
        label = (struct mp_label){.step = MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE};
    for (uint32_t edge = begin; edge < end; edge++, label.index++)
        say(walk, edge_target(walk->heap, edge), label);
}

/* ---- by kind of object ------------------------------------------------------------------------ */

static void
walk_by_kind(struct walk *walk, enum mp_role role, uint32_t parent)
{
    PyObject *object = walk->object;
    if (PyDict_Check(object))
        walk_dict(walk, role);
    else if (PyList_Check(object))
        walk_list(walk);
    else if (PyTuple_Check(object))
        walk_tuple(walk, role, parent);
    else if (PyModule_Check(object))
        say_hidden(walk, PyModule_GetDict(object), MP_ROLE_NAMESPACE);
    else if (PyType_Check(object))
        walk_type(walk);
    else if (PyFunction_Check(object))
        walk_function(walk);
    else if (PyCell_Check(object))
        say_hidden(walk, PyCell_GET(object), MP_ROLE_PLAIN);
    else if (has_suspended_frame(object))
        walk_frame(walk, suspended_frame(object));
    else if (PyFrame_Check(object))
        walk_frame(walk, *(const char **)((char *)object + sizeof(PyObject) + sizeof(void *)));
    else if (PyExceptionInstance_Check(object))
        walk_exception(walk);
}

void
mp_heap_children(const struct mp_heap *heap, uint32_t node, enum mp_role role, uint32_t parent,
                 mp_child_visit *visit, void *data)
{
    struct walk walk = {heap, mp_heap_object(heap, node), visit, data};
    if (heap->graph.first[node] == heap->graph.first[node + 1])
        return; /* it has no edges: it may be half-built */
    if (mp_heap_type_of(heap, node)->flags & MP_TYPE_IS_ARRAY)
        walk_array(&walk);
    walk_by_kind(&walk, role, parent);
    walk_instance(&walk);
    walk_edges(&walk, node, role);
}

/* ---- literals ---------------------------------------------------------------------------------- */

static size_t
quote(const char *prefix, const char *text, size_t length, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s'", prefix);
    for (size_t i = 0; i < length && used + 6 < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '\'' || c == '\\')
            used += (size_t)snprintf(out + used, size - used, "\\%c", c);
        else if (c < ' ' || c == 0x7f || (*prefix && c > 0x7f))
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
        else
            out[used++] = (char)c;
    }
    out[used++] = '\'';
    return used;
}

size_t
mp_heap_literal(PyObject *key, char *out, size_t size)
{
    enum { SHOWN = 40 };
    char text[SHOWN];
    if (PyUnicode_CheckExact(key))
        return quote("", text, mp_text_encode(key, text, sizeof text), out, size);
    if (PyBytes_CheckExact(key)) {
        const Py_ssize_t length = PyBytes_GET_SIZE(key);
        return quote("b", PyBytes_AS_STRING(key), (size_t)(length < SHOWN ? length : SHOWN), out,
                     size);
    }
    if (key == Py_None || PyBool_Check(key))
        return (size_t)snprintf(out, size, "%s",
                                key == Py_None ? "None" : key == Py_True ? "True" : "False");
    int overflow = 0;
    if (PyLong_CheckExact(key)) {
        const long value = PyLong_AsLongAndOverflow(key, &overflow);
        if (!overflow)
            return (size_t)snprintf(out, size, "%ld", value);
    }
    return (size_t)snprintf(out, size, "..");
}
