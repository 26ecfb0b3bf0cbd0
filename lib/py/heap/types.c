/* The types of a heap: which pointers are types, and what they are called. */
#define _GNU_SOURCE
#include "py/heap/heap.h"

#include <string.h>

#include "py/cpython/text.h"

enum { NAME = 256 };

bool
mp_heap_can_read(const struct mp_heap *heap, const void *at, size_t size)
{
    return !heap->range_count ||
           mp_memory_map_has(heap->ranges, heap->range_count, (uintptr_t)at, size);
}

/* ---- by address ---------------------------------------------------------------------------- */

static size_t
slot_of(const struct mp_heap *heap, const PyTypeObject *type)
{
    const size_t mask = heap->type_slot_count - 1;
    size_t slot = mp_hash_mix((uintptr_t)type >> 3, 1) >> 16 & mask;
    while (heap->type_slots[slot] && heap->types[heap->type_slots[slot]].type != type)
        slot = (slot + 1) & mask;
    return slot;
}

uint32_t
mp_heap_type_known(const struct mp_heap *heap, const PyTypeObject *type)
{
    return heap->type_slot_count ? heap->type_slots[slot_of(heap, type)] : 0;
}

static bool
grow_types(struct mp_heap *heap)
{
    const uint32_t old = heap->type_capacity, count = old ? old * 2 : 1024;
    struct mp_heap_type *types =
        old ? mp_mem_grow(heap->types, old * sizeof *types, count * sizeof *types)
            : mp_mem_new(count * sizeof *types);
    uint32_t *slots = mp_mem_new((size_t)count * 2 * sizeof *slots);
    if (types) {
        heap->types = types;
        heap->type_capacity = count;
    }
    if (!types || !slots) {
        mp_mem_free(slots, (size_t)count * 2 * sizeof *slots);
        heap->failed = true;
        return false;
    }
    mp_mem_free(heap->type_slots, heap->type_slot_count * sizeof *slots);
    heap->type_slots = slots;
    heap->type_slot_count = (size_t)count * 2;
    for (uint32_t i = 1; i <= heap->type_count; i++)
        slots[slot_of(heap, heap->types[i].type)] = i;
    return true;
}

/* ---- names ----------------------------------------------------------------------------------- */

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

/* What C code calls its type: "module.name", or only a name. */
static size_t
name_of_static(const struct mp_heap *heap, const PyTypeObject *type, char *out)
{
    if (!type->tp_name || !mp_heap_can_read(heap, type->tp_name, 1))
        return 0;
    const size_t length = strnlen(type->tp_name, NAME);
    memcpy(out, type->tp_name, length);
    return length;
}

static void
name_type(struct mp_heap *heap, struct mp_heap_type *entry)
{
    char text[2 * NAME + 1];
    size_t module = 0, length = 0;
    PyTypeObject *type = entry->type;
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) {
        module = module_of(type, text);
        text[module] = '.';
        const size_t begin = module ? module + 1 : 0;
        length = mp_text_encode(((PyHeapTypeObject *)type)->ht_qualname, text + begin, NAME);
        if (length)
            length += begin;
    }
    if (!length) {
        length = name_of_static(heap, type, text);
        const char *dot = length ? memrchr(text, '.', length) : NULL;
        module = dot ? (size_t)(dot - text) : 0;
    }
    const bool plain = module == 8 && memcmp(text, "builtins", 8) == 0;
    const size_t skip = plain ? 9 : 0;
    entry->module = module ? mp_names_intern(&heap->names, text, module)
                           : mp_names_intern(&heap->names, "builtins", 8);
    const size_t prefix = module ? module + 1 : 0;
    entry->short_name = mp_names_intern(&heap->names, text + prefix, length - prefix);
    entry->name = mp_names_intern(&heap->names, text + skip, length - skip);
}

