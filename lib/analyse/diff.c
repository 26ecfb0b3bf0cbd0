#include "analyse/diff.h"

#include <string.h>

#include "base/sort.h"

/* ---- one set of symbols for two snapshots -------------------------------------------- */

/* A copy of a snapshot's rows whose stacks are ids of the depot; symbols to be set later. */
static struct mp_snapshot *
rebase(const struct mp_snapshot *snapshot, struct mp_depot *depot)
{
    const size_t size = ((size_t)snapshot->symbols->stacks + 1) * sizeof(uint32_t);
    struct mp_snapshot *copy = NULL;
    uint32_t *stack_ids = mp_mem_new(size);
    if (stack_ids && mp_symbols_intern(snapshot->symbols, depot, stack_ids) == MP_OK)
        copy = mp_snapshot_new(NULL, snapshot->count);
    if (copy) {
        copy->count = snapshot->count;
        for (size_t i = 0; i < snapshot->count; i++) {
            copy->rows[i] = snapshot->rows[i];
            copy->rows[i].stack = stack_ids[snapshot->rows[i].stack];
        }
    }
    mp_mem_free(stack_ids, size);
    return copy;
}

/* Both snapshots over common symbols. On failure what was made is left for the caller to free. */
static int
unite(const struct mp_snapshot *before, const struct mp_snapshot *after,
      struct mp_snapshot *united[2])
{
    struct mp_depot *depot = mp_mem_new(sizeof *depot);
    if (!depot)
        return MP_NO_MEMORY;
    int status = mp_depot_init(depot);
    if (status == MP_OK) {
        united[0] = rebase(before, depot);
        united[1] = united[0] ? rebase(after, depot) : NULL;
        struct mp_symbols *symbols = united[1] ? mp_symbols_freeze(depot) : NULL;
        status = symbols ? MP_OK : MP_NO_MEMORY;
        if (symbols) {
            united[0]->symbols = symbols;
            united[1]->symbols = mp_symbols_retain(symbols);
        }
        mp_depot_destroy(depot);
    }
    mp_mem_free(depot, sizeof *depot);
    return status;
}

/* ---- the difference ---------------------------------------------------------------------- */

static int
join(const struct mp_groups *before, const struct mp_groups *after, struct mp_diff *diff)
{
    diff->capacity = before->count + after->count;
    diff->rows = mp_mem_new(diff->capacity * sizeof *diff->rows);
    if (!diff->rows)
        return MP_NO_MEMORY;
    for (size_t b = 0, a = 0; b < before->count || a < after->count;) {
        struct mp_change *row = &diff->rows[diff->count++];
        const uint32_t old_id = b < before->count ? before->rows[b].id : UINT32_MAX;
        const uint32_t new_id = a < after->count ? after->rows[a].id : UINT32_MAX;
        row->id = old_id < new_id ? old_id : new_id;
        if (old_id <= new_id)
            row->before = before->rows[b++].totals;
        if (new_id <= old_id)
            row->after = after->rows[a++].totals;
    }
    return MP_OK;
}

static int
subtract(const struct mp_snapshot *before, const struct mp_snapshot *after, bool cumulative,
         struct mp_diff *diff)
{
    struct mp_groups old_groups, new_groups = {0};
    int status = mp_group(before, diff->by, cumulative, &old_groups);
    if (status == MP_OK)
        status = mp_group(after, diff->by, cumulative, &new_groups);
    if (status == MP_OK)
        status = join(&old_groups, &new_groups, diff);
    if (status == MP_OK)
        diff->symbols = mp_symbols_retain(after->symbols);
    mp_groups_free(&old_groups);
    mp_groups_free(&new_groups);
    return status;
}

int
mp_diff(const struct mp_snapshot *before, const struct mp_snapshot *after, enum mp_group_by by,
        bool cumulative, struct mp_diff *diff)
{
    *diff = (struct mp_diff){.by = by};
    if (before->symbols == after->symbols)
        return subtract(before, after, cumulative, diff);

    struct mp_snapshot *united[2] = {NULL, NULL};
    int status = unite(before, after, united);
    if (status == MP_OK)
        status = subtract(united[0], united[1], cumulative, diff);
    mp_snapshot_free(united[0]);
    mp_snapshot_free(united[1]);
    return status;
}

void
mp_diff_free(struct mp_diff *diff)
{
    mp_symbols_release(diff->symbols);
    mp_mem_free(diff->rows, diff->capacity * sizeof *diff->rows);
    memset(diff, 0, sizeof *diff);
}

/* ---- order ----------------------------------------------------------------------------------- */

struct order {
    const struct mp_diff *diff;
    enum mp_metric metric;
};

static uint64_t
distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Descending: 1 when a is the smaller. */
static int
descending(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int
compare_changes(const void *left, const void *right, void *data)
{
    const struct order *order = data;
    const struct mp_change *a = left, *b = right;
    const struct mp_counts *a0 = mp_totals_get(&a->before, order->metric);
    const struct mp_counts *a1 = mp_totals_get(&a->after, order->metric);
    const struct mp_counts *b0 = mp_totals_get(&b->before, order->metric);
    const struct mp_counts *b1 = mp_totals_get(&b->after, order->metric);
    int result = descending(distance(a1->bytes, a0->bytes), distance(b1->bytes, b0->bytes));
    if (!result)
        result = descending(a1->bytes, b1->bytes);
    if (!result)
        result = descending(distance(a1->blocks, a0->blocks), distance(b1->blocks, b0->blocks));
    if (!result)
        result = descending(a1->blocks, b1->blocks);
    if (!result)
        result = -mp_traceback_compare(order->diff->symbols, order->diff->by, a->id, b->id);
    return result ? result : (a->id > b->id) - (a->id < b->id);
}

void
mp_diff_sort(struct mp_diff *diff, enum mp_metric metric)
{
    struct order order = {diff, metric};
    mp_sort(diff->rows, diff->count, sizeof *diff->rows,
            (struct mp_comparison){compare_changes, &order});
}
