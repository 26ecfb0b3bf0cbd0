/* source: who knows the call stack of an event.
 *
 * Recording knows nothing of stacks but their ids. Who captures them fills in these functions:
 * py/alloc does, for whatever is recorded by memprof_track of a C extension. One that adds to
 * the stack of another (frames of C libraries inside of Python's) keeps the source that was
 * there and asks it. Without a source all sites have the empty stack, and nobody may write the
 * main lane.
 *
 * How the caches behind a source are emptied is told to thread.h (mp_thread_extend): they are
 * there before the first trace, and their room is in the threads' blocks.
 *
 * Thread rule: any thread may ask that has entered (mp_tracer_enter). A source is set while
 * nothing is traced.
 */
#ifndef MP_SOURCE_H
#define MP_SOURCE_H

#include "record/thread.h"
#include "tables/depot.h"

struct mp_stack_source {
    /* Site of an allocation by the calling thread; 0 when it cannot be kept. */
    uint32_t (*site)(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size);
    /* May the calling thread write the main lane (tally.h)? */
    bool (*main)(void);
};

/* From now on this one is asked; NULL: none. It must stay. Returns the one before. */
const struct mp_stack_source *mp_source_set(const struct mp_stack_source *source);

uint32_t mp_source_site(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size);
bool mp_source_main(void);

#endif