/* Classes that a function makes anew each time have one name. */
static void
find_alike(struct mp_heap *heap, uint32_t index)
{
    struct mp_heap_type *entry = &heap->types[index];
    entry->alike = index;
    if (entry->name >= heap->first_named_count) {
        const size_t old = heap->first_named_count, count = ((size_t)entry->name + 512) * 2;
        uint32_t *grown =
            mp_mem_grow(heap->first_named, old * sizeof *grown, count * sizeof *grown);
        if (!grown) {
            heap->failed = true;
            return;
        }
        heap->first_named = grown;
        heap->first_named_count = count;
    }
    uint32_t *first = &heap->first_named[entry->name];
    if (!*first)
        *first = index;
    if (heap->types[*first].flags == entry->flags)
        entry->alike = *first;
}

/* ---- flags ------------------------------------------------------------------------------------- */

static bool
is_leaf(const PyTypeObject *type)
{
    const unsigned long flags = Py_TPFLAGS_LONG_SUBCLASS | Py_TPFLAGS_BYTES_SUBCLASS |
                                Py_TPFLAGS_TUPLE_SUBCLASS;
    return type->tp_basicsize <= (Py_ssize_t)sizeof(PyObject) || type == &PyFloat_Type ||
           type == &PyCFunction_Type || type == &PyCell_Type || type == &PyFunction_Type ||
           ((type->tp_flags & flags) && !(type->tp_flags & Py_TPFLAGS_HEAPTYPE));
}

static uint32_t
flags_of(const PyTypeObject *type, const char *name)
{
    const unsigned long known = Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS;
    const bool leaf = is_leaf(type), built_in = !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
    uint32_t flags = leaf ? MP_TYPE_LEAF : 0;
    if (type->tp_flags & Py_TPFLAGS_HAVE_GC)
        flags |= MP_TYPE_GC;
    if (built_in && (type->tp_traverse == PyTuple_Type.tp_traverse ||
                     type->tp_traverse == PyDict_Type.tp_traverse))
        flags |= MP_TYPE_ALWAYS;
    if ((type->tp_flags & known) || type == &PyByteArray_Type || type == &PySet_Type ||
        type == &PyFrozenSet_Type || type == &PyUnicode_Type)
        flags |= MP_TYPE_KNOWN;
    if (type->tp_flags & Py_TPFLAGS_TYPE_SUBCLASS)
        flags |= MP_TYPE_IS_TYPE;
    if (PyType_IsSubtype((PyTypeObject *)(uintptr_t)type, &PyModule_Type))
        flags |= MP_TYPE_IS_MODULE;
    if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type)
        flags |= MP_TYPE_IS_SUSPENDED;
    if (type == &PyCell_Type)
        flags |= MP_TYPE_IS_CELL;
    if (built_in && !(flags & MP_TYPE_GC) && name && strcmp(name, "numpy.ndarray") == 0)
        flags |= MP_TYPE_IS_ARRAY;
    return flags;
}

/* ---- is it a type? ------------------------------------------------------------------------------- */

static bool
is_type(const struct mp_heap *heap, PyTypeObject *type)
{
    if ((uintptr_t)type % sizeof(void *) || !mp_heap_can_read(heap, type, sizeof *type))
        return false;
    PyTypeObject *meta = Py_TYPE(type);
    if ((uintptr_t)meta % sizeof(void *) || !mp_heap_can_read(heap, meta, sizeof *meta))
        return false;
    return (meta->tp_flags & Py_TPFLAGS_TYPE_SUBCLASS) != 0 && type->tp_basicsize >= 0 &&
           (type->tp_flags & Py_TPFLAGS_READY) != 0;
}

uint32_t
mp_heap_type(struct mp_heap *heap, PyTypeObject *type)
{
    const uint32_t known = mp_heap_type_known(heap, type);
    if (known)
        return known;
    if (heap->failed || !is_type(heap, type) ||
        (heap->type_count + 2 > heap->type_capacity && !grow_types(heap)))
        return 0;
    const uint32_t index = heap->type_count + 1;
    struct mp_heap_type *entry = &heap->types[index];
    const char *name = mp_heap_can_read(heap, type->tp_name, NAME) ? type->tp_name : NULL;
    *entry = (struct mp_heap_type){.type = type, .flags = flags_of(type, name)};
    name_type(heap, entry);
    find_alike(heap, index);
    heap->type_slots[slot_of(heap, type)] = index;
    heap->type_count = index;
    return index;
}
