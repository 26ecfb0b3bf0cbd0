/* tally: bytes and blocks of every site, and who was live at the peak.
 *
 * A lane is an array of tallies with one writer at a time, so plain arithmetic will
 * do; a site's numbers are the sums over the lanes:
 *
 *   main lane       written by the thread that holds the main interpreter's GIL
 *   a thread's own  written by that thread when it does not hold it; without a GIL, always
 *   reserve lane    written under a spin lock by whoever gets no memory for a lane
 *
 * A block may be allocated in one lane and freed in another, so the live numbers
 * of a single lane can be negative; they wrap, and the sum is right.
 *
 * Live at the peak, exactly and in O(1): the clock has an epoch. Before a tally
 * changes, if its epoch is not the clock's, its live numbers are copied to
 * `peak_*` and it takes the clock's epoch. An allocation that makes a new maximum
 * sets `rising`; while it is set, what is live is what is live at the peak. The
 * first free after that clears it and advances the epoch: from then on the
 * copies describe that maximum. All of it needs events in one order: threads
 * without the GIL may be off by the events under way at the moment of the peak,
 * and by what they have not told the clock yet (slack of lanes.h).
 *
 * Invariant: at rest, live = allocated - freed equals the sum over the entries
 * of the shadow and side tables, for each site.
 */
#ifndef MP_TALLY_H
#define MP_TALLY_H

#include <assert.h>

#include "base/mem.h"

enum {
    MP_LANE_CHUNK = 4096,
    MP_LANE_CHUNKS = 4096,
};

typedef _Atomic uint64_t mp_counter; /* one writer; others read relaxed */

struct mp_tally {
    mp_counter allocated_bytes, allocated_blocks;
    mp_counter freed_bytes, freed_blocks;
    mp_counter peak_bytes, peak_blocks; /* live at the peak, when `epoch` is the clock's */
    _Atomic uint32_t epoch;
    uint32_t padding[3]; /* a cache line for each site */
};

struct mp_lane {
    struct mp_tally *_Atomic chunks[MP_LANE_CHUNKS];
};

/* Bytes live now are main + shared; main has one writer, shared is atomic. What changes with
 * each event has a cache line apart from what threads only look at. */
struct mp_clock {
    _Alignas(64) _Atomic int64_t main;
    _Atomic int64_t shared, peak;
    _Alignas(64) _Atomic uint32_t epoch;
    _Atomic bool rising;
};

/* The numbers of a site, summed over lanes. */
struct mp_counts {
    uint64_t bytes, blocks;
};

struct mp_totals {
    struct mp_counts live, peak, total;
};

