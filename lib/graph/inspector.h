/* inspector: what a heap does not tell by itself, and only a look at its objects does.
 *
 * Whoever has made the heap answers three questions as long as the objects are as they were: how
 * many references there are to one, what one holds and by which name, and how such a name is
 * written. py/heap/labels.h answers for Python's objects, a test from literals.
 */
#ifndef MP_INSPECTOR_H
#define MP_INSPECTOR_H

#include "graph/heap.h"

/* How an object holds another. */
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
    MP_ROLE_NAMESPACE, /* a dict of attributes */
    MP_ROLE_CLOSURE,   /* the tuple of a function's cells */
    MP_ROLE_DEFAULTS,  /* the tuple of its defaults, or the dict of its keyword ones */
    MP_ROLE_THREAD,    /* the dict of a thread */
    MP_ROLE_LOCALS,    /* dicts of the namespaces of a threading.local */
    MP_ROLES
};

/* The name of a step: `text` is written by the inspector's `text`; where it is NULL, `word` is
 * the name, or there is none. */
struct mp_label {
    enum mp_step step;
    enum mp_role role; /* of the child */
    int64_t index;
    const void *text;
    const char *word;
};

/* A node, in which role it is held, and by which node: 0 for a root. */
struct mp_held {
    uint32_t node;
    enum mp_role role;
    uint32_t parent;
};

typedef void mp_child_visit(uint32_t child, const struct mp_label *label, void *data);

struct mp_inspector {
    struct mp_heap *heap;
    const void *context; /* of who answers */

    /* References to a node; -1 when they are not counted. */
    int64_t (*references)(const struct mp_inspector *inspector, uint32_t node);

    /* Call visit for what a node holds, at least once for each of its edges: by its best name
     * first, in the end perhaps once more as MP_STEP_FIELD. */
    void (*children)(const struct mp_inspector *inspector, const struct mp_held *held,
                     mp_child_visit *visit, void *data);

    /* Write the text of a label as UTF-8, of a key as its literal; its length, at most `size`. */
    size_t (*text)(const struct mp_inspector *inspector, const struct mp_label *label, char *out,
                   size_t size);
};

#endif
