#define _GNU_SOURCE
#include "py/heap/classes.h"

#include <string.h>

#include "py/cpython/text.h"
#include "py/heap/types.h"

enum { NAME = 256 };

/* ---- names -------------------------------------------------------------------------------- */

/* "module.name" or only a name, and how much of it is the module. */
struct full_name {
    char text[2 * NAME + 1];
    size_t module, length;
};

/* The module that a class says it is of, without asking its metaclass or any key of its dict. */
static size_t
module_of(PyTypeObject *type, char *out)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!type->tp_dict || !PyDict_Check(type->tp_dict))
        return 0;
    while (PyDict_Next(type->tp_dict, &at, &key, &value))
        if (mp_text_is(key, "__module__"))
            return mp_text_encode(value, out, NAME);
    return 0;
}

static void
read_class_name(PyTypeObject *type, struct full_name *name)
{
    name->module = module_of(type, name->text);
    const size_t begin = name->module ? name->module + 1 : 0;
    name->text[name->module] = '.';
    name->length =
        mp_text_encode(((PyHeapTypeObject *)type)->ht_qualname, name->text + begin, NAME);
    if (name->length)
        name->length += begin;
}

/* What C code calls its type. */
static void
read_static_name(const struct mp_pass *pass, const PyTypeObject *type, struct full_name *name)
{
    name->module = name->length = 0;
    if (!type->tp_name || !mp_pass_can_read(pass, type->tp_name, 1))
        return;
    name->length = strnlen(type->tp_name, NAME);
    memcpy(name->text, type->tp_name, name->length);
    const char *dot = memrchr(name->text, '.', name->length);
    name->module = dot ? (size_t)(dot - name->text) : 0;
}

static void
name_type(const struct mp_pass *pass, PyTypeObject *type, struct mp_heap_type *entry)
{
    struct mp_names *names = &pass->heap->names;
    struct full_name name = {.length = 0};
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        read_class_name(type, &name);
    if (!name.length)
        read_static_name(pass, type, &name);
    const bool plain = name.module == 8 && memcmp(name.text, "builtins", 8) == 0;
    const size_t prefix = name.module ? name.module + 1 : 0, skip = plain ? prefix : 0;
    assert(prefix <= name.length && name.length <= sizeof name.text);
    entry->module = name.module ? mp_names_intern(names, name.text, name.module)
                                : mp_names_intern(names, "builtins", 8);
    entry->short_name = mp_names_intern(names, name.text + prefix, name.length - prefix);
    entry->name = mp_names_intern(names, name.text + skip, name.length - skip);
}

/* ---- is it a type? ------------------------------------------------------------------------ */

static bool
is_type(const struct mp_pass *pass, PyTypeObject *type)
{
    if ((uintptr_t)type % sizeof(void *) || !mp_pass_can_read(pass, type, sizeof *type))
        return false;
    PyTypeObject *meta = Py_TYPE(type);
    if ((uintptr_t)meta % sizeof(void *) || !mp_pass_can_read(pass, meta, sizeof *meta))
        return false;
    return (meta->tp_flags & Py_TPFLAGS_TYPE_SUBCLASS) != 0 && type->tp_basicsize >= 0 &&
           (type->tp_flags & Py_TPFLAGS_READY) != 0;
}

uint32_t
mp_classes_add(struct mp_pass *pass, PyTypeObject *type)
{
    const uint32_t known = mp_heap_find_type(pass->heap, (uintptr_t)type);
    if (known || pass->heap->failed || !is_type(pass, type))
        return known;
    struct mp_heap_type entry = {.identity = (uintptr_t)type,
                                 .row = mp_types_find_row(pass, type),
                                 .built_in = !(type->tp_flags & Py_TPFLAGS_HEAPTYPE)};
    entry.flags = mp_types_flags(type, entry.row);
    name_type(pass, type, &entry);
    return mp_heap_add_type(pass->heap, &entry);
}
