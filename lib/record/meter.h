/* meter: what a thread itself allocates and frees, for profiles of lines.
 *
 * Counted only while the thread's idle guard is MP_GUARD_METERED (thread.h), by whoever records
 * its events. Read and reset by the thread only. All numbers are bytes.
 */
#ifndef MP_METER_H
#define MP_METER_H

#include <stdint.h>

struct mp_meter {
    uint64_t allocated, freed;
    int64_t high;         /* maximum of allocated - freed since its user has set it */
    int64_t high_before;  /* `high` without the allocation made last */
    uintptr_t last;       /* the block allocated last; 0: it was freed, or taken back */
};

static inline int64_t
mp_meter_net(const struct mp_meter *meter)
{
    return (int64_t)(meter->allocated - meter->freed);
}

static inline void
mp_meter_alloc(struct mp_meter *meter, uintptr_t address, uint64_t size)
{
    meter->allocated += size;
    meter->last = address;
    meter->high_before = meter->high;
    if (mp_meter_net(meter) > meter->high)
        meter->high = mp_meter_net(meter);
}

static inline void
mp_meter_free(struct mp_meter *meter, uint64_t size)
{
    meter->freed += size;
    meter->last = 0;
}

/* Undo the allocation made last: the block is not the program's. */
static inline void
mp_meter_take_back(struct mp_meter *meter, uint64_t size)
{
    meter->allocated -= size;
    meter->high = meter->high_before;
    meter->last = 0;
}

#endif
