#include "record/lanes.h"

#include "record/tracer.h"

/* Without a GIL, what each of several threads may keep from the clock: it is one cache line. */
enum { SLACK = 64 * 1024 };

void
mp_lanes_note_thread(void)
{
    if (mp_tracer.no_gil && mp_thread_count() > 1)
        atomic_store(&mp_tracer.slack, SLACK);
}

/* ---- events ------------------------------------------------------------------------ */

uint32_t
mp_tracer_site(const struct mp_site *site)
{
    const uint32_t id = mp_depot_site(&mp_tracer.depot, site);
    return id && mp_lane_reach(&mp_tracer.main_lane, id) &&
                   mp_lane_reach(&mp_tracer.reserve_lane, id)
               ? id
               : 0;
}

static void
count_reserve(uint32_t site, size_t size, bool alloc)
{
    mp_spin_lock(&mp_tracer.reserve_lock);
    struct mp_tally *tally = mp_lane_at(&mp_tracer.reserve_lane, site);
    if (alloc)
        mp_tally_alloc(tally, &mp_tracer.clock, false, size);
    else
        mp_tally_free(tally, &mp_tracer.clock, false, size);
    mp_spin_unlock(&mp_tracer.reserve_lock);
}

/* The site's tally in the thread's own lane, NULL: there is no memory for it. */
static struct mp_tally *
own_tally(struct mp_thread *self, uint32_t site)
{
    struct mp_lane *lane = atomic_load_explicit(&self->lane, memory_order_relaxed);
    struct mp_tally *tally = lane ? mp_lane_find(lane, site) : NULL;
    if (MP_LIKELY(tally != NULL))
        return tally;
    if (!lane) {
        lane = mp_mem_new(sizeof *lane);
        atomic_store_explicit(&self->lane, lane, memory_order_release);
    }
    return lane ? mp_lane_add(lane, site) : NULL;
}

/* Tell the clock of what the thread's tallies have counted, or keep up to `slack` for later. */
static void
tell_clock(struct mp_thread *self, int64_t bytes, int64_t slack)
{
    int64_t pending = atomic_load_explicit(&self->pending, memory_order_relaxed) + bytes;
    if (pending > slack || pending < -slack) {
        if (pending > 0)
            mp_clock_grow(&mp_tracer.clock, false, pending);
        else
            mp_clock_move(&mp_tracer.clock, false, pending);
        pending = 0;
    }
    atomic_store_explicit(&self->pending, pending, memory_order_relaxed);
}

void
mp_tracer_count_own(uint32_t site, size_t size, bool alloc)
{
    struct mp_thread *self = mp_thread_self();
    struct mp_tally *tally = self ? own_tally(self, site) : NULL;
    if (MP_UNLIKELY(!tally)) {
        count_reserve(site, size, alloc);
        return;
    }
    if (alloc)
        mp_tally_add(tally, &mp_tracer.clock, size);
    else
        mp_tally_remove(tally, &mp_tracer.clock, size);
    tell_clock(self, alloc ? (int64_t)size : -(int64_t)size,
               atomic_load_explicit(&mp_tracer.slack, memory_order_relaxed));
}

void
mp_tracer_tell(void)
{
    struct mp_thread *self = mp_thread_self();
    if (self)
        tell_clock(self, 0, 0);
}

/* ---- sums --------------------------------------------------------------------------- */

int64_t
mp_tracer_live(void)
{
    int64_t live = mp_clock_now(&mp_tracer.clock);
    for (const struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        live += atomic_load_explicit(&thread->pending, memory_order_relaxed);
    return live;
}

int64_t
mp_tracer_peak(void)
{
    const int64_t peak = atomic_load_explicit(&mp_tracer.clock.peak, memory_order_relaxed);
    const int64_t live = mp_tracer_live(); /* higher by what the clock was not told */
    return live > peak ? live : peak;
}

void
mp_tracer_totals(uint32_t site, struct mp_totals *totals)
{
    *totals = (struct mp_totals){0};
    mp_lane_sum(&mp_tracer.main_lane, &mp_tracer.clock, site, totals);
    mp_lane_sum(&mp_tracer.reserve_lane, &mp_tracer.clock, site, totals);
    for (const struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next) {
        const struct mp_lane *lane = atomic_load_explicit(&thread->lane, memory_order_acquire);
        if (lane)
            mp_lane_sum(lane, &mp_tracer.clock, site, totals);
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
mp_lanes_clear(void)
{
    mp_lane_clear(&mp_tracer.main_lane);
    mp_lane_clear(&mp_tracer.reserve_lane);
    for (struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        forget_own(thread);
    mp_clock_clear(&mp_tracer.clock);
}
