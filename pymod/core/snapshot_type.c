/* The snapshot type of the extension: rows out as flat tuples. */
#include "core.h"

#include <assert.h>
#include <string.h>

#include "analyse/diff.h"
#include "profile/profile_file.h"
#include "py/alloc/hook.h"

struct snapshot_object {
    PyObject_HEAD
    struct mp_snapshot *snapshot;
    struct mp_objects objects;
};

static struct mp_snapshot *
get_snapshot(PyObject *self)
{
    return ((struct snapshot_object *)self)->snapshot;
}

static struct mp_objects *
get_objects(PyObject *self)
{
    return &((struct snapshot_object *)self)->objects;
}

/* ---- group and compare --------------------------------------------------------------------- */

struct listing {
    struct mp_objects *objects;
    enum mp_group_by by;
    enum mp_metric metric;
    const struct mp_groups *groups;
    const struct mp_diff *diff;
};

/* (frames, size, count) */
static PyObject *
group_item(size_t i, void *data)
{
    const struct listing *listing = data;
    assert(i < listing->groups->count);
    const struct mp_group *row = &listing->groups->rows[i];
    const struct mp_counts *counts = mp_totals_get(&row->totals, listing->metric);
    PyObject *frames = mp_objects_group(listing->objects, listing->by, row->id);
    return frames ? Py_BuildValue("(NKK)", frames, (unsigned long long)counts->bytes,
                                  (unsigned long long)counts->blocks)
                  : NULL;
}

/* (frames, size, size_diff, count, count_diff) */
static PyObject *
change_item(size_t i, void *data)
{
    const struct listing *listing = data;
    assert(i < listing->diff->count);
    const struct mp_change *row = &listing->diff->rows[i];
    const struct mp_counts *after = mp_totals_get(&row->after, listing->metric);
    const struct mp_counts *before = mp_totals_get(&row->before, listing->metric);
    PyObject *frames = mp_objects_group(listing->objects, listing->by, row->id);
    return frames ? Py_BuildValue("(NKLKL)", frames, (unsigned long long)after->bytes,
                                  (long long)(after->bytes - before->bytes),
                                  (unsigned long long)after->blocks,
                                  (long long)(after->blocks - before->blocks))
                  : NULL;
}

/* Parse (by, cumulative, metric) into *listing. */
static bool
set_listing(struct listing *listing, const char *by, const char *metric)
{
    const int by_index = mp_core_by(by), metric_index = by_index < 0 ? -1 : mp_core_metric(metric);
    listing->by = (enum mp_group_by)by_index;
    listing->metric = (enum mp_metric)metric_index;
    return metric_index >= 0;
}

/* Rows that are empty in the metric are left out: they sort to the end. */
static size_t
count_rows(const struct mp_groups *groups, enum mp_metric metric)
{
    size_t count = groups->count;
    while (count && !mp_totals_get(&groups->rows[count - 1].totals, metric)->blocks &&
           !mp_totals_get(&groups->rows[count - 1].totals, metric)->bytes)
        count--;
    return count;
}

static PyObject *
snapshot_group(PyObject *self, PyObject *args)
{
    struct listing listing = {.objects = get_objects(self)};
    struct mp_groups groups;
    const char *by, *metric;
    int cumulative;

    if (!PyArg_ParseTuple(args, "sps:group", &by, &cumulative, &metric) ||
        !set_listing(&listing, by, metric))
        return NULL;
    const int status = mp_group(get_snapshot(self), listing.by, cumulative, &groups);
    if (status != MP_OK)
        return mp_core_raise(status, NULL, "cumulative makes no sense for call stacks");
    mp_groups_sort(&groups, get_snapshot(self)->symbols, listing.metric);
    listing.groups = &groups;
    const bool quiet = mp_hook_quiet(true);
    PyObject *list = mp_core_list(count_rows(&groups, listing.metric), group_item, &listing);
    mp_hook_quiet(quiet);
    mp_groups_free(&groups);
    return list;
}

