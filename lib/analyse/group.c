#include "analyse/group.h"

#include <string.h>

#include "base/sort.h"

/* ---- which group a location belongs to --------------------------------------------- */

static bool
same_group(const struct mp_symbol_location *a, const struct mp_symbol_location *b,
           enum mp_group_by by)
{
    if (a->file != b->file)
        return false;
    if (by == MP_BY_FUNCTION)
        return a->function == b->function && a->first_line == b->first_line;
    return by == MP_BY_FILE || a->line == b->line;
}

static uint64_t
hash_group(const struct mp_symbol_location *location, enum mp_group_by by)
{
    uint64_t hash = mp_hash_mix(by, location->file);
    if (by == MP_BY_FUNCTION)
        hash = mp_hash_mix(hash, (uint64_t)location->function << 32 | location->first_line);
    else if (by == MP_BY_LINE)
        hash = mp_hash_mix(hash, location->line);
    return hash >> 16;
}

/* leader[i] becomes the first location of the group of location i. */
static bool
find_leaders(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t *leader)
{
    size_t slots = 64;
    while (slots < (size_t)symbols->locations * 2)
        slots *= 2;
    uint32_t *table = mp_mem_new(slots * sizeof *table);
    if (!table)
        return false;
    for (uint32_t id = 1; id <= symbols->locations; id++) {
        const struct mp_symbol_location *location = &symbols->location[id];
        size_t slot = hash_group(location, by) & (slots - 1);
        while (table[slot] && !same_group(&symbols->location[table[slot]], location, by))
            slot = (slot + 1) & (slots - 1);
        if (!table[slot])
            table[slot] = id;
        leader[id] = table[slot];
    }
    mp_mem_free(table, slots * sizeof *table);
    return true;
}

/* ---- sums ------------------------------------------------------------------------------ */

/* Scratch of one grouping; arrays are indexed by group id. */
struct work {
    uint32_t ids;            /* highest group id */
    struct mp_totals *sums;
    uint32_t *leader;        /* of locations; NULL for stacks */
    uint32_t *seen;          /* cumulative: the last row that counted for the group */
    size_t leader_size, sums_size, seen_size;
};

static bool
work_open(struct work *work, const struct mp_symbols *symbols, enum mp_group_by by)
{
    memset(work, 0, sizeof *work);
    work->ids = by == MP_BY_STACK ? symbols->stacks : symbols->locations;
    work->sums_size = ((size_t)work->ids + 1) * sizeof *work->sums;
    work->sums = mp_mem_new(work->sums_size);
    work->seen_size = ((size_t)work->ids + 1) * sizeof *work->seen;
    work->seen = mp_mem_new(work->seen_size);
    if (!work->sums || !work->seen)
        return false;
    if (by == MP_BY_STACK)
        return true;
    work->leader_size = ((size_t)symbols->locations + 1) * sizeof *work->leader;
    work->leader = mp_mem_new(work->leader_size);
    return work->leader && find_leaders(symbols, by, work->leader);
}

static void
work_close(struct work *work)
{
    mp_mem_free(work->sums, work->sums_size);
    mp_mem_free(work->seen, work->seen_size);
    mp_mem_free(work->leader, work->leader_size);
}

static void
add_whole_stack(struct work *work, const struct mp_symbols *symbols, const struct mp_row *row,
                uint32_t stamp)
{
    for (uint32_t stack = row->stack; stack; stack = symbols->stack[stack].parent) {
        const uint32_t id = work->leader[mp_symbols_top(symbols, stack)];
        if (work->seen[id] == stamp)
            continue;
        work->seen[id] = stamp;
        mp_totals_add(&work->sums[id], &row->totals);
    }
}

static void
add_rows(struct work *work, const struct mp_snapshot *snapshot, bool cumulative)
{
    const struct mp_symbols *symbols = snapshot->symbols;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mp_row *row = &snapshot->rows[i];
        if (cumulative && row->stack) {
            add_whole_stack(work, symbols, row, (uint32_t)i + 1);
            continue;
        }
        const uint32_t id =
            work->leader ? work->leader[mp_symbols_top(symbols, row->stack)] : row->stack;
        mp_totals_add(&work->sums[id], &row->totals);
    }
}

static bool
is_empty(const struct mp_totals *totals)
{
    static const struct mp_totals none;
    return memcmp(totals, &none, sizeof none) == 0;
}

