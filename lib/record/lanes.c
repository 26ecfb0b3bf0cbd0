#include "record/lanes.h"

#include <assert.h>

#include "base/debug.h"

/* Without a GIL, what each of several threads may keep from the clock: it is one cache line. */
enum { SLACK = 64 * 1024 };

bool
mp_lanes_reach(struct mp_lanes *lanes, uint32_t site)
{
    assert(site != 0);
    return mp_lane_reach(&lanes->main, site) && mp_lane_reach(&lanes->reserve, site);
}

void
mp_lanes_note_thread(struct mp_lanes *lanes)
{
    if (lanes->no_gil && mp_thread_count() > 1)
        atomic_store(&lanes->slack, SLACK);
}

/* ---- events ------------------------------------------------------------------------ */

static void
count_reserve(struct mp_lanes *lanes, uint32_t site, size_t size, bool alloc)
{
    mp_spin_lock(&lanes->reserve_lock);
    struct mp_tally *tally = mp_lane_at(&lanes->reserve, site);
    if (alloc)
        mp_tally_alloc(tally, &lanes->clock, false, size);
    else
        mp_tally_free(tally, &lanes->clock, false, size);
    mp_spin_unlock(&lanes->reserve_lock);
}

/* The site's tally in the thread's own lane, NULL: there is no memory for it. */
static struct mp_tally *
own_tally(struct mp_thread *self, uint32_t site)
{
    struct mp_lane *lane = atomic_load_explicit(&self->lane, memory_order_relaxed);
    assert(self == mp_thread_current);
    struct mp_tally *tally = lane ? mp_lane_find(lane, site) : NULL;
    if (MP_LIKELY(tally != NULL))
        return tally;
    if (!lane) {
        lane = mp_mem_new(sizeof *lane);
        atomic_store_explicit(&self->lane, lane, memory_order_release);
    }
    return lane ? mp_lane_add(lane, site) : NULL;
}

/* Tell the clock all that the thread's tallies have counted and it does not know. */
static void
tell_clock(struct mp_lanes *lanes, struct mp_thread *self, int64_t bytes)
{
    if (bytes > 0)
        mp_clock_grow(&lanes->clock, false, bytes);
    else if (bytes < 0)
        mp_clock_move(&lanes->clock, false, bytes);
    atomic_store_explicit(&self->pending, 0, memory_order_relaxed);
}

/* The same, or keep it for later while it is little. */
static inline void
keep_or_tell(struct mp_lanes *lanes, struct mp_thread *self, int64_t bytes)
{
    const int64_t pending = atomic_load_explicit(&self->pending, memory_order_relaxed) + bytes;
    const int64_t slack = atomic_load_explicit(&lanes->slack, memory_order_relaxed);
    assert(slack >= 0);
    if (MP_LIKELY(pending <= slack && pending >= -slack))
        atomic_store_explicit(&self->pending, pending, memory_order_relaxed);
    else
        tell_clock(lanes, self, pending);
}

void
mp_lanes_count_own(struct mp_lanes *lanes, uint32_t site, size_t size, bool alloc)
{
    struct mp_thread *self = mp_thread_self();
    struct mp_tally *tally = self ? own_tally(self, site) : NULL;
    if (MP_UNLIKELY(!tally)) {
        count_reserve(lanes, site, size, alloc);
        return;
    }
    if (alloc)
        mp_tally_add(tally, &lanes->clock, size);
    else
        mp_tally_remove(tally, &lanes->clock, size);
    keep_or_tell(lanes, self, alloc ? (int64_t)size : -(int64_t)size);
}

void
mp_lanes_tell(struct mp_lanes *lanes)
{
    struct mp_thread *self = mp_thread_self();
    if (self)
        tell_clock(lanes, self, atomic_load_explicit(&self->pending, memory_order_relaxed));
}

/* ---- sums --------------------------------------------------------------------------- */

int64_t
mp_lanes_live(const struct mp_lanes *lanes)
{
    int64_t live = mp_clock_now(&lanes->clock);
    for (const struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        live += atomic_load_explicit(&thread->pending, memory_order_relaxed);
    return live;
}

int64_t
mp_lanes_peak(const struct mp_lanes *lanes)
{
    const int64_t peak = atomic_load_explicit(&lanes->clock.peak, memory_order_relaxed);
    const int64_t live = mp_lanes_live(lanes); /* higher by what the clock was not told */
    return live > peak ? live : peak;
}

void
mp_lanes_totals(const struct mp_lanes *lanes, uint32_t site, struct mp_totals *totals)
{
    *totals = (struct mp_totals){0};
    mp_lane_sum(&lanes->main, &lanes->clock, site, totals);
    mp_lane_sum(&lanes->reserve, &lanes->clock, site, totals);
    for (const struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next) {
        const struct mp_lane *lane = atomic_load_explicit(&thread->lane, memory_order_acquire);
        if (lane)
            mp_lane_sum(lane, &lanes->clock, site, totals);
    }
}

static void
forget_own(struct mp_thread *thread)
{
    struct mp_lane *lane = atomic_load(&thread->lane);
    atomic_store(&thread->pending, 0);
    if (lane)
        mp_lane_clear(lane);
}

void
mp_lanes_clear(struct mp_lanes *lanes)
{
    mp_lane_clear(&lanes->main);
    mp_lane_clear(&lanes->reserve);
    for (struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        forget_own(thread);
    mp_clock_clear(&lanes->clock);
    MP_CHECK_WHOLE(mp_lanes_check, lanes);
}

bool
mp_lanes_check(const struct mp_lanes *lanes, const char **why)
{
    int64_t sum = mp_lane_live(&lanes->main) + mp_lane_live(&lanes->reserve);
    bool sound = mp_lane_check(&lanes->main, why) && mp_lane_check(&lanes->reserve, why);
    for (const struct mp_thread *thread = mp_thread_first(); thread && sound;
         thread = thread->next) {
        const struct mp_lane *lane = atomic_load(&thread->lane);
        sound = !lane || mp_lane_check(lane, why);
        sum += lane ? mp_lane_live(lane) : 0;
    }
    if (sound && sum != mp_lanes_live(lanes))
        *why = "the clock differs from the sum of the tallies";
    return *why == NULL;
}
