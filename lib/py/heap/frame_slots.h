/* frame_slots: the local variables of a frame, and what may lie on its evaluation stack. Only while
 * the pass lasts. */
#ifndef MP_FRAME_SLOTS_H
#define MP_FRAME_SLOTS_H

#include "py/heap/pass.h"

/* The code object that a frame runs; NULL when it cannot be read. */
const PyCodeObject *mp_frame_slots_code(const struct mp_pass *pass, const char *frame);

typedef void mp_local_visit(PyObject *name, PyObject *value, void *data);

/* Call visit for each local variable that is set: name may be NULL. */
void mp_frame_slots_locals(const struct mp_pass *pass, const char *frame, mp_local_visit *visit,
                           void *data);

/* The same for each slot of the evaluation stack: it is not known how far that reaches. Without
 * names; the value may be none any more. */
void mp_frame_slots_stack(const struct mp_pass *pass, const char *frame, mp_local_visit *visit,
                          void *data);

#endif