static int
harvest(const struct work *work, struct mp_groups *groups)
{
    for (uint32_t id = 0; id <= work->ids; id++)
        groups->capacity += !is_empty(&work->sums[id]);
    groups->rows = mp_mem_new(groups->capacity * sizeof *groups->rows);
    if (!groups->rows)
        return MP_NO_MEMORY;
    for (uint32_t id = 0; id <= work->ids; id++)
        if (!is_empty(&work->sums[id]))
            groups->rows[groups->count++] = (struct mp_group){id, 0, work->sums[id]};
    return MP_OK;
}

int
mp_group(const struct mp_snapshot *snapshot, enum mp_group_by by, bool cumulative,
         struct mp_groups *groups)
{
    struct work work;
    int status = MP_NO_MEMORY;

    *groups = (struct mp_groups){.by = by};
    if (cumulative && by == MP_BY_STACK)
        return MP_BAD_ARGUMENT;
    if (work_open(&work, snapshot->symbols, by)) {
        add_rows(&work, snapshot, cumulative);
        status = harvest(&work, groups);
    }
    work_close(&work);
    return status;
}

void
mp_groups_free(struct mp_groups *groups)
{
    mp_mem_free(groups->rows, groups->capacity * sizeof *groups->rows);
    memset(groups, 0, sizeof *groups);
}

/* ---- order ---------------------------------------------------------------------------------- */

static int
compare_names(const struct mp_symbols *symbols, uint32_t a, uint32_t b)
{
    const struct mp_text x = mp_symbols_name(symbols, a), y = mp_symbols_name(symbols, b);
    const int order = memcmp(x.at, y.at, x.length < y.length ? x.length : y.length);
    return order ? order : (x.length > y.length) - (x.length < y.length);
}

static int
compare_locations(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t a, uint32_t b)
{
    const struct mp_symbol_location *x = &symbols->location[a], *y = &symbols->location[b];
    int order = x->file == y->file ? 0 : compare_names(symbols, x->file, y->file);
    if (!order && by == MP_BY_FUNCTION)
        order = (x->first_line > y->first_line) - (x->first_line < y->first_line);
    else if (!order)
        order = (x->line > y->line) - (x->line < y->line);
    if (!order && x->function != y->function)
        order = compare_names(symbols, x->function, y->function);
    return order;
}

static int
depth_of(const struct mp_symbols *symbols, uint32_t stack)
{
    int depth = 0;
    for (; stack; stack = symbols->stack[stack].parent)
        depth++;
    return depth;
}

/* Lexicographic from the outermost frame: the difference met last on the way out decides. */
static int
compare_stacks(const struct mp_symbols *symbols, uint32_t a, uint32_t b)
{
    int more = depth_of(symbols, a) - depth_of(symbols, b);
    int order = (more > 0) - (more < 0);

    for (; more > 0; more--)
        a = symbols->stack[a].parent;
    for (; more < 0; more++)
        b = symbols->stack[b].parent;
    for (; a != b; a = symbols->stack[a].parent, b = symbols->stack[b].parent) {
        const int here = compare_locations(symbols, MP_BY_LINE, mp_symbols_top(symbols, a),
                                           mp_symbols_top(symbols, b));
        if (here)
            order = here;
    }
    return order;
}

int
mp_traceback_compare(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t a, uint32_t b)
{
    return by == MP_BY_STACK ? compare_stacks(symbols, a, b) : compare_locations(symbols, by, a, b);
}

struct order {
    const struct mp_symbols *symbols;
    enum mp_group_by by;
    enum mp_metric metric;
};

static int
compare_groups(const void *left, const void *right, void *data)
{
    const struct order *order = data;
    const struct mp_group *a = left, *b = right;
    const struct mp_counts *x = mp_totals_get(&a->totals, order->metric);
    const struct mp_counts *y = mp_totals_get(&b->totals, order->metric);
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->blocks != y->blocks)
        return x->blocks < y->blocks ? 1 : -1;
    const int result = -mp_traceback_compare(order->symbols, order->by, a->id, b->id);
    return result ? result : (a->id > b->id) - (a->id < b->id);
}

void
mp_groups_sort(struct mp_groups *groups, const struct mp_symbols *symbols, enum mp_metric metric)
{
    struct order order = {symbols, groups->by, metric};
    mp_sort(groups->rows, groups->count, sizeof *groups->rows,
            (struct mp_comparison){compare_groups, &order});
}