static bool
is_snapshot(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) == Py_TYPE(self))
        return true;
    PyErr_SetString(PyExc_TypeError, "not a snapshot");
    return false;
}

/* Leave out the groups that are empty in the metric, before and after. */
static void
drop_empty(struct mp_diff *diff, enum mp_metric metric)
{
    size_t kept = 0;
    for (size_t i = 0; i < diff->count; i++) {
        const struct mp_counts *before = mp_totals_get(&diff->rows[i].before, metric);
        const struct mp_counts *after = mp_totals_get(&diff->rows[i].after, metric);
        if (before->blocks || after->blocks || before->bytes || after->bytes)
            diff->rows[kept++] = diff->rows[i];
    }
    diff->count = kept;
}

static PyObject *
list_changes(struct listing *listing, struct mp_diff *diff)
{
    struct mp_objects objects;
    PyObject *list = NULL;
    drop_empty(diff, listing->metric);
    mp_diff_sort(diff, listing->metric);
    const bool quiet = mp_hook_quiet(true);
    if (mp_objects_open(&objects, mp_symbols_retain(diff->symbols))) {
        listing->objects = &objects;
        listing->diff = diff;
        list = mp_core_list(diff->count, change_item, listing);
        mp_objects_close(&objects);
    }
    mp_hook_quiet(quiet);
    return list;
}

static PyObject *
snapshot_compare(PyObject *self, PyObject *args)
{
    struct listing listing = {0};
    struct mp_diff diff;
    const char *by, *metric;
    PyObject *old;
    int cumulative;

    if (!PyArg_ParseTuple(args, "Osps:compare", &old, &by, &cumulative, &metric) ||
        !is_snapshot(self, old) || !set_listing(&listing, by, metric))
        return NULL;
    const int status =
        mp_diff(get_snapshot(old), get_snapshot(self), listing.by, cumulative, &diff);
    PyObject *list =
        status == MP_OK
            ? list_changes(&listing, &diff)
            : mp_core_raise(status, NULL, "cumulative makes no sense for call stacks");
    mp_diff_free(&diff);
    return list;
}

/* ---- filters ------------------------------------------------------------------------------- */

static PyObject *
location_item(size_t i, void *data)
{
    return mp_objects_location(data, (uint32_t)i);
}

static PyObject *
snapshot_locations(PyObject *self, PyObject *Py_UNUSED(unused))
{
    const bool quiet = mp_hook_quiet(true);
    PyObject *list = mp_core_list((size_t)get_snapshot(self)->symbols->locations + 1,
                                location_item, get_objects(self));
    mp_hook_quiet(quiet);
    return list;
}

/* One filter: which locations match, on which frames, in which domain. */
struct filter {
    int inclusive, all_frames;
    const char *matches; /* by location: 0 or not; NULL matches all */
    Py_ssize_t length;
    int kinds;           /* bits of enum mp_kind; 0: any */
    long long domain;    /* of tracked blocks; -1: any */
};

static bool
frames_match(const struct filter *filter, const struct mp_symbols *symbols, uint32_t stack)
{
    if (!filter->matches)
        return true;
    assert(filter->length == (Py_ssize_t)symbols->locations + 1);
    do {
        if (filter->matches[mp_symbols_top(symbols, stack)])
            return true;
        stack = symbols->stack[stack].parent;
    } while (filter->all_frames && stack);
    return false;
}

static bool
row_matches(const struct filter *filter, const struct mp_symbols *symbols,
            const struct mp_row *row)
{
    const bool domain = (!filter->kinds || filter->kinds >> row->kind & 1) &&
                        (filter->domain < 0 || filter->domain == row->domain);
    return domain && frames_match(filter, symbols, row->stack);
}

