/* watch: a thread of ours that reads the resident memory at an interval.
 *
 * It needs no GIL, so it sees what happens while the interpreter is in one long call. One
 * watch belongs to who started it; several may run. Samples are kept in our own memory.
 */
#ifndef MP_WATCH_H
#define MP_WATCH_H

#include "base/mem.h"
#include "os/process.h"

struct mp_watch_options {
    uint64_t interval; /* nanoseconds; less than MP_WATCH_SHORTEST means that */
    bool children;     /* with the memory of all descendants */
    bool traced;       /* live traced bytes instead */
    enum mp_process_metric metric;
};

enum { MP_WATCH_SHORTEST = 100 * 1000 };

struct mp_sample {
    int64_t bytes;
    double time; /* seconds since the epoch */
};

struct mp_watch;

/* One sample now. */
struct mp_sample mp_watch_sample(const struct mp_watch_options *options);

/* The first sample has been taken when it returns. MP_NO_MEMORY or MP_SYSTEM. */
MP_WARN_UNUSED int mp_watch_start(const struct mp_watch_options *options, struct mp_watch **watch);

/* Stop after one more sample. In a forked child there is no thread any more. */
void mp_watch_stop(struct mp_watch *watch);

/* Of a stopped watch. */
size_t mp_watch_count(const struct mp_watch *watch);
struct mp_sample mp_watch_get(const struct mp_watch *watch, size_t i);

/* Stops it, if need be. */
void mp_watch_free(struct mp_watch *watch);

#endif
