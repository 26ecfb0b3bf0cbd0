/* heap_names: how an object holds others, in the words of who wrote the program.
 *
 * For one object at a time, each thing it holds with the name it has there: attribute, dict
 * key, index, closure variable, local variable. Only while the pass of heap.h lasts. */
#ifndef MP_LABELS_H
#define MP_LABELS_H

#include "py/heap/heap.h"

enum mp_step {
    MP_STEP_FIELD,     /* in some way that has no name */
    MP_STEP_ATTRIBUTE,
    MP_STEP_KEY,       /* of a dict; the text is the key's literal, NULL for odd keys */
    MP_STEP_INDEX,
    MP_STEP_MEMBER,    /* of a set */
    MP_STEP_AS_KEY,    /* it is itself the key of a dict */
    MP_STEP_CLOSURE,
    MP_STEP_LOCAL,
    MP_STEP_DEFAULT,   /* of a parameter */
    MP_STEP_CONTEXT,   /* value of a context variable */
    MP_STEP_HIDDEN,    /* nothing worth a word: the dict of an instance, a cell */
    MP_STEPS
};

/* What an object is to the one that holds it; it changes the names of what it holds itself. */
enum mp_role {
    MP_ROLE_PLAIN,
    MP_ROLE_NAMESPACE,    /* a dict of attributes */
    MP_ROLE_CLOSURE,      /* the tuple of a function's cells */
    MP_ROLE_DEFAULTS,     /* the tuple of its defaults, or the dict of its keyword ones */
    MP_ROLE_THREAD,       /* the dict of a thread: see roots.c */
    MP_ROLE_LOCALS,       /* dicts of the namespaces of a threading.local */
};

struct mp_label {
    enum mp_step step;
    enum mp_role role;  /* of the child */
    Py_ssize_t index;
    PyObject *text;     /* an exact str (KEY: or another literal), or NULL */
    const char *word;   /* the same from C, where text is NULL */
};

typedef void mp_child_visit(PyObject *child, const struct mp_label *label, void *data);

/* Call visit for what `node` holds, at least once for each of its edges: the named ones first,
 * in the end all once more as MP_STEP_FIELD. `parent` is the node that holds it, or 0. */
void mp_heap_children(const struct mp_heap *heap, uint32_t node, enum mp_role role,
                      uint32_t parent, mp_child_visit *visit, void *data);

/* Write a key as its literal ('by-id', 3, b'x'), or ".." for what has none; the length. */
size_t mp_heap_literal(PyObject *key, char *out, size_t size);

#endif
