#define _GNU_SOURCE
#include "freeze.h"

#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/malloc_stats.h"
#include "os/process.h"
#include "record/timeline.h"
#include "record/tracer.h"

static _Atomic int64_t started; /* nanoseconds since 1970 */

void
mp_freeze_start_clock(void)
{
    atomic_store(&started, mp_time_of_day());
}

/* ---- symbols ------------------------------------------------------------------------- */

/* The symbols of the last snapshot, to be shared while nothing new was interned. */
static struct mp_symbols *_Atomic last_symbols;

static bool
is_current(const struct mp_symbols *symbols)
{
    const struct mp_depot *depot = &mp_tracer.depot;
    return symbols && symbols->names == mp_table_count(&depot->names.table) &&
           symbols->locations == mp_table_count(&depot->locations) &&
           symbols->stacks == mp_stacks_count(&depot->stacks);
}

/* Whoever takes the shared pointer out has it alone. */
struct mp_symbols *
mp_freeze_symbols(void)
{
    struct mp_symbols *symbols = atomic_exchange(&last_symbols, NULL);
    if (!is_current(symbols)) {
        mp_symbols_release(symbols);
        symbols = mp_symbols_freeze(&mp_tracer.depot);
    }
    if (!symbols)
        return NULL;
    mp_symbols_retain(symbols);
    mp_symbols_release(atomic_exchange(&last_symbols, symbols));
    return symbols;
}

/* ---- facts ---------------------------------------------------------------------------------- */

enum { SMALL_MAX = 512 }; /* pymalloc's largest block */

/* Where a traced block lives: small blocks in pymalloc's arenas, others on the C heap. */
struct split {
    struct mp_facts *facts;
    int64_t raw;
};

static void
add_block(uint32_t site, uint64_t size, uintptr_t address, void *data)
{
    struct split *split = data;
    struct mp_facts *facts = split->facts;
    const unsigned kind = mp_depot_site_at(&mp_tracer.depot, site)->kind;
    (void)address;
    if (kind == MP_TRACKED)
        return;
    if (kind != MP_RAW && size <= SMALL_MAX)
        facts->traced_small += (int64_t)size;
    else
        facts->traced_c_heap += (int64_t)size;
    if (kind == MP_RAW)
        split->raw += (int64_t)size;
}

int64_t
mp_freeze_split_heap(struct mp_facts *facts)
{
    struct split split = {facts, 0};
    facts->traced_small = facts->traced_c_heap = 0;
    mp_tracer_each(add_block, &split);
    return split.raw;
}

static void
fill_facts(struct mp_facts *facts)
{
    struct mp_process_memory process;
    struct mp_malloc_stats heap;

    mp_process_memory(&process);
    mp_malloc_stats(&heap);
    memset(facts, 0xff, sizeof *facts); /* -1: not known */
    facts->pid = getpid();
    facts->started_ns = atomic_load(&started);
    facts->duration_ns = mp_time_of_day() - facts->started_ns;
    facts->traced = facts->total_bytes = facts->total_blocks = 0; /* sums over the rows */
    facts->peak = mp_lanes_peak(&mp_tracer.lanes);
    facts->lost = (int64_t)atomic_load(&mp_tracer.lost);
    facts->own = (int64_t)mp_tracer_memory();
    facts->rss = process.rss;
    facts->peak_rss = process.peak_rss;
    facts->rss_files = process.files;
    facts->rss_shared = process.shared;
    facts->stack = process.stack;
    if (heap.known) {
        facts->c_heap_in_use = heap.in_use;
        facts->c_heap_free = heap.free;
    }
    facts->jemalloc = heap.jemalloc;
    if (heap.jemalloc) {
        facts->jemalloc_active = heap.active;
        facts->jemalloc_resident = heap.resident;
        facts->jemalloc_retained = heap.retained;
    }
}

/* ---- rows and series ------------------------------------------------------------------------- */

/* A block that is freed in another lane while its site is added up makes it negative. */
static void
clamp(struct mp_counts *counts)
{
    if ((int64_t)counts->bytes < 0)
        counts->bytes = 0;
    if ((int64_t)counts->blocks < 0)
        counts->blocks = 0;
}

static void
fill_rows(struct mp_snapshot *snapshot)
{
    for (uint32_t id = 1; id <= snapshot->capacity; id++) {
        const struct mp_site *site = mp_table_peek(&mp_tracer.depot.sites, id);
        struct mp_row row = {0};
        if (!site || site->stack > snapshot->symbols->stacks)
            continue;
        mp_lanes_totals(&mp_tracer.lanes, id, &row.totals);
        clamp(&row.totals.live);
        clamp(&row.totals.peak);
        if (!row.totals.total.blocks && !row.totals.live.blocks)
            continue;
        row.stack = site->stack;
        row.domain = site->domain;
        row.kind = site->kind;
        snapshot->facts.traced += (int64_t)row.totals.live.bytes;
        snapshot->facts.total_bytes += (int64_t)row.totals.total.bytes;
        snapshot->facts.total_blocks += (int64_t)row.totals.total.blocks;
        snapshot->rows[snapshot->count++] = row;
    }
}

/* Turn a checkpoint of sites into one of call stacks; `sums` has room for all stacks and is
 * left zeroed. */
static void
sum_by_stack(struct mp_checkpoint *checkpoint, struct mp_counts *sums, uint32_t stacks)
{
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct mp_point *point = &checkpoint->points[i];
        const uint32_t stack = mp_depot_site_at(&mp_tracer.depot, point->id)->stack;
        if (stack > stacks)
            continue;
        sums[stack].bytes += point->bytes;
        sums[stack].blocks += point->blocks;
    }
    checkpoint->count = 0; /* there are at least as many sites as stacks */
    for (uint32_t stack = 0; stack <= stacks; stack++) {
        if (sums[stack].blocks)
            checkpoint->points[checkpoint->count++] = (struct mp_point){
                stack, (uint32_t)sums[stack].blocks, sums[stack].bytes};
        sums[stack] = (struct mp_counts){0, 0};
    }
}

static int
fill_series(struct mp_snapshot *snapshot)
{
    const uint32_t stacks = snapshot->symbols->stacks;
    const size_t size = ((size_t)stacks + 1) * sizeof(struct mp_counts);
    struct mp_counts *sums = mp_mem_new(size);
    if (!sums)
        return MP_NO_MEMORY;
    const int status = mp_series_copy(mp_timeline_series(), &snapshot->series);
    for (size_t i = 0; i < snapshot->series.count; i++)
        sum_by_stack(&snapshot->series.checkpoints[i], sums, stacks);
    mp_mem_free(sums, size);
    return status;
}

struct mp_snapshot *
mp_freeze(bool series)
{
    const uint32_t sites = mp_table_count(&mp_tracer.depot.sites);
    struct mp_symbols *symbols = mp_freeze_symbols();
    struct mp_snapshot *snapshot = symbols ? mp_snapshot_new(symbols, sites) : NULL;
    if (!snapshot)
        return NULL;
    mp_lanes_tell(&mp_tracer.lanes);
    fill_facts(&snapshot->facts);
    fill_rows(snapshot);
    if (series && fill_series(snapshot) != MP_OK) {
        mp_snapshot_free(snapshot);
        return NULL;
    }
    return snapshot;
}
