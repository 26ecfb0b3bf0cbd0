#include "py/heap/labels.h"

#include <stdio.h>
#include <structmember.h>

#include "py/cpython/text.h"
#include "py/cpython/values.h"
#include "py/heap/dict_keys.h"
#include "py/heap/types.h"
#include "py/heap/walks.h"

/* ---- attributes of instances -------------------------------------------------------------- */

/* By the names of a type's shared keys. */
static void
walk_values(const struct mp_walk *walk, PyObject *const *values)
{
    PyTypeObject *type = Py_TYPE(walk->object);
    const void *keys = (const void *)((PyHeapTypeObject *)type)->ht_cached_keys;
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || !keys || !mp_keys_are_texts(keys))
        return;
    const Py_ssize_t count = mp_keys_used(keys);
    for (Py_ssize_t i = 0; i < count; i++)
        mp_walk_say(walk, values[i],
                    &(struct mp_label){.step = MP_STEP_ATTRIBUTE, .text = mp_keys_text(keys, i)});
}

/* Is it a reference within the object? */
static bool
is_slot(const PyMemberDef *member, const PyTypeObject *type)
{
    const Py_ssize_t size = (Py_ssize_t)sizeof(PyObject *);
    return (member->type == T_OBJECT_EX || member->type == T_OBJECT) &&
           member->offset >= (Py_ssize_t)sizeof(PyObject) &&
           member->offset + size <= type->tp_basicsize;
}

static void
walk_slots(const struct mp_walk *walk)
{
    const PyTypeObject *of = Py_TYPE(walk->object);
    for (const PyTypeObject *type = of; type; type = type->tp_base)
        for (const PyMemberDef *member = type->tp_members; member && member->name; member++)
            if (is_slot(member, of))
                mp_walk_say_word(walk, *(PyObject **)((char *)walk->object + member->offset),
                                 member->name);
}

static void
walk_instance(const struct mp_walk *walk)
{
    PyTypeObject *type = Py_TYPE(walk->object);
    if (PyType_HasFeature(type, MP_PREHEADER_FLAGS)) {
        PyObject **values = mp_instance_values(walk->object);
        if (values)
            walk_values(walk, values);
        mp_walk_say_hidden(walk, mp_managed_dict(walk->object), MP_ROLE_NAMESPACE);
    } else if (type->tp_dictoffset > 0 && type->tp_dictoffset < type->tp_basicsize) {
        mp_walk_say_hidden(walk, *(PyObject **)((char *)walk->object + type->tp_dictoffset),
                           MP_ROLE_NAMESPACE);
    }
    walk_slots(walk);
}

/* ---- what has no name --------------------------------------------------------------------- */

/* What is left of a threading.local is the dict of a namespace. */
static struct mp_label
label_of_edges(const struct mp_type_row *row, enum mp_role role)
{
    if (row->edge_step == MP_STEP_FIELD && role == MP_ROLE_LOCALS)
        return (struct mp_label){.step = MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE};
    return (struct mp_label){.step = row->edge_step, .role = row->edge_role};
}

static void
walk_edges(const struct mp_walk *walk, const struct mp_type_row *row)
{
    const struct mp_graph *graph = &walk->pass->heap->graph;
    const uint32_t begin = graph->first[walk->held->node], end = graph->first[walk->held->node + 1];
    struct mp_label label = label_of_edges(row, walk->held->role);
    if (row->edges) {
        row->edges(walk);
        return;
    }
    for (uint32_t edge = begin; edge < end; edge++, label.index++)
        walk->visit(graph->target[edge], &label, walk->data);
}

/* ---- the three answers -------------------------------------------------------------------- */

static int64_t
references(const struct mp_inspector *inspector, uint32_t node)
{
    return mp_object_references(mp_pass_object(inspector->context, node));
}

static void
children(const struct mp_inspector *inspector, const struct mp_held *held, mp_child_visit *visit,
         void *data)
{
    const struct mp_pass *pass = inspector->context;
    const struct mp_graph *graph = &pass->heap->graph;
    const struct mp_walk walk = {pass, held, mp_pass_object(pass, held->node), visit, data};
    const struct mp_type_row *row = mp_row_of(pass->heap, held->node);
    assert(held->role < MP_ROLES && held->parent <= graph->nodes && held->parent != held->node);
    if (graph->first[held->node] == graph->first[held->node + 1])
        return; /* it has no edges: it may be half-built */
    if (row->children)
        row->children(&walk);
    walk_instance(&walk);
    walk_edges(&walk, row);
}

static size_t
literal(const struct mp_pass *pass, PyObject *key, char *out, size_t size)
{
    const uint32_t type = mp_heap_find_type(pass->heap, (uintptr_t)Py_TYPE(key));
    const struct mp_type_row *row = type ? mp_row_of_type(&pass->heap->types[type]) : NULL;
    const size_t length = row && row->literal ? row->literal(key, out, size) : 0;
    return length ? length : (size_t)snprintf(out, size, "..");
}

static size_t
text(const struct mp_inspector *inspector, const struct mp_label *label, char *out, size_t size)
{
    PyObject *of = (PyObject *)(uintptr_t)label->text;
    assert(of && label->step < MP_STEPS);
    return label->step == MP_STEP_KEY ? literal(inspector->context, of, out, size)
                                      : mp_text_encode(of, out, size);
}

struct mp_inspector
mp_labels_inspector(const struct mp_pass *pass)
{
    return (struct mp_inspector){pass->heap, pass, references, children, text};
}