static PyObject *
snapshot_select(PyObject *self, PyObject *args)
{
    const struct mp_snapshot *snapshot = get_snapshot(self);
    struct filter filter;
    PyObject *keep;
    if (!PyArg_ParseTuple(args, "Ypz#iL:match", &keep, &filter.all_frames, &filter.matches,
                          &filter.length, &filter.kinds, &filter.domain))
        return NULL;
    if (PyByteArray_GET_SIZE(keep) != (Py_ssize_t)snapshot->count ||
        (filter.matches && filter.length != (Py_ssize_t)snapshot->symbols->locations + 1)) {
        PyErr_SetString(PyExc_ValueError, "a mask has the wrong length");
        return NULL;
    }
    char *out = PyByteArray_AS_STRING(keep);
    for (size_t i = 0; i < snapshot->count; i++)
        out[i] = row_matches(&filter, snapshot->symbols, &snapshot->rows[i]);
    Py_RETURN_NONE;
}

static PyObject *
snapshot_keep(PyObject *self, PyObject *mask)
{
    const struct mp_snapshot *snapshot = get_snapshot(self);
    if (!PyByteArray_Check(mask) ||
        PyByteArray_GET_SIZE(mask) != (Py_ssize_t)snapshot->count) {
        PyErr_SetString(PyExc_ValueError, "a mask has the wrong length");
        return NULL;
    }
    struct mp_snapshot *kept =
        mp_snapshot_select(snapshot, (const bool *)PyByteArray_AS_STRING(mask));
    return kept ? mp_core_wrap(PyType_GetModule(Py_TYPE(self)), kept) : PyErr_NoMemory();
}

/* ---- over time ----------------------------------------------------------------------------- */

static PyObject *
snapshot_growth(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return mp_core_growth(get_snapshot(self), get_objects(self));
}

static PyObject *
snapshot_series(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return mp_core_series(get_snapshot(self));
}

static PyObject *
snapshot_explain(PyObject *self, PyObject *args)
{
    return mp_core_explain(get_snapshot(self), args);
}

static PyObject *
snapshot_explained(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return mp_core_explained(get_snapshot(self));
}

static PyObject *
snapshot_tables(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return mp_core_tables(self, get_snapshot(self), get_objects(self));
}

/* ---- facts, note, file --------------------------------------------------------------------- */

static PyObject *
snapshot_facts(PyObject *self, PyObject *Py_UNUSED(unused))
{
    PyObject *result = PyDict_New();
    for (size_t i = 0; result && i < MP_FACT_COUNT; i++) {
        PyObject *value = PyLong_FromLongLong(*mp_fact_value(&get_snapshot(self)->facts, i));
        if (!value || PyDict_SetItemString(result, mp_fact_names[i], value))
            Py_CLEAR(result);
        Py_XDECREF(value);
    }
    return result;
}

static PyObject *
snapshot_set_fact(PyObject *self, PyObject *args)
{
    const char *name;
    long long value;
    if (!PyArg_ParseTuple(args, "sL:set_fact", &name, &value))
        return NULL;
    for (size_t i = 0; i < MP_FACT_COUNT; i++)
        if (strcmp(name, mp_fact_names[i]) == 0) {
            *mp_fact_value(&get_snapshot(self)->facts, i) = value;
            Py_RETURN_NONE;
        }
    PyErr_Format(PyExc_KeyError, "no such fact: %s", name);
    return NULL;
}

static PyObject *
snapshot_note(PyObject *self, PyObject *Py_UNUSED(unused))
{
    const struct mp_snapshot *snapshot = get_snapshot(self);
    return PyBytes_FromStringAndSize(snapshot->note, (Py_ssize_t)snapshot->note_size);
}

static PyObject *
snapshot_set_note(PyObject *self, PyObject *args)
{
    const char *text;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#:set_note", &text, &size))
        return NULL;
    const int status = mp_snapshot_set_note(get_snapshot(self), text, (size_t)size);
    if (status != MP_OK)
        return mp_core_raise(status, NULL, NULL);
    Py_RETURN_NONE;
}

