#include "py/cpython/interpreter.h" /* first: it needs CPython's internal headers */
#include "py/heap/types.h"

#include <string.h>

#include "py/cpython/values.h"
#include "py/heap/hidden.h"
#include "py/heap/literals.h"
#include "py/heap/sizes.h"
#include "py/heap/walks.h"

/* ---- what is owned ------------------------------------------------------------------------ */

static const void *
dict_values(PyObject *dict)
{
    return ((PyDictObject *)dict)->ma_values;
}

static const void *
bytearray_memory(PyObject *array)
{
    return MP_BYTEARRAY_HAS_BYTES ? mp_bytearray_block((PyByteArrayObject *)array) : NULL;
}

/* What sys.monitoring has for a code object is not looked through: the interpreter leaves words in
 * it unwritten, and what these blocks had before may be the address of any other. */
static void
code_blocks(PyObject *code, void (*visit)(const void *block, void *data), void *data)
{
    const void *blocks[MP_CODE_BUFFERS];
    mp_code_buffers((const PyCodeObject *)code, blocks);
    for (size_t i = 0; i < MP_CODE_BUFFERS; i++)
        visit(blocks[i], data);
}

/* ---- names -------------------------------------------------------------------------------- */

static const PyCodeObject *
function_code(PyObject *function)
{
    return (const PyCodeObject *)PyFunction_GET_CODE(function);
}

/* The name of a ContextVar is its first field. */
static const PyObject *
context_variable_name(PyObject *variable)
{
    return *(PyObject **)(variable + 1);
}

/* ---- the table ---------------------------------------------------------------------------- */

/* What is derived from str, int, bytes or tuple in C owns no blocks; of a class it may. */
#define TEXT .size = mp_sizes_text
#define INT .built_in_flags = MP_TYPE_LEAF, .size = mp_sizes_int
#define BYTES .built_in_flags = MP_TYPE_LEAF
#define TUPLE .built_in_flags = MP_TYPE_LEAF, .children = mp_walk_tuple
#define LIST .buffers = mp_sizes_list_buffer, .children = mp_walk_list
#define SET .buffers = mp_sizes_set_buffer, .edge_step = MP_STEP_MEMBER
#define BYTEARRAY .buffers = mp_sizes_bytearray_buffer, .memory = bytearray_memory
#define SUSPENDED .flags = MP_TYPE_IS_SUSPENDED, .children = mp_walk_suspended

