/* timeline: a thread of our own that looks at the tallies while the program runs.
 *
 * It takes checkpoints for the series (every 10 ms at first; the series doubles
 * the interval as it fills, and a checkpoint never takes more than 1 % of the
 * time), and calls a function at a fixed interval (to rewrite the profile).
 * It holds no GIL, blocks all signals, and touches no Python object.
 *
 * Any thread may start and stop it. The thread does not survive fork(): stop before,
 * resume or start again after (the series goes on).
 */
#ifndef MP_TIMELINE_H
#define MP_TIMELINE_H

#include "tables/series.h"

struct mp_timeline_options {
    bool series;                /* take checkpoints */
    uint64_t call_interval;     /* nanoseconds between calls of `call`; 0: never */
    void (*call)(void *data);
    void *data;
};

/* Start the thread. MP_SYSTEM when it cannot be made; no-op while it runs. */
MP_WARN_UNUSED int mp_timeline_start(const struct mp_timeline_options *options);

/* Start it again as it was started last. */
MP_WARN_UNUSED int mp_timeline_resume(void);

/* Stop it and wait for its end; true when it ran. */
bool mp_timeline_stop(void);

/* The series so far; stable only while the thread is stopped. */
struct mp_series *mp_timeline_series(void);

/* Take a checkpoint now, by the calling thread, while the timeline is stopped. */
void mp_timeline_take(void);

/* The same with a time of the caller's: units of work that are done, in billionths. */
void mp_timeline_take_at(uint64_t time);

/* Begin the series anew, at time 0. Only while the thread is stopped. */
void mp_timeline_reset(void);

/* Nanoseconds since mp_timeline_reset. */
uint64_t mp_timeline_time(void);

#endif
