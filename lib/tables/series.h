/* series: the live numbers of every site over time, in a bounded number of
 * checkpoints that are evenly spaced from the start of the trace to now.
 *
 * When the last slot is filled every second checkpoint is dropped and the
 * interval doubles, so there are always MP_CHECKPOINTS / 2 or more once there
 * were as many. Plain data, one owner, no locks.
 */
#ifndef MP_SERIES_H
#define MP_SERIES_H

#include "base/mem.h"

enum { MP_CHECKPOINTS = 64 };

/* A site (a call stack, in a snapshot) with live blocks at the time of a checkpoint. */
struct mp_point {
    uint32_t id;
    uint32_t blocks;
    uint64_t bytes;
};

struct mp_checkpoint {
    uint64_t time;   /* nanoseconds since the start of the trace */
    int64_t traced;  /* bytes live */
    int64_t rss;     /* bytes resident in the process */
    size_t count, capacity;
    struct mp_point *points; /* in order of id; owned */
};

struct mp_series {
    size_t count;
    unsigned thinned; /* how often: the interval is the first one << thinned */
    struct mp_checkpoint checkpoints[MP_CHECKPOINTS];
};

/* Take over a checkpoint; not earlier than the ones before. */
void mp_series_add(struct mp_series *series, const struct mp_checkpoint *checkpoint);
void mp_series_clear(struct mp_series *series);
void mp_checkpoint_free(struct mp_checkpoint *checkpoint);

/* A copy that stands alone. MP_NO_MEMORY leaves *copy empty. */
MP_WARN_UNUSED int mp_series_copy(const struct mp_series *series, struct mp_series *copy);

/* One that was recorded; a profile of unknown origin may have others. */
bool mp_series_check(const struct mp_series *series, const char **why);

/* The numbers of an id at a checkpoint; zeros when it had none. */
struct mp_point mp_checkpoint_find(const struct mp_checkpoint *checkpoint, uint32_t id);

#endif