const struct mp_type_row mp_type_rows[] = {
    {0},
    {.type = &PyUnicode_Type, TEXT, .flags = MP_TYPE_KNOWN, .least = sizeof(PyASCIIObject),
     .fields = mp_sizes_text_fields, .literal = mp_literal_text},
    {.family = Py_TPFLAGS_UNICODE_SUBCLASS, TEXT},
    {.type = &PyBool_Type, INT, .literal = mp_literal_bool},
    {.type = &PyLong_Type, INT, .literal = mp_literal_int},
    {.family = Py_TPFLAGS_LONG_SUBCLASS, INT},
    {.type = &PyFloat_Type, .flags = MP_TYPE_LEAF},
    {.type = &PyBytes_Type, BYTES, .flags = MP_TYPE_MEMORY, .literal = mp_literal_bytes},
    {.family = Py_TPFLAGS_BYTES_SUBCLASS, BYTES},
    {.type = &PyByteArray_Type, BYTEARRAY, .flags = MP_TYPE_KNOWN},
    {.base = &PyByteArray_Type, BYTEARRAY},
    {.family = Py_TPFLAGS_TUPLE_SUBCLASS, TUPLE},
    {.type = &PyList_Type, LIST, .flags = MP_TYPE_KNOWN | MP_TYPE_SILENT},
    {.family = Py_TPFLAGS_LIST_SUBCLASS, LIST, .flags = MP_TYPE_KNOWN},
    {.family = Py_TPFLAGS_DICT_SUBCLASS, .flags = MP_TYPE_KNOWN | MP_TYPE_UNTOLD,
     .buffers = mp_sizes_dict_buffer, .values = dict_values, .untold = mp_hidden_in_dict,
     .children = mp_walk_dict},
    {.type = &PySet_Type, SET, .flags = MP_TYPE_KNOWN},
    {.type = &PyFrozenSet_Type, SET, .flags = MP_TYPE_KNOWN},
    {.base = &PySet_Type, SET},
    {.base = &PyFrozenSet_Type, SET},
    {.family = Py_TPFLAGS_TYPE_SUBCLASS, .flags = MP_TYPE_IS_TYPE | MP_TYPE_UNTOLD,
     .untold = mp_hidden_in_type, .children = mp_walk_type},
    {.base = &PyModule_Type, .flags = MP_TYPE_IS_MODULE, .children = mp_walk_module},
    {.type = &PyFunction_Type, .flags = MP_TYPE_LEAF, .children = mp_walk_function,
     .code = function_code},
    {.type = &PyCFunction_Type, .flags = MP_TYPE_LEAF},
    {.type = &PyCell_Type, .flags = MP_TYPE_LEAF | MP_TYPE_IS_CELL, .children = mp_walk_cell},
    {.type = &PyCode_Type, .flags = MP_TYPE_UNTOLD | MP_TYPE_TOLD, .blocks = code_blocks,
     .untold = mp_hidden_in_code},
    {.type = &PyFrame_Type, .children = mp_walk_frame},
    {.type = &PyGen_Type, SUSPENDED},
    {.type = &PyCoro_Type, SUSPENDED},
    {.type = &PyAsyncGen_Type, SUSPENDED},
    {.family = Py_TPFLAGS_BASE_EXC_SUBCLASS, .children = mp_walk_exception},

    /* CPython does not export these */
    {.name = "NoneType", .without = Py_TPFLAGS_HEAPTYPE, .literal = mp_literal_none},
    {.name = "_contextvars.ContextVar", .name_of = context_variable_name},
    {.name = "_contextvars.Context", .edges = mp_walk_context},
    {.name = "hamt", .prefix = true, .edges = mp_walk_context},
    {.name = "collections.deque", .edge_step = MP_STEP_INDEX},
    {.name = "_thread._local", .edge_step = MP_STEP_HIDDEN, .edge_role = MP_ROLE_LOCALS},
    {.name = "numpy.ndarray", .without = Py_TPFLAGS_HEAPTYPE | Py_TPFLAGS_HAVE_GC,
     .buffers = mp_sizes_numpy_buffer, .children = mp_walk_numpy},
};

enum { ROWS = sizeof mp_type_rows / sizeof *mp_type_rows };

/* ---- asking it ---------------------------------------------------------------------------- */

static bool
has_name(const struct mp_pass *pass, const PyTypeObject *type, const struct mp_type_row *row)
{
    const size_t length = strlen(row->name) + !row->prefix;
    return type->tp_name && mp_pass_can_read(pass, type->tp_name, length) &&
           strncmp(type->tp_name, row->name, length) == 0;
}

static bool
fits(const struct mp_pass *pass, PyTypeObject *type, const struct mp_type_row *row)
{
    if (type->tp_flags & row->without)
        return false;
    if (row->type)
        return type == row->type;
    if (row->family)
        return (type->tp_flags & row->family) != 0;
    if (row->base)
        return PyType_IsSubtype(type, (PyTypeObject *)(uintptr_t)row->base);
    return has_name(pass, type, row);
}

uint32_t
mp_types_find_row(const struct mp_pass *pass, PyTypeObject *type)
{
    for (uint32_t row = 1; row < ROWS; row++)
        if (fits(pass, type, &mp_type_rows[row]))
            return row;
    return 0;
}

uint32_t
mp_types_flags(PyTypeObject *type, uint32_t row)
{
    assert(row < ROWS);
    const bool built_in = !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
    uint32_t flags = mp_type_rows[row].flags;
    if (built_in)
        flags |= mp_type_rows[row].built_in_flags;
    if (type->tp_flags & Py_TPFLAGS_HAVE_GC)
        flags |= MP_TYPE_GC;
    if (type->tp_basicsize <= (Py_ssize_t)sizeof(PyObject))
        flags |= MP_TYPE_LEAF;
    if (built_in && (type->tp_traverse == PyTuple_Type.tp_traverse ||
                     type->tp_traverse == PyDict_Type.tp_traverse))
        flags |= MP_TYPE_ALWAYS;
    return flags;
}
