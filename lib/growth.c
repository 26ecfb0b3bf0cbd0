#include "growth.h"

#include <stdlib.h>
#include <string.h>

/* The checkpoints that are judged: those after the warm-up, in windows. */
struct plan {
    const struct mp_series *series;
    size_t first;                         /* checkpoint after the warm-up */
    size_t window_end[MP_GROWTH_WINDOWS]; /* one past the last checkpoint of each */
};

/* Lowest level of a stack in each window, and its highest level of all. */
struct levels {
    struct mp_counts low[MP_GROWTH_WINDOWS];
    uint64_t high;
};

static bool
make_plan(const struct mp_series *series, struct plan *plan)
{
    if (series->count < MP_GROWTH_CHECKPOINTS)
        return false;
    const uint64_t warm = series->checkpoints[series->count - 1].time / 5;

    plan->series = series;
    while (series->checkpoints[plan->first].time < warm)
        plan->first++;
    const size_t judged = series->count - plan->first;
    for (size_t w = 0; w < MP_GROWTH_WINDOWS; w++)
        plan->window_end[w] = plan->first + judged * (w + 1) / MP_GROWTH_WINDOWS;
    return judged >= MP_GROWTH_WINDOWS;
}

/* Nanoseconds at the end of a window. */
static uint64_t
window_time(const struct plan *plan, size_t window)
{
    return plan->series->checkpoints[plan->window_end[window] - 1].time;
}

static void
measure(const struct plan *plan, uint32_t stack, struct levels *levels)
{
    const struct mp_checkpoint *checkpoints = plan->series->checkpoints;
    size_t at = plan->first;

    memset(levels, 0, sizeof *levels);
    for (size_t w = 0; w < MP_GROWTH_WINDOWS; w++) {
        levels->low[w] = (struct mp_counts){UINT64_MAX, UINT64_MAX};
        for (; at < plan->window_end[w]; at++) {
            const struct mp_point point = mp_checkpoint_find(&checkpoints[at], stack);
            if (point.bytes < levels->low[w].bytes)
                levels->low[w].bytes = point.bytes;
            if (point.blocks < levels->low[w].blocks)
                levels->low[w].blocks = point.blocks;
            if (point.bytes > levels->high)
                levels->high = point.bytes;
        }
    }
}

/* ---- the verdict --------------------------------------------------------------------- */

static bool
is_steady(const struct levels *levels, const struct mp_counts *live)
{
    enum { LAST = MP_GROWTH_WINDOWS - 1, TWO_THIRDS = MP_GROWTH_WINDOWS * 2 / 3 };
    const struct mp_counts *low = levels->low;
    const int64_t growth = (int64_t)(low[LAST].bytes - low[0].bytes);
    int rises = 0;

    if (growth < MP_GROWTH_BYTES || low[LAST].bytes <= low[TWO_THIRDS].bytes)
        return false;
    for (int w = 1; w <= LAST; w++) {
        const int64_t step = (int64_t)(low[w].bytes - low[w - 1].bytes);
        if (step < -growth / 10)
            return false;
        rises += step > 0;
    }
    return rises * 10 >= LAST * 6 && live->bytes >= low[0].bytes + (uint64_t)growth / 2;
}

/* One rise, from nothing to what is alive, and no more. */
static bool
is_once(const struct levels *levels)
{
    const struct mp_counts *low = levels->low;
    for (int w = 1; w < MP_GROWTH_WINDOWS; w++)
        if (low[w].bytes != low[w - 1].bytes && low[w - 1].bytes)
            return false;
    return low[MP_GROWTH_WINDOWS - 1].bytes == levels->high;
}

static enum mp_verdict
judge(const struct levels *levels, const struct mp_counts *live)
{
    const struct mp_counts *low = levels->low;
    const uint64_t last = low[MP_GROWTH_WINDOWS - 1].bytes;
    if (is_steady(levels, live))
        return MP_STEADY;
    if (!low[MP_GROWTH_WINDOWS * 2 / 3].bytes)
        return MP_LATE;
    if (is_once(levels))
        return MP_ONCE;
    return levels->high > last + last / 4 ? MP_SAWTOOTH : MP_FLAT;
}

static void
fill(const struct plan *plan, struct mp_growth *row)
{
    const size_t last = MP_GROWTH_WINDOWS - 1;
    const double seconds = (double)(window_time(plan, last) - window_time(plan, 0)) / 1e9;
    struct levels levels;

    measure(plan, row->stack, &levels);
    row->verdict = judge(&levels, &row->live);
    row->first = levels.low[0];
    row->last = levels.low[last];
    row->bytes_per_second = (double)(int64_t)(row->last.bytes - row->first.bytes) / seconds;
    row->blocks_per_second = (double)(int64_t)(row->last.blocks - row->first.blocks) / seconds;
}

/* ---- all stacks ------------------------------------------------------------------------ */

/* One row for each stack with live blocks. */
static int
collect_rows(const struct mp_snapshot *snapshot, struct mp_growths *growths)
{
    const size_t size = ((size_t)snapshot->symbols->stacks + 1) * sizeof(struct mp_counts);
    struct mp_counts *live = mp_mem_new(size);
    if (!live)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mp_row *row = &snapshot->rows[i];
        live[row->stack].bytes += row->totals.live.bytes;
        live[row->stack].blocks += row->totals.live.blocks;
    }
    for (uint32_t stack = 0; stack <= snapshot->symbols->stacks; stack++)
        growths->capacity += live[stack].blocks != 0;
    growths->rows = mp_mem_new(growths->capacity * sizeof *growths->rows);
    for (uint32_t stack = 0; growths->rows && stack <= snapshot->symbols->stacks; stack++)
        if (live[stack].blocks)
            growths->rows[growths->count++] =
                (struct mp_growth){.stack = stack, .verdict = MP_LATE, .live = live[stack]};
    mp_mem_free(live, size);
    return growths->rows ? MP_OK : MP_NO_MEMORY;
}

static int
compare_rows(const void *left, const void *right)
{
    const struct mp_growth *a = left, *b = right;
    const bool a_leaks = a->verdict == MP_STEADY, b_leaks = b->verdict == MP_STEADY;
    if (a_leaks != b_leaks)
        return a_leaks ? -1 : 1;
    if (a->live.bytes != b->live.bytes)
        return a->live.bytes < b->live.bytes ? 1 : -1;
    return (a->stack > b->stack) - (a->stack < b->stack);
}

int
mp_growth(const struct mp_snapshot *snapshot, struct mp_growths *growths)
{
    struct plan plan = {0};
    memset(growths, 0, sizeof *growths);
    const int status = collect_rows(snapshot, growths);
    if (status != MP_OK)
        return status;
    growths->too_short = !make_plan(&snapshot->series, &plan);
    for (size_t i = 0; i < growths->count && !growths->too_short; i++)
        fill(&plan, &growths->rows[i]);
    qsort(growths->rows, growths->count, sizeof *growths->rows, compare_rows);
    return MP_OK;
}

void
mp_growths_free(struct mp_growths *growths)
{
    mp_mem_free(growths->rows, growths->capacity * sizeof *growths->rows);
    memset(growths, 0, sizeof *growths);
}
