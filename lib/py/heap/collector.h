/* collector: what CPython's collector knows, and the pause in which it may be looked at. */
#ifndef MP_COLLECTOR_H
#define MP_COLLECTOR_H

#include "py/heap/pass.h"

/* Call visit for each object that the collector knows, and nothing else. Only within a pause. */
void mp_collector_each(struct mp_pass *pass, void (*visit)(PyObject *object, void *data),
                       void *data);

/* Call `use` once while no object changes: the GIL is held, or the world is stopped. It is not
 * called when there is no memory. */
void mp_collector_pause(struct mp_pass *pass, void (*use)(void *data), void *data);

#endif
