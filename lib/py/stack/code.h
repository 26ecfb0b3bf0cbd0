/* code: from a frame's code object and instruction to a location of the depot.
 *
 * Everything is copied when a location is first met; no reference to a Python
 * object is kept, so reports can be made after the interpreter is gone. Runs
 * inside hooks: reads only, no Python API that allocates or locks.
 */
#ifndef MP_CODE_H
#define MP_CODE_H

#include "py/stack/cache.h"

/* Location id (without MP_FOLDED), and the birth of the code object (tracer.h); 0 when there is no
 * memory. */
uint32_t mp_code_location(struct mp_py_thread *self, const struct mp_frame_key *frame,
                          uint32_t *birth);

#endif
