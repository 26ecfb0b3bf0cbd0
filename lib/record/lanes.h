/* lanes: all tallies of the process (tally.h says what a lane is), and the clock.
 *
 * A site has its tallies in the main and the reserve lane from the moment it exists, so that
 * events need no memory for theirs. A thread that may not write the main lane has a lane of its
 * own; without memory for that it counts in the reserve lane.
 *
 * Without a GIL threads would meet at the clock with each event: each of several may keep up to
 * `slack` bytes from it, which mp_lanes_live adds.
 *
 * `main` says that the caller may write the main lane, that is, holds the GIL of the main
 * interpreter. With false every function may be called from any thread.
 */
#ifndef MP_LANES_H
#define MP_LANES_H

#include "record/thread.h"
#include "tables/tally.h"

/* One per process, mp_tracer.lanes: the threads' own lanes hang on their blocks. */
struct mp_lanes {
    struct mp_clock clock;
    struct mp_lane main;
    struct mp_lane reserve;
    struct mp_spin reserve_lock;
    bool no_gil;           /* the Python whose hooks record is free-threaded */
    _Atomic int64_t slack; /* bytes that a thread may keep from the clock */
};

/* Give the site its tallies; false when there is no memory. */
bool mp_lanes_reach(struct mp_lanes *lanes, uint32_t site);

/* The calling thread begins to record: without a GIL a second one may keep bytes from the
 * clock from now on. */
void mp_lanes_note_thread(struct mp_lanes *lanes);

/* ---- events ------------------------------------------------------------------------- */

/* Slow path of the functions below: who may not write the main lane. */
void mp_lanes_count_own(struct mp_lanes *lanes, uint32_t site, size_t size, bool alloc);

static inline __attribute__((always_inline)) void
mp_lanes_count_alloc(struct mp_lanes *lanes, bool main, uint32_t site, size_t size)
{
    if (MP_LIKELY(main))
        mp_tally_alloc(mp_lane_at(&lanes->main, site), &lanes->clock, true, size);
    else
        mp_lanes_count_own(lanes, site, size, true);
}

static inline __attribute__((always_inline)) void
mp_lanes_count_free(struct mp_lanes *lanes, bool main, uint32_t site, size_t size)
{
    if (MP_LIKELY(main))
        mp_tally_free(mp_lane_at(&lanes->main, site), &lanes->clock, true, size);
    else
        mp_lanes_count_own(lanes, site, size, false);
}

/* Count a free and an allocation of the same site, which leave its live numbers as they are. */
static inline void
mp_lanes_count_again(struct mp_lanes *lanes, bool main, uint32_t site, size_t size)
{
    mp_lanes_count_free(lanes, main, site, size);
    mp_lanes_count_alloc(lanes, main, site, size);
}

/* ---- sums ----------------------------------------------------------------------------- */

/* Tell the clock what the calling thread has kept from it, so that the peak's sites are those
 * of its bytes. Not in a hook. */
void mp_lanes_tell(struct mp_lanes *lanes);

/* Bytes live now, and at most since the start; exact while all threads rest. */
int64_t mp_lanes_live(const struct mp_lanes *lanes);
int64_t mp_lanes_peak(const struct mp_lanes *lanes);

/* Sums of a site's numbers over all lanes. */
void mp_lanes_totals(const struct mp_lanes *lanes, uint32_t site, struct mp_totals *totals);

/* Forget the numbers of all lanes. The hooks must be quiet. */
void mp_lanes_clear(struct mp_lanes *lanes);

/* At rest: is the clock the sum of the tallies? */
bool mp_lanes_check(const struct mp_lanes *lanes, const char **why);

#endif
