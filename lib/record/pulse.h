/* pulse: a thread of ours that waits, and calls functions now and then.
 *
 * Any number of functions, each at an interval of its own that it may change with each call. They
 * are called by the one thread, one after the other: a slow one delays the others. So a pulse
 * belongs to who started it, and there may be several. The timeline has one, whose functions take
 * at most 1 % of the time or a promised interval; each watch has another, for a reading of shared
 * memory (PSS) takes a tenth of a second in a large process, and writing a profile takes seconds
 * that a watch must not miss.
 *
 * The thread holds no GIL and gets no signals. It is not in a forked child: there the pulse has
 * stopped, and may be started again.
 *
 * Thread rule: any thread may start and stop a pulse, one at a time.
 */
#ifndef MP_PULSE_H
#define MP_PULSE_H

#include <pthread.h>

#include "base/mem.h"

/* A function that is called. */
struct mp_beat {
    uint64_t (*call)(void *data); /* returns nanoseconds, from its end to its next call */
    void *data;
    uint64_t wait; /* nanoseconds until the first call */
    uint64_t due;  /* the pulse's own */
};

/* Zero-initialised is stopped. */
struct mp_pulse {
    struct mp_beat *beats;
    size_t count;
    bool running;  /* in the process of .. */
    uint32_t fork; /* .. this number */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards `stopping` */
    pthread_cond_t wake;
    bool stopping;
};

/* Start to call; the functions stay the pulse's until it is stopped. MP_SYSTEM, with errno, when
 * there can be no thread. Not while it runs. */
MP_WARN_UNUSED int mp_pulse_start(struct mp_pulse *pulse, struct mp_beat *beats, size_t count);

/* Call no more, and wait for the end of a call under way. True when it ran. */
bool mp_pulse_stop(struct mp_pulse *pulse);

bool mp_pulse_runs(const struct mp_pulse *pulse);

#endif