static PyObject *
snapshot_write(PyObject *self, PyObject *path)
{
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    const char *name = PyBytes_AS_STRING(encoded);
    const int status = mp_profile_write(get_snapshot(self), name);
    if (status != MP_OK)
        mp_core_raise(status, name, NULL);
    Py_DECREF(encoded);
    return status == MP_OK ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
snapshot_length(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromSize_t(get_snapshot(self)->count);
}

static PyObject *
snapshot_read(PyObject *module, PyObject *path)
{
    struct mp_snapshot *snapshot;
    const char *why;
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    const char *name = PyBytes_AS_STRING(encoded);
    const int status = mp_profile_read(name, &snapshot, &why);
    PyObject *result =
        status == MP_OK ? mp_core_wrap(module, snapshot) : mp_core_raise(status, name, why);
    Py_DECREF(encoded);
    return result;
}

/* ---- the type ------------------------------------------------------------------------------ */

static void
snapshot_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    mp_objects_close(get_objects(self));
    mp_snapshot_free(get_snapshot(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"group", snapshot_group, METH_VARARGS,
     "group(by, cumulative, metric) -> [(frames, size, count)], largest first"},
    {"compare", snapshot_compare, METH_VARARGS,
     "compare(old, by, cumulative, metric) -> [(frames, size, size_diff, count, count_diff)]"},
    {"locations", snapshot_locations, METH_NOARGS,
     "[(filename, line, function, first_line)] by location id"},
    {"match", snapshot_select, METH_VARARGS,
     "match(rows, all_frames, locations, kinds, domain): set rows[i] to whether row i matches"},
    {"keep", snapshot_keep, METH_O, "keep(rows) -> snapshot with the rows whose byte is 1"},
    {"growth", snapshot_growth, METH_NOARGS, "(too_short, rows): see growth.h"},
    {"series", snapshot_series, METH_NOARGS, "[(seconds, traced bytes, resident bytes)]"},
    {"explain", snapshot_explain, METH_VARARGS, "explain(unfollowed, rows): see core.h"},
    {"explained", snapshot_explained, METH_NOARGS, "(unfollowed, rows) of explain()"},
    {"tables", snapshot_tables, METH_NOARGS,
     "(names, locations, stacks, rows, checkpoints, points): see model/tables.py"},
    {"facts", snapshot_facts, METH_NOARGS, "dict of what is known of the process"},
    {"set_fact", snapshot_set_fact, METH_VARARGS, "set_fact(name, value)"},
    {"note", snapshot_note, METH_NOARGS, "key=value lines, bytes"},
    {"set_note", snapshot_set_note, METH_VARARGS, "set_note(bytes)"},
    {"write", snapshot_write, METH_O, "write(path): replace the file at once or not at all"},
    {"length", snapshot_length, METH_NOARGS, "number of rows"},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)"Numbers of all call stacks at one moment; immutable but for facts, note "
                        "and what explains leaks."},
    {Py_tp_dealloc, (void *)(uintptr_t)snapshot_dealloc},
    {Py_tp_methods, methods},
    {0},
};

static PyType_Spec spec = {
    .name = "memprof._core.Snapshot",
    .basicsize = sizeof(struct snapshot_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

static PyMethodDef functions[] = {
    {"read", snapshot_read, METH_O, "read(path) -> Snapshot"},
    {0},
};

int
mp_core_add_snapshot(PyObject *module)
{
    struct mp_core_state *state = PyModule_GetState(module);
    state->snapshot_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->snapshot_type && !PyModule_AddType(module, state->snapshot_type)
               ? PyModule_AddFunctions(module, functions)
               : -1;
}

PyObject *
mp_core_wrap(PyObject *module, struct mp_snapshot *snapshot)
{
    struct mp_core_state *state = PyModule_GetState(module);
    struct snapshot_object *self = PyObject_New(struct snapshot_object, state->snapshot_type);
    if (!self) {
        mp_snapshot_free(snapshot);
        return NULL;
    }
    self->snapshot = snapshot;
    if (!mp_objects_open(&self->objects, mp_symbols_retain(snapshot->symbols))) {
        self->objects = (struct mp_objects){0};
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}
