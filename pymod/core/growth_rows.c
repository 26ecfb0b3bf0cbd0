/* A snapshot over time as Python objects: verdicts and curves. */
#include "core.h"

#include <assert.h>

#include "analyse/growth.h"
#include "py/alloc/hook.h"

struct growth_listing {
    struct mp_objects *objects;
    const struct mp_snapshot *snapshot;
    const struct mp_growths *growths;
    uint32_t stack;
};

/* (seconds, bytes, blocks) */
static PyObject *
point_item(size_t i, void *data)
{
    const struct growth_listing *listing = data;
    const struct mp_checkpoint *checkpoint = &listing->snapshot->series.checkpoints[i];
    const struct mp_point point = mp_checkpoint_find(checkpoint, listing->stack);
    return Py_BuildValue("(dKI)", (double)checkpoint->time / 1e9,
                         (unsigned long long)point.bytes, (unsigned int)point.blocks);
}

static PyObject *
growth_item(size_t i, void *data)
{
    static const char *const words[MP_VERDICTS] = {"steady",   "stepwise", "flat",
                                                   "sawtooth", "once",     "late"};
    struct growth_listing *listing = data;
    const struct mp_growth *row = &listing->growths->rows[i];
    assert(row->verdict < MP_VERDICTS && row->stack <= listing->snapshot->symbols->stacks);
    PyObject *frames = mp_objects_stack(listing->objects, row->stack);
    if (!frames)
        return NULL;
    listing->stack = row->stack;
    PyObject *points = row->verdict <= MP_STEPWISE
                           ? mp_core_list(listing->snapshot->series.count, point_item, listing)
                           : PyList_New(0);
    if (!points) {
        Py_DECREF(frames);
        return NULL;
    }
    return Py_BuildValue("(NsKKKKKKddNI)", frames, words[row->verdict],
                         (unsigned long long)row->live.bytes,
                         (unsigned long long)row->live.blocks,
                         (unsigned long long)row->first.bytes,
                         (unsigned long long)row->first.blocks,
                         (unsigned long long)row->last.bytes,
                         (unsigned long long)row->last.blocks, row->bytes_per_second,
                         row->blocks_per_second, points, (unsigned int)row->stack);
}

PyObject *
mp_core_growth(const struct mp_snapshot *snapshot, struct mp_objects *objects)
{
    struct mp_growths growths;
    const int status = mp_growth(snapshot, &growths);
    if (status != MP_OK)
        return mp_core_raise(status, NULL, NULL);
    struct growth_listing listing = {objects, snapshot, &growths, 0};
    const bool quiet = mp_hook_quiet(true);
    PyObject *list = mp_core_list(growths.count, growth_item, &listing);
    PyObject *result =
        list ? Py_BuildValue("(ON)", growths.too_short ? Py_True : Py_False, list) : NULL;
    mp_hook_quiet(quiet);
    mp_growths_free(&growths);
    return result;
}

/* (seconds, traced, rss) */
static PyObject *
checkpoint_item(size_t i, void *data)
{
    const struct mp_checkpoint *checkpoint = &((struct mp_snapshot *)data)->series.checkpoints[i];
    return Py_BuildValue("(dLL)", (double)checkpoint->time / 1e9,
                         (long long)checkpoint->traced, (long long)checkpoint->rss);
}

PyObject *
mp_core_series(struct mp_snapshot *snapshot)
{
    return mp_core_list(snapshot->series.count, checkpoint_item, snapshot);
}
