/* types: all that is known of CPython's own types, and of a few others, one row each.
 *
 * What objects of a type look like inside, what they own and how they name what they hold is
 * said here and nowhere else: the parts of the pass ask the row of a type. It is found once, when
 * the type is first met (classes.h); row 0 is that of all others.
 */
#ifndef MP_TYPES_H
#define MP_TYPES_H

#include "py/heap/pass.h"

struct mp_walk; /* labels.h */

/* Flags of types that only the pass knows. */
enum mp_pass_flag {
    MP_TYPE_GC = MP_TYPE_OF_MAKER,          /* the collector knows its objects */
    MP_TYPE_LEAF = MP_TYPE_OF_MAKER << 1,   /* its objects own no blocks: do not look for any */
    MP_TYPE_ALWAYS = MP_TYPE_OF_MAKER << 2, /* traverse its objects even when they are untracked */
    MP_TYPE_KNOWN = MP_TYPE_OF_MAKER << 3,  /* a container of CPython whose buffers own nothing */
    MP_TYPE_UNTOLD = MP_TYPE_OF_MAKER << 4, /* its row has `untold` */
    MP_TYPE_TOLD = MP_TYPE_OF_MAKER << 5,   /* that tells all: do not traverse its objects */
    MP_TYPE_SILENT = MP_TYPE_OF_MAKER << 6, /* traverse functions may not tell of such an object */
    MP_TYPE_MEMORY = MP_TYPE_OF_MAKER << 7, /* an object nobody leads to may be another's memory */
};

struct mp_type_row {
    /* Which types: the first row that fits. */
    const PyTypeObject *type; /* this one */
    const PyTypeObject *base; /* or what is derived from this one, itself included */
    unsigned long family;     /* or what has this flag (Py_TPFLAGS_..._SUBCLASS) */
    const char *name;         /* or what its C code calls so */
    bool prefix;              /* or a name that begins so */
    unsigned long without;    /* but for those with one of these flags (Py_TPFLAGS_...) */

    uint32_t flags;
    uint32_t built_in_flags; /* of those of C code only */

    /* Sizes (sizes.h): of an object's block from the object on, of its buffers, of both as long as
     * they are not traced. NULL: what the type says, no buffers. */
    uint64_t (*size)(PyObject *object);
    uint64_t (*buffers)(const struct mp_pass *pass, PyObject *object);
    Py_ssize_t least;                    /* no object is smaller; 0: what the type says */
    size_t (*fields)(PyObject *object);  /* bytes with references; 0, NULL: what the type says */

    /* What it owns that is not found by looking through its fields. */
    const void *(*values)(PyObject *object); /* attributes, in the middle of their block */
    const void *(*memory)(PyObject *object); /* a block that looks like an object */
    void (*blocks)(PyObject *object, void (*visit)(const void *block, void *data), void *data);

    void (*untold)(struct mp_pass *pass, PyObject *object); /* edges beside those of traverse */

    /* Names (labels.h): children by name; the other edges, by a function or all in one way. */
    void (*children)(const struct mp_walk *walk);
    void (*edges)(const struct mp_walk *walk);
    enum mp_step edge_step;
    enum mp_role edge_role;
    const PyObject *(*name_of)(PyObject *variable); /* by which values are told */
    const PyCodeObject *(*code)(PyObject *object);  /* that names closure variables, defaults */
    size_t (*literal)(PyObject *key, char *out, size_t size);
};

extern MP_HIDDEN const struct mp_type_row mp_type_rows[];

/* The row of a type that can be read; `name` is its tp_name when that can be read too. */
uint32_t mp_types_find_row(const struct mp_pass *pass, PyTypeObject *type);

/* Flags of a type, from its row and from what it says of itself. */
uint32_t mp_types_flags(PyTypeObject *type, uint32_t row);

static inline const struct mp_type_row *
mp_row_of_type(const struct mp_heap_type *type)
{
    return &mp_type_rows[type->row];
}

static inline const struct mp_type_row *
mp_row_of(const struct mp_heap *heap, uint32_t node)
{
    return mp_row_of_type(mp_heap_type_of(heap, node));
}

#endif
