/* What the C files of the package share. */
#ifndef MP_CORE_H
#define MP_CORE_H

#include "py/cpython/compat.h"

#include "analyse/group.h"
#include "analyse/snapshot.h"

/* Python objects for the symbols of one snapshot, each made once. */
struct mp_objects {
    struct mp_symbols *symbols; /* one reference */
    PyObject **name;            /* by name id */
    PyObject **frame;           /* by location id, twice: plain and folded */
    PyObject **stack;           /* by stack id: tuples of frames */
};

/* Takes over a reference to symbols; false with an exception set. */
bool mp_objects_open(struct mp_objects *objects, struct mp_symbols *symbols);
void mp_objects_close(struct mp_objects *objects);

/* (filename, line, function, folded): new references, NULL with an exception set. A group's
 * frames are a tuple of one frame, or of the stack's frames, the oldest first. */
PyObject *mp_objects_stack(struct mp_objects *objects, uint32_t stack);
PyObject *mp_objects_group(struct mp_objects *objects, enum mp_group_by by, uint32_t id);
PyObject *mp_objects_location(struct mp_objects *objects, uint32_t location);

/* A list of `count` items made by make(i, data); NULL with an exception set. */
PyObject *mp_core_list(size_t count, PyObject *(*make)(size_t i, void *data), void *data);

/* (too_short, [verdict rows]) and [(seconds, traced, resident)] of a snapshot's series. */
PyObject *mp_core_growth(const struct mp_snapshot *snapshot, struct mp_objects *objects);
PyObject *mp_core_series(struct mp_snapshot *snapshot);

/* Set a Python exception for a status of the library; always returns NULL. `path` may be NULL. */
PyObject *mp_core_raise(int status, const char *path, const char *why);

/* Positions of a keyword's values: -1 and ValueError when it is none of them. */
int mp_core_by(const char *text);
int mp_core_metric(const char *text);

/* The snapshot type: created in `module`; -1 with an exception set. */
int mp_core_add_snapshot(PyObject *module);

/* A new snapshot object that owns `snapshot`; NULL frees it and sets an exception. */
PyObject *mp_core_wrap(PyObject *module, struct mp_snapshot *snapshot);

/* The functions that concern live blocks and running code. */
PyObject *mp_core_traces(PyObject *module, PyObject *limit);
PyObject *mp_core_object_stack(PyObject *module, PyObject *object);
PyObject *mp_core_run_code(PyObject *module, PyObject *args);
PyObject *mp_core_run_call(PyObject *module, PyObject *args);
PyObject *mp_core_print_exception(PyObject *module, PyObject *error);

/* The functions that concern the timeline's thread. */
PyObject *mp_core_timeline_start(PyObject *module, PyObject *args);
PyObject *mp_core_timeline_stop(PyObject *module, PyObject *unused);
PyObject *mp_core_timeline_pause(PyObject *module, PyObject *unused);
PyObject *mp_core_timeline_resume(PyObject *module, PyObject *unused);
PyObject *mp_core_timeline_take(PyObject *module, PyObject *unused);
PyObject *mp_core_timeline_mark(PyObject *module, PyObject *done);

PyObject *mp_core_exit_with(PyObject *module, PyObject *status);
PyObject *mp_core_clear_type_cache(PyObject *module, PyObject *unused);

/* The object graph. */
PyObject *mp_core_heap_explain(PyObject *module, PyObject *args);
PyObject *mp_core_heap_holders(PyObject *module, PyObject *args);
PyObject *mp_core_heap_referents(PyObject *module, PyObject *object);
PyObject *mp_core_heap(PyObject *module, PyObject *own_path);
PyObject *mp_core_live_stacks(PyObject *module, PyObject *unused);
PyObject *mp_core_stack_frames(PyObject *module, PyObject *stack);
int mp_core_add_heap(PyObject *module);
/* _core.Lines: created in `module`; -1 with an exception set. And what goes with it. */
int mp_core_add_lines(PyObject *module);
PyObject *mp_core_resident(PyObject *module, PyObject *args);
PyObject *mp_core_reset_peak_rss(PyObject *module, PyObject *unused);
PyObject *mp_core_peak_rss(PyObject *module, PyObject *unused);
PyObject *mp_core_watch_start(PyObject *module, PyObject *args);
PyObject *mp_core_watch_stop(PyObject *module, PyObject *capsule);

/* What a module of its interpreter keeps. */
struct mp_core_state {
    PyTypeObject *snapshot_type;
    PyTypeObject *heap_type;
};

#endif
