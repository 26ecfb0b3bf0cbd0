/* freeze: from the tables of the tracer to an immutable snapshot.
 *
 * With api.c the border between recording and analysis. Any thread; exact when
 * nothing is recorded meanwhile (in Python: the GIL is held and no thread is
 * allocating without it).
 */
#ifndef MP_FREEZE_H
#define MP_FREEZE_H

#include "analyse/snapshot.h"

/* The symbols of now, one reference for the caller; NULL when there is no memory. */
MP_WARN_UNUSED struct mp_symbols *mp_freeze_symbols(void);

/* The numbers of now; NULL when there is no memory. `series` includes the timeline's
 * checkpoints: only by the timeline's own thread or while it is stopped. */
MP_WARN_UNUSED struct mp_snapshot *mp_freeze(bool series);

/* Fill facts.traced_small and traced_c_heap: a walk over all live blocks. Bytes of the raw
 * domain, which are among the latter. */
int64_t mp_freeze_split_heap(struct mp_facts *facts);

/* The trace begins: time of day for facts.started_ns. */
void mp_freeze_start_clock(void);

#endif
