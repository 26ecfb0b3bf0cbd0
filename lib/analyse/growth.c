#include "analyse/growth.h"

#include <string.h>

#include "base/sort.h"

/* The checkpoints that are judged: those after the warm-up, in windows. */
struct plan {
    const struct mp_series *series;
    size_t first;                         /* checkpoint after the warm-up */
    size_t window_end[MP_GROWTH_WINDOWS]; /* one past the last checkpoint of each */
};

enum { LAST = MP_GROWTH_WINDOWS - 1, TWO_THIRDS = MP_GROWTH_WINDOWS * 2 / 3, QUARTERS = 4 };

/* What a stack had in the judged part of the run. */
struct levels {
    struct mp_counts low[MP_GROWTH_WINDOWS]; /* lowest level of each window, and when */
    uint64_t low_time[MP_GROWTH_WINDOWS];
    uint64_t quarter_bytes[QUARTERS + 1];    /* lowest level about the ends of the quarters */
    uint64_t quarter_blocks[QUARTERS + 1];
    uint64_t high;                           /* highest level of all */
    uint64_t fall;                           /* the largest one from a high to a later low */
    bool early;                              /* it was there in the first two thirds */
    bool changed;                            /* it had two levels, in the warm-up or later */
};

static void
cut_windows(struct plan *plan)
{
    const size_t judged = plan->series->count - plan->first;
    for (size_t w = 0; w < MP_GROWTH_WINDOWS; w++)
        plan->window_end[w] = plan->first + judged * (w + 1) / MP_GROWTH_WINDOWS;
}

static bool
make_plan(const struct mp_series *series, struct plan *plan)
{
    if (series->count < MP_GROWTH_CHECKPOINTS)
        return false;
    const uint64_t warm = series->checkpoints[series->count - 1].time / 5;

    plan->series = series;
    while (series->checkpoints[plan->first].time < warm)
        plan->first++;
    cut_windows(plan);
    return series->count - plan->first >= MP_GROWTH_WINDOWS;
}

/* What begins after the warm-up, but in the first half of the run, is judged from there on,
 * after a warm-up of its own: a service that takes a while to start may leak all the same. */
static void
start_where_it_begins(struct plan *plan, uint32_t stack)
{
    const struct mp_series *series = plan->series;
    size_t begin = plan->first;
    while (begin < series->count && !mp_checkpoint_find(&series->checkpoints[begin], stack).bytes)
        begin++;
    const size_t first = begin + (series->count - begin) / 5;
    if (begin == plan->first || begin * 2 > series->count ||
        series->count - first < 2 * MP_GROWTH_WINDOWS)
        return;
    plan->first = first;
    cut_windows(plan);
}

static void
note_level(struct levels *levels, uint64_t bytes)
{
    if (bytes > levels->high)
        levels->high = bytes;
    if (levels->high - bytes > levels->fall)
        levels->fall = levels->high - bytes;
}

static void
measure_window(const struct plan *plan, uint32_t stack, size_t window, struct levels *levels)
{
    const size_t begin = window ? plan->window_end[window - 1] : plan->first;
    struct mp_counts *low = &levels->low[window];

    *low = (struct mp_counts){UINT64_MAX, UINT64_MAX};
    for (size_t at = begin; at < plan->window_end[window]; at++) {
        const struct mp_checkpoint *checkpoint = &plan->series->checkpoints[at];
        const struct mp_point point = mp_checkpoint_find(checkpoint, stack);
        if (point.bytes < low->bytes) {
            low->bytes = point.bytes;
            levels->low_time[window] = checkpoint->time;
        }
        if (point.blocks < low->blocks)
            low->blocks = point.blocks;
        note_level(levels, point.bytes);
        levels->early |= point.bytes && window <= TWO_THIRDS;
    }
}

