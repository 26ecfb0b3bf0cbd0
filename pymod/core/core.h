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
PyObject *mp_objects_name(struct mp_objects *objects, uint32_t name);
PyObject *mp_objects_stack(struct mp_objects *objects, uint32_t stack);
PyObject *mp_objects_group(struct mp_objects *objects, enum mp_group_by by, uint32_t id);
PyObject *mp_objects_location(struct mp_objects *objects, uint32_t location);

/* A str of any bytes: what is no UTF-8 is replaced. */
PyObject *mp_core_text(struct mp_text text);

/* A list of `count` items made by make(i, data); NULL with an exception set. */
PyObject *mp_core_list(size_t count, PyObject *(*make)(size_t i, void *data), void *data);

/* What explains the leaks of a snapshot: explain(unfollowed, rows) sets it, and it is (unfollowed,
 * rows). A row: (stack, objects, owners, retained, above or -1, [(type, objects)], [(path, objects,
 * root, detail)]). */
PyObject *mp_core_explain(struct mp_snapshot *snapshot, PyObject *args);
PyObject *mp_core_explained(struct mp_snapshot *snapshot);

/* (too_short, [verdict rows]) and [(seconds, traced, resident)] of a snapshot's series. */
PyObject *mp_core_growth(const struct mp_snapshot *snapshot, struct mp_objects *objects);
PyObject *mp_core_series(struct mp_snapshot *snapshot);

/* `count` numbers, `stride` bytes from one to the next; a letter of the module struct: B, I, Q or
 * q. */
struct mp_column {
    const void *at;
    size_t count, stride;
    const char *format;
};

/* A memoryview of them in place, which keeps `owner`, a snapshot object, alive. */
PyObject *mp_core_column(PyObject *owner, const struct mp_column *column);

/* All tables of a snapshot: (names, locations, stacks, rows, checkpoints, points). */
PyObject *mp_core_tables(PyObject *owner, struct mp_snapshot *snapshot,
                         struct mp_objects *objects);

/* Set a Python exception for a status of the library; always returns NULL. `path` may be NULL. */
PyObject *mp_core_raise(int status, const char *path, const char *why);

/* Positions of a keyword's values: -1 and ValueError when it is none of them. */
int mp_core_by(const char *text);
int mp_core_metric(const char *text);

/* A new snapshot object that owns `snapshot`; NULL frees it and sets an exception. */
PyObject *mp_core_wrap(PyObject *module, struct mp_snapshot *snapshot);

/* The object graph: in the table of leak_rows.c. */
PyObject *mp_core_heap_explain(PyObject *module, PyObject *args);
PyObject *mp_core_heap_holders(PyObject *module, PyObject *args);
PyObject *mp_core_heap_referents(PyObject *module, PyObject *object);
PyObject *mp_core_heap(PyObject *module, PyObject *own_path);
PyObject *mp_core_live_stacks(PyObject *module, PyObject *unused);
PyObject *mp_core_stack_frames(PyObject *module, PyObject *stack);

/* Each file of this folder adds its functions and its type to the module: -1 with an exception
 * set. module.c alone calls them. */
int mp_core_add_trace(PyObject *module);
int mp_core_add_snapshot(PyObject *module);
int mp_core_add_columns(PyObject *module);
int mp_core_add_live_blocks(PyObject *module);
int mp_core_add_heap(PyObject *module);
int mp_core_add_leaks(PyObject *module);
int mp_core_add_lines(PyObject *module);
int mp_core_add_process(PyObject *module);
int mp_core_add_timeline(PyObject *module);
int mp_core_add_program(PyObject *module);

/* What a module of its interpreter keeps. */
struct mp_core_state {
    PyTypeObject *snapshot_type;
    PyTypeObject *heap_type;
    PyTypeObject *column_type;
};

#endif
