#include "tables/tally.h"

#include "base/debug.h"

_Static_assert(sizeof(struct mp_tally) == 64, "a tally fits a cache line");

enum { CHUNK_BYTES = MP_LANE_CHUNK * sizeof(struct mp_tally) };

struct mp_tally *
mp_lane_add(struct mp_lane *lane, uint32_t site)
{
    if (site / MP_LANE_CHUNK >= MP_LANE_CHUNKS)
        return NULL;
    struct mp_tally *fresh = mp_mem_new_sparse(CHUNK_BYTES);
    if (!fresh)
        return NULL;
    struct mp_tally *expected = NULL;
    if (!atomic_compare_exchange_strong(&lane->chunks[site / MP_LANE_CHUNK], &expected, fresh)) {
        mp_mem_free_sparse(fresh, CHUNK_BYTES);
        fresh = expected;
    }
    return fresh + site % MP_LANE_CHUNK;
}

void
mp_lane_sum(const struct mp_lane *lane, const struct mp_clock *clock, uint32_t site,
            struct mp_totals *totals)
{
    const struct mp_tally *tally = mp_lane_find(lane, site);
    if (!tally)
        return;
    const uint64_t bytes = mp_counter_get(&tally->allocated_bytes);
    const uint64_t blocks = mp_counter_get(&tally->allocated_blocks);
    const struct mp_counts live = {bytes - mp_counter_get(&tally->freed_bytes),
                                   blocks - mp_counter_get(&tally->freed_blocks)};
    const bool at_peak =
        atomic_load_explicit(&clock->rising, memory_order_relaxed) ||
        atomic_load_explicit(&tally->epoch, memory_order_relaxed) !=
            atomic_load_explicit(&clock->epoch, memory_order_relaxed);

    totals->live.bytes += live.bytes;
    totals->live.blocks += live.blocks;
    totals->peak.bytes += at_peak ? live.bytes : mp_counter_get(&tally->peak_bytes);
    totals->peak.blocks += at_peak ? live.blocks : mp_counter_get(&tally->peak_blocks);
    totals->total.bytes += bytes;
    totals->total.blocks += blocks;
}

/* ---- whole lanes ------------------------------------------------------------------------ */

int64_t
mp_lane_live(const struct mp_lane *lane)
{
    uint64_t live = 0;
    for (unsigned i = 0; i < MP_LANE_CHUNKS; i++) {
        const struct mp_tally *chunk = atomic_load(&lane->chunks[i]);
        for (unsigned k = 0; chunk && k < MP_LANE_CHUNK; k++)
            live += mp_counter_get(&chunk[k].allocated_bytes) -
                    mp_counter_get(&chunk[k].freed_bytes);
    }
    return (int64_t)live;
}

static bool
is_broken(const struct mp_tally *tally)
{
    return (mp_counter_get(&tally->allocated_bytes) && !mp_counter_get(&tally->allocated_blocks)) ||
           (mp_counter_get(&tally->freed_bytes) && !mp_counter_get(&tally->freed_blocks));
}

bool
mp_lane_check(const struct mp_lane *lane, const char **why)
{
    *why = NULL;
    for (unsigned i = 0; i < MP_LANE_CHUNKS; i++) {
        const struct mp_tally *chunk = atomic_load(&lane->chunks[i]);
        for (unsigned k = 0; chunk && k < MP_LANE_CHUNK; k++)
            if (is_broken(&chunk[k]))
                *why = "a tally has bytes without blocks";
    }
    return *why == NULL;
}

void
mp_lane_clear(struct mp_lane *lane)
{
    for (unsigned i = 0; i < MP_LANE_CHUNKS; i++) {
        struct mp_tally *chunk = atomic_load(&lane->chunks[i]);
        if (chunk)
            mp_mem_clear_sparse(chunk, CHUNK_BYTES);
    }
    MP_CHECK_WHOLE(mp_lane_check, lane);
}

void
mp_lane_destroy(struct mp_lane *lane)
{
    for (unsigned i = 0; i < MP_LANE_CHUNKS; i++)
        mp_mem_free_sparse(atomic_exchange(&lane->chunks[i], NULL), CHUNK_BYTES);
}

void
mp_clock_clear(struct mp_clock *clock)
{
    atomic_store(&clock->main, 0);
    atomic_store(&clock->shared, 0);
    atomic_store(&clock->peak, 0);
    atomic_store(&clock->epoch, 1);
    atomic_store(&clock->rising, true);
}

void
mp_clock_reset_peak(struct mp_clock *clock)
{
    atomic_store(&clock->peak, mp_clock_now(clock));
    atomic_store(&clock->rising, true);
}