/* All equally far apart, up to the last window. */
static void
measure_quarters(const struct plan *plan, uint32_t stack, struct levels *levels)
{
    const size_t count = plan->series->count, judged = count - plan->first;
    const size_t width = judged / MP_GROWTH_WINDOWS, apart = (judged - width) / QUARTERS;
    for (size_t q = 0; q <= QUARTERS; q++) {
        const size_t begin = count - width - apart * (QUARTERS - q);
        struct mp_counts low = {UINT64_MAX, UINT64_MAX};
        for (size_t at = begin; at < begin + width; at++) {
            const struct mp_point point =
                mp_checkpoint_find(&plan->series->checkpoints[at], stack);
            low.bytes = point.bytes < low.bytes ? point.bytes : low.bytes;
            low.blocks = point.blocks < low.blocks ? point.blocks : low.blocks;
        }
        levels->quarter_bytes[q] = low.bytes;
        levels->quarter_blocks[q] = low.blocks;
    }
}

/* Did it ever have another level than the one it came with? */
static bool
has_changed(const struct mp_series *series, uint32_t stack)
{
    uint64_t level = 0;
    for (size_t i = 0; i < series->count; i++) {
        const uint64_t bytes = mp_checkpoint_find(&series->checkpoints[i], stack).bytes;
        if (level && bytes != level)
            return true;
        level = bytes;
    }
    return false;
}

static void
measure(const struct plan *plan, const struct mp_growth *row, struct levels *levels)
{
    memset(levels, 0, sizeof *levels);
    for (size_t window = 0; window < MP_GROWTH_WINDOWS; window++)
        measure_window(plan, row->stack, window, levels);
    measure_quarters(plan, row->stack, levels);
    note_level(levels, row->live.bytes);
    levels->changed = has_changed(plan->series, row->stack);
}

/* ---- the verdict --------------------------------------------------------------------- */

static double
square_root(double x)
{
    double root = x > 1 ? x : 1;
    for (int i = 0; i < 60 && root * root > x; i++)
        root = (root + x / root) / 2;
    return root;
}

/* Has a growth that has lost pace stopped losing it? What fills up loses the same part of its
 * pace in equal times: as much from the third quarter to the last as half the loss from one half
 * to the other says. A leak that became slower goes on beyond that, by more than chance. */
static bool
goes_on(const uint64_t level[QUARTERS + 1])
{
    const double first = (double)level[2] - (double)level[0];
    const double third = (double)level[3] - (double)level[2];
    const double last = (double)level[4] - (double)level[3];
    if (first <= 0 || third <= 0 || last <= 0)
        return false;
    const double ratio = (third + last) / first, expected = third * square_root(ratio);
    const double noise = square_root(last + ratio * third);
    return last > expected + 3 * noise && last * 100 > expected * MP_GROWTH_MORE;
}

static bool
slows_down(const uint64_t level[QUARTERS + 1])
{
    const int64_t before = (int64_t)(level[2] - level[0]), after = (int64_t)(level[4] - level[2]);
    return after * 100 < before * MP_GROWTH_SLOWER;
}

/* What warms up rises less and less; a leak goes on. By the number of blocks, where there are
 * many: the bytes may have the table of a container among them, which grows in leaps. */
static bool
is_levelling_off(const struct levels *levels)
{
    const uint64_t *blocks = levels->quarter_blocks;
    if (blocks[QUARTERS] < blocks[0] + MP_GROWTH_MANY)
        return slows_down(levels->quarter_bytes);
    return slows_down(blocks) && !goes_on(blocks);
}

static bool
is_steady(const struct levels *levels, const struct mp_counts *live)
{
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
    return rises * 10 >= LAST * 6 && !is_levelling_off(levels) &&
           live->bytes >= low[0].bytes + (uint64_t)growth / 2;
}

/* ---- growth in a few large steps ---------------------------------------------------------- */

/* The lasting rises of a level: of what it never falls below again. */
struct steps {
    size_t count;
    uint64_t time[MP_CHECKPOINTS];
    uint64_t size[MP_CHECKPOINTS]; /* bytes */
    uint64_t blocks;               /* by how many those grew in all */
    uint64_t end;                  /* time of the last checkpoint */
};