static inline uint64_t
mp_counter_get(const mp_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void
mp_counter_add(mp_counter *counter, uint64_t amount)
{
    atomic_store_explicit(counter, mp_counter_get(counter) + amount, memory_order_relaxed);
}

static inline int64_t
mp_clock_now(const struct mp_clock *clock)
{
    return atomic_load_explicit(&clock->main, memory_order_relaxed) +
           atomic_load_explicit(&clock->shared, memory_order_relaxed);
}

/* Slow path of mp_lane_reach. */
struct mp_tally *mp_lane_add(struct mp_lane *lane, uint32_t site);

/* The tally of a site that the lane has. */
static inline struct mp_tally *
mp_lane_at(const struct mp_lane *lane, uint32_t site)
{
    assert(site / MP_LANE_CHUNK < MP_LANE_CHUNKS && lane->chunks[site / MP_LANE_CHUNK]);
    return atomic_load_explicit(&lane->chunks[site / MP_LANE_CHUNK], memory_order_acquire) +
           site % MP_LANE_CHUNK;
}

/* The same, NULL where the lane has none. */
static inline struct mp_tally *
mp_lane_find(const struct mp_lane *lane, uint32_t site)
{
    assert(site / MP_LANE_CHUNK < MP_LANE_CHUNKS);
    struct mp_tally *chunk =
        atomic_load_explicit(&lane->chunks[site / MP_LANE_CHUNK], memory_order_acquire);
    return chunk ? chunk + site % MP_LANE_CHUNK : NULL;
}

/* The same, adding it; NULL when there is no memory. */
static inline struct mp_tally *
mp_lane_reach(struct mp_lane *lane, uint32_t site)
{
    struct mp_tally *tally = mp_lane_find(lane, site);
    return MP_LIKELY(tally != NULL) ? tally : mp_lane_add(lane, site);
}

/* Keep what was live at the peak before a tally of an older epoch changes. */
static inline void
mp_tally_stamp(struct mp_tally *tally, const struct mp_clock *clock)
{
    const uint32_t epoch = atomic_load_explicit(&clock->epoch, memory_order_relaxed);
    if (MP_LIKELY(atomic_load_explicit(&tally->epoch, memory_order_relaxed) == epoch))
        return;
    atomic_store_explicit(&tally->peak_bytes,
                          mp_counter_get(&tally->allocated_bytes) -
                              mp_counter_get(&tally->freed_bytes),
                          memory_order_relaxed);
    atomic_store_explicit(&tally->peak_blocks,
                          mp_counter_get(&tally->allocated_blocks) -
                              mp_counter_get(&tally->freed_blocks),
                          memory_order_relaxed);
    atomic_store_explicit(&tally->epoch, epoch, memory_order_relaxed);
}

/* Change the bytes live now; `main` says which part of the clock the caller may write. */
static inline int64_t
mp_clock_move(struct mp_clock *clock, bool main, int64_t bytes)
{
    if (!main)
        return atomic_load_explicit(&clock->main, memory_order_relaxed) +
               atomic_fetch_add_explicit(&clock->shared, bytes, memory_order_relaxed) + bytes;
    const int64_t now = atomic_load_explicit(&clock->main, memory_order_relaxed) + bytes;
    atomic_store_explicit(&clock->main, now, memory_order_relaxed);
    return now + atomic_load_explicit(&clock->shared, memory_order_relaxed);
}

/* The same for more bytes, which may make a new maximum. */
static inline __attribute__((always_inline)) void
mp_clock_grow(struct mp_clock *clock, bool main, int64_t bytes)
{
    const int64_t now = mp_clock_move(clock, main, bytes);
    int64_t peak = atomic_load_explicit(&clock->peak, memory_order_relaxed);
    if (now <= peak)
        return;
    if (main)
        atomic_store_explicit(&clock->peak, now, memory_order_relaxed);
    else
        while (now > peak && !atomic_compare_exchange_weak(&clock->peak, &peak, now))
            ;
    atomic_store_explicit(&clock->rising, true, memory_order_relaxed);
}

/* The maximum that was reached stands: what is live now was live at the peak. */
static inline void
mp_clock_fall(struct mp_clock *clock)
{
    const uint32_t epoch = atomic_load_explicit(&clock->epoch, memory_order_relaxed);
    atomic_store_explicit(&clock->epoch, epoch + 1, memory_order_relaxed);
    atomic_store_explicit(&clock->rising, false, memory_order_relaxed);
}

/* Count a block in a tally, and with it the blocks of its site. The clock is the caller's. */
static inline void
mp_tally_add(struct mp_tally *tally, const struct mp_clock *clock, size_t size)
{
    mp_tally_stamp(tally, clock);
    mp_counter_add(&tally->allocated_bytes, size);
    mp_counter_add(&tally->allocated_blocks, 1);
}

/* The same for a block that goes; before the clock is told. */
static inline void
mp_tally_remove(struct mp_tally *tally, struct mp_clock *clock, size_t size)
{
    if (MP_UNLIKELY(atomic_load_explicit(&clock->rising, memory_order_relaxed)))
        mp_clock_fall(clock);
    mp_tally_stamp(tally, clock);
    mp_counter_add(&tally->freed_bytes, size);
    mp_counter_add(&tally->freed_blocks, 1);
}

/* Both: tally and clock. */
static inline __attribute__((always_inline)) void
mp_tally_alloc(struct mp_tally *tally, struct mp_clock *clock, bool main, size_t size)
{
    mp_tally_add(tally, clock, size);
    mp_clock_grow(clock, main, (int64_t)size);
}

static inline __attribute__((always_inline)) void
mp_tally_free(struct mp_tally *tally, struct mp_clock *clock, bool main, size_t size)
{
    mp_tally_remove(tally, clock, size);
    mp_clock_move(clock, main, -(int64_t)size);
}

/* Add a lane's numbers for a site to *totals. Any thread; exact when the lane rests. */
void mp_lane_sum(const struct mp_lane *lane, const struct mp_clock *clock, uint32_t site,
                 struct mp_totals *totals);

/* Of a lane at rest, whose live numbers may be below 0. */
bool mp_lane_check(const struct mp_lane *lane, const char **why);

/* Bytes live in a lane, all sites together. */
int64_t mp_lane_live(const struct mp_lane *lane);

/* Forget all numbers, and give their memory back. The hooks must be quiet. */
void mp_lane_clear(struct mp_lane *lane);
void mp_lane_destroy(struct mp_lane *lane);
void mp_clock_clear(struct mp_clock *clock);

/* Let the peak begin anew at what is live now. */
void mp_clock_reset_peak(struct mp_clock *clock);

#endif
