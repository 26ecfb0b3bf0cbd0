/* restamp: objects that CPython takes from its free lists, charged to who created them.
 *
 * A float, a tuple or a list may be made without a call of the allocator, in a block that an
 * earlier object has left. Without restamping the block stays with the stack of the earlier
 * one. With it, each such object counts as a free of the old block and an allocation of the
 * same size by the new stack. From 3.13 on CPython tells of each new object (PyRefTracer);
 * that costs on every one, so it is off unless asked for.
 *
 * Call with the GIL held (attached, without a GIL).
 */
#ifndef MP_RESTAMP_H
#define MP_RESTAMP_H

#include <stdbool.h>

/* Begin; false with a Python exception set where this Python cannot. Another tracer of
 * references stays in the chain behind ours. */
bool mp_restamp_begin(void);

/* End. Where somebody has put another tracer in front, ours stays and does nothing. */
void mp_restamp_end(void);

#endif