static void
find_steps(const struct mp_series *series, const struct mp_growth *row, struct steps *steps)
{
    struct mp_counts floor[MP_CHECKPOINTS], low = row->live;
    for (size_t i = series->count; i-- > 0;) {
        const struct mp_point point = mp_checkpoint_find(&series->checkpoints[i], row->stack);
        if (point.bytes < low.bytes)
            low.bytes = point.bytes;
        if (point.blocks < low.blocks)
            low.blocks = point.blocks;
        floor[i] = low;
    }
    *steps = (struct steps){.end = series->checkpoints[series->count - 1].time};
    uint64_t before = 0, blocks = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (floor[i].bytes > before) {
            blocks = steps->count ? blocks : floor[i].blocks;
            steps->time[steps->count] = series->checkpoints[i].time;
            steps->size[steps->count++] = floor[i].bytes - before;
            steps->blocks = floor[i].blocks - blocks;
        }
        before = floor[i].bytes;
    }
}

/* Does each step last as long as its size lets expect at one rate, and is the next not overdue? */
static bool
is_regular(const struct steps *steps)
{
    const size_t last = steps->count - 1;
    double sum = 0, lowest = 0, highest = 0;
    for (size_t i = 0; i < last; i++) {
        const double pace = (double)steps->size[i] / (double)(steps->time[i + 1] - steps->time[i]);
        sum += (double)steps->size[i];
        if (i == 0 || pace < lowest)
            lowest = pace;
        if (pace > highest)
            highest = pace;
    }
    const double pace = sum / (double)(steps->time[last] - steps->time[0]);
    const double waited = (double)(steps->end - steps->time[last]);
    return highest <= lowest * MP_GROWTH_PACE && waited * pace < (double)steps->size[last];
}

/* Steady growth that is seen in a few steps only: of large blocks, or, where it is one block that
 * is made larger, perhaps of a table that is resized for what it has to hold. */
static enum mp_verdict
judge_steps(const struct mp_series *series, const struct mp_growth *row, uint64_t fall)
{
    struct steps steps;
    uint64_t largest = 0;
    find_steps(series, row, &steps);
    for (size_t i = 0; i < steps.count; i++)
        largest = steps.size[i] > largest ? steps.size[i] : largest;
    if (steps.count < MP_GROWTH_STEPS || steps.time[0] > steps.end / 3 || fall > largest ||
        !is_regular(&steps))
        return MP_FLAT;
    return steps.blocks + 1 >= steps.count ? MP_STEADY : MP_STEPWISE;
}

static enum mp_verdict
judge(const struct plan *plan, const struct levels *levels, const struct mp_growth *row)
{
    const struct mp_counts *live = &row->live;
    if (is_steady(levels, live))
        return MP_STEADY;
    if (levels->early && live->bytes >= MP_GROWTH_BYTES) {
        const enum mp_verdict verdict = judge_steps(plan->series, row, levels->fall);
        if (verdict != MP_FLAT)
            return verdict;
    }
    if (!levels->early)
        return MP_LATE;
    if (levels->fall > levels->high / 4)
        return MP_SAWTOOTH;
    return levels->changed ? MP_FLAT : MP_ONCE;
}

static double
rate(uint64_t from, uint64_t to, double seconds)
{
    return seconds > 0 ? (double)(int64_t)(to - from) / seconds : 0;
}

static void
fill(struct plan plan, struct mp_growth *row)
{
    struct levels levels;
    start_where_it_begins(&plan, row->stack);
    measure(&plan, row, &levels);
    const double seconds = (double)(levels.low_time[LAST] - levels.low_time[0]) / 1e9;
    row->verdict = judge(&plan, &levels, row);
    row->first = levels.low[0];
    row->last = levels.low[LAST];
    row->bytes_per_second = rate(row->first.bytes, row->last.bytes, seconds);
    row->blocks_per_second = rate(row->first.blocks, row->last.blocks, seconds);
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
compare_rows(const void *left, const void *right, void *unused)
{
    (void)unused;
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
        fill(plan, &growths->rows[i]);
    mp_sort(growths->rows, growths->count, sizeof *growths->rows,
            (struct mp_comparison){compare_rows, NULL});
    return MP_OK;
}

void
mp_growths_free(struct mp_growths *growths)
{
    mp_mem_free(growths->rows, growths->capacity * sizeof *growths->rows);
    memset(growths, 0, sizeof *growths);
}
