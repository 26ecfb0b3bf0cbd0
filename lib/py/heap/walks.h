/* walks: what objects of CPython's own types hold, by name: one function a type, for the rows of
 * types.c. */
#ifndef MP_WALKS_H
#define MP_WALKS_H

#include "py/heap/pass.h"

/* One object whose children are told to `visit`. */
struct mp_walk {
    const struct mp_pass *pass;
    const struct mp_held *held;
    PyObject *object;
    mp_child_visit *visit;
    void *data;
};

/* Tell of a child; NULL, and what is no node, is passed over. */
void mp_walk_say(const struct mp_walk *walk, PyObject *child, const struct mp_label *label);
void mp_walk_say_word(const struct mp_walk *walk, PyObject *child, const char *word);
void mp_walk_say_hidden(const struct mp_walk *walk, PyObject *child, enum mp_role role);

/* `children` */
void mp_walk_dict(const struct mp_walk *walk);
void mp_walk_tuple(const struct mp_walk *walk);
void mp_walk_list(const struct mp_walk *walk);
void mp_walk_module(const struct mp_walk *walk);
void mp_walk_type(const struct mp_walk *walk);
void mp_walk_function(const struct mp_walk *walk);
void mp_walk_cell(const struct mp_walk *walk);
void mp_walk_suspended(const struct mp_walk *walk);
void mp_walk_frame(const struct mp_walk *walk);
void mp_walk_exception(const struct mp_walk *walk);
void mp_walk_numpy(const struct mp_walk *walk);

/* `edges` */
void mp_walk_context(const struct mp_walk *walk);

#endif
