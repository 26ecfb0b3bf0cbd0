/* What a snapshot is made of, as columns of numbers: for exporters and pages, which walk its call
 * stacks themselves. pymod/memprof/model/tables.py says what they mean. */
#include "core.h"

#include <string.h>

#include "py/alloc/hook.h"

/* A column of `member` of the records that begin at `records`. */
#define COLUMN(format, records, count, type, member)                                           \
    &(const struct mp_column){(const char *)(records) + offsetof(type, member), count,          \
                              sizeof(type), format}

struct tables {
    PyObject *owner;
    const struct mp_snapshot *snapshot;
    struct mp_objects *objects;
};

/* A tuple of columns; NULL with an exception set. */
static PyObject *
pack(PyObject *owner, const struct mp_column *const *columns, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *column = mp_core_column(owner, columns[i]);
        if (!column)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, column);
    }
    return tuple;
}

#define PACK(owner, ...)                                                                       \
    pack(owner, (const struct mp_column *const[]){__VA_ARGS__},                                \
         sizeof((const struct mp_column *const[]){__VA_ARGS__}) / sizeof(struct mp_column *))

static PyObject *
name_item(size_t i, void *objects)
{
    return mp_objects_name(objects, (uint32_t)i);
}

static PyObject *
names(const struct tables *tables)
{
    const size_t count = (size_t)tables->snapshot->symbols->names + 1;
    return mp_core_list(count, name_item, tables->objects);
}

/* (file, function, first line, line) */
static PyObject *
locations(const struct tables *tables)
{
    typedef struct mp_symbol_location record;
    const record *at = tables->snapshot->symbols->location;
    const size_t count = (size_t)tables->snapshot->symbols->locations + 1;
    return PACK(tables->owner, COLUMN("I", at, count, record, file),
                COLUMN("I", at, count, record, function),
                COLUMN("I", at, count, record, first_line), COLUMN("I", at, count, record, line));
}

/* An array of `count` numbers as a memoryview of bytes of its own. */
static PyObject *
view_of_bytes(PyObject *bytes, const char *format)
{
    PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
    PyObject *cast = view ? PyObject_CallMethod(view, "cast", "s", format) : NULL;
    Py_XDECREF(view);
    Py_XDECREF(bytes);
    return cast;
}

/* (location, folded): copies, for in the core they are one number. */
static PyObject *
locations_of_stacks(const struct mp_symbols *symbols)
{
    const size_t count = (size_t)symbols->stacks + 1;
    PyObject *location = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(uint32_t)));
    PyObject *folded = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count);
    if (!location || !folded) {
        Py_XDECREF(location);
        Py_XDECREF(folded);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = symbols->stack[i].location & ~MP_FOLDED;
        memcpy(PyBytes_AS_STRING(location) + i * sizeof id, &id, sizeof id);
        PyBytes_AS_STRING(folded)[i] = (symbols->stack[i].location & MP_FOLDED) != 0;
    }
    location = view_of_bytes(location, "I");
    folded = view_of_bytes(folded, "B");
    if (location && folded)
        return Py_BuildValue("(NN)", location, folded);
    Py_XDECREF(location);
    Py_XDECREF(folded);
    return NULL;
}

/* (parent, location, folded) */
static PyObject *
stacks(const struct tables *tables)
{
    typedef struct mp_symbol_stack record;
    const struct mp_symbols *symbols = tables->snapshot->symbols;
    const size_t count = (size_t)symbols->stacks + 1;
    PyObject *parent = PACK(tables->owner, COLUMN("I", symbols->stack, count, record, parent));
    PyObject *rest = parent ? locations_of_stacks(symbols) : NULL;
    PyObject *all = rest ? PySequence_Concat(parent, rest) : NULL;
    Py_XDECREF(parent);
    Py_XDECREF(rest);
    return all;
}

/* (stack, kind, domain, live bytes, live blocks, at the peak ..., in total ...) */
static PyObject *
rows(const struct tables *tables)
{
    typedef struct mp_row record;
    const record *at = tables->snapshot->rows;
    const size_t count = tables->snapshot->count;
    return PACK(tables->owner, COLUMN("I", at, count, record, stack),
                COLUMN("I", at, count, record, kind), COLUMN("I", at, count, record, domain),
                COLUMN("Q", at, count, record, totals.live.bytes),
                COLUMN("Q", at, count, record, totals.live.blocks),
                COLUMN("Q", at, count, record, totals.peak.bytes),
                COLUMN("Q", at, count, record, totals.peak.blocks),
                COLUMN("Q", at, count, record, totals.total.bytes),
                COLUMN("Q", at, count, record, totals.total.blocks));
}

/* (time, traced, rss) */
static PyObject *
checkpoints(const struct tables *tables)
{
    typedef struct mp_checkpoint record;
    const record *at = tables->snapshot->series.checkpoints;
    const size_t count = tables->snapshot->series.count;
    return PACK(tables->owner, COLUMN("Q", at, count, record, time),
                COLUMN("q", at, count, record, traced), COLUMN("q", at, count, record, rss));
}

/* (stack, blocks, bytes) */
static PyObject *
points_item(size_t i, void *data)
{
    typedef struct mp_point record;
    static const record none;
    const struct tables *tables = data;
    const struct mp_checkpoint *from = &tables->snapshot->series.checkpoints[i];
    const record *at = from->count ? from->points : &none;
    return PACK(tables->owner, COLUMN("I", at, from->count, record, id),
                COLUMN("I", at, from->count, record, blocks),
                COLUMN("Q", at, from->count, record, bytes));
}

static PyObject *
points(const struct tables *tables)
{
    return mp_core_list(tables->snapshot->series.count, points_item, (void *)(uintptr_t)tables);
}

/* ---- together ------------------------------------------------------------------------------ */

PyObject *
mp_core_tables(PyObject *owner, struct mp_snapshot *snapshot, struct mp_objects *objects)
{
    static PyObject *(*const parts[])(const struct tables *tables) = {names, locations,   stacks,
                                                                     rows,  checkpoints, points};
    enum { PARTS = sizeof parts / sizeof *parts };
    const struct tables tables = {owner, snapshot, objects};
    const bool quiet = mp_hook_quiet(true);
    PyObject *result = PyTuple_New(PARTS);
    for (Py_ssize_t i = 0; result && i < PARTS; i++) {
        PyObject *part = parts[i](&tables);
        if (!part)
            Py_CLEAR(result);
        else
            PyTuple_SET_ITEM(result, i, part);
    }
    mp_hook_quiet(quiet);
    return result;
}
