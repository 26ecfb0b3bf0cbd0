/* The public functions of memprof/memprof.h, over the rooms behind them. */
#include "memprof/memprof.h"

#include "analyse/diff.h"
#include "freeze.h"
#include "profile/profile_file.h"
#include "record/source.h"
#include "record/timeline.h"
#include "record/tracer.h"

_Static_assert((int)MEMPROF_CORRUPT == (int)MP_CORRUPT, "one list of errors");
_Static_assert((int)MEMPROF_BY_STACK == (int)MP_BY_STACK, "one list of groupings");
_Static_assert((int)MEMPROF_TOTAL == (int)MP_TOTAL, "one list of metrics");

#ifndef MEMPROF_VERSION
#define MEMPROF_VERSION "unknown"
#endif

const char *
memprof_version(void)
{
    return MEMPROF_VERSION;
}

const char *
memprof_status_text(int status)
{
    switch ((memprof_status)status) {
    case MEMPROF_OK: return "success";
    case MEMPROF_NO_MEMORY: return "not enough memory";
    case MEMPROF_NOT_TRACING: return "not tracing";
    case MEMPROF_BAD_ARGUMENT: return "an argument is out of range";
    case MEMPROF_SYSTEM: return "the operating system reported an error";
    case MEMPROF_FOREIGN: return "not a memprof profile";
    case MEMPROF_NEWER: return "a profile of a later version of memprof";
    case MEMPROF_TRUNCATED: return "a profile that was cut off";
    case MEMPROF_CORRUPT: return "a damaged profile";
    }
    return "unknown status";
}

/* ---- the trace -------------------------------------------------------------------------- */

int
memprof_start(void)
{
    const int status = mp_tracer_start();
    if (status != MP_OK)
        return status;
    mp_freeze_start_clock();
    mp_timeline_reset();
    mp_tracer_activate();
    return MP_OK;
}

void
memprof_stop(void)
{
    mp_timeline_stop();
    if (mp_tracer_is_active())
        mp_tracer_stop();
}

void
memprof_clear(void)
{
    if (!mp_tracer_is_active())
        return;
    mp_timeline_stop();
    mp_tracer_clear();
    mp_timeline_reset();
}

int
memprof_is_tracing(void)
{
    return mp_tracer_is_active();
}

void
memprof_get_traced(int64_t *current, int64_t *peak)
{
    const bool active = mp_tracer_is_active();
    if (current)
        *current = active ? mp_lanes_live(&mp_tracer.lanes) : 0;
    if (peak)
        *peak = active ? mp_lanes_peak(&mp_tracer.lanes) : 0;
}

void
memprof_reset_peak(void)
{
    mp_clock_reset_peak(&mp_tracer.lanes.clock);
}

size_t
memprof_own_memory(void)
{
    return mp_tracer_memory();
}

uint64_t
memprof_lost(void)
{
    return atomic_load_explicit(&mp_tracer.lost, memory_order_relaxed);
}

/* ---- tracked blocks ------------------------------------------------------------------------ */

/* The domain of an entry in the side table: never that of the hooks. */
static uint64_t
side_domain(unsigned int domain)
{
    return (uint64_t)MP_TRACKED << 32 | domain;
}

/* Enter the tracer, whether or not the thread is in a hook already. MP_OK, or what
 * memprof_track returns. */
static int
enter(struct mp_thread **self, uint32_t *before)
{
    if (!mp_tracer_is_active())
        return MP_NOT_TRACING;
    *self = mp_thread_self();
    if (!*self)
        return MP_NO_MEMORY;
    *before = atomic_load_explicit(&(*self)->guard, memory_order_relaxed);
    return mp_tracer_enter(*self, *before) ? MP_OK : MP_NOT_TRACING;
}

static int
record_tracked(unsigned int domain, uintptr_t address, size_t size, uint32_t site)
{
    const struct mp_side_entry entry = {side_domain(domain), address, size, site};
    const bool recorded = site && mp_tracer_record_side(mp_source_main(), &entry);
    if (!site)
        mp_tracer_lose();
    return recorded ? MP_OK : MP_NO_MEMORY;
}

int
memprof_track(unsigned int domain, uintptr_t address, size_t size)
{
    struct mp_thread *self;
    uint32_t before;
    int status = enter(&self, &before);
    if (status != MP_OK)
        return status;
    status = record_tracked(domain, address, size, mp_source_site(self, MP_TRACKED, domain, size));
    if (before == MP_GUARD_METERED && status == MP_OK)
        mp_meter_alloc(&self->meter, address, size);
    mp_tracer_leave(self, before);
    return status;
}

int
memprof_untrack(unsigned int domain, uintptr_t address)
{
    struct mp_thread *self;
    struct mp_entry entry;
    uint32_t before;
    const int status = enter(&self, &before);
    if (status != MP_OK)
        return status;
    if (mp_tracer_take_side(side_domain(domain), address, &entry)) {
        mp_tracer_settle(mp_source_main(), &entry);
        if (before == MP_GUARD_METERED)
            mp_meter_free(&self->meter, entry.size);
    }
    mp_tracer_leave(self, before);
    return MP_OK;
}

int
memprof_move(unsigned int domain, uintptr_t old_address, uintptr_t new_address, size_t size)
{
    struct mp_thread *self;
    struct mp_entry entry;
    uint32_t before, site;
    int status = enter(&self, &before);
    if (status != MP_OK)
        return status;
    if (mp_tracer_take_side(side_domain(domain), old_address, &entry)) {
        mp_tracer_settle(mp_source_main(), &entry);
        if (before == MP_GUARD_METERED)
            mp_meter_free(&self->meter, entry.size);
        site = entry.word & MP_SITE_MASK;
    } else {
        site = mp_source_site(self, MP_TRACKED, domain, size);
    }
    status = record_tracked(domain, new_address, size, site);
    if (before == MP_GUARD_METERED && status == MP_OK)
        mp_meter_alloc(&self->meter, new_address, size);
    mp_tracer_leave(self, before);
    return status;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

int
memprof_snapshot_take(memprof_snapshot **snapshot)
{
    *snapshot = NULL;
    if (!mp_tracer_is_active())
        return MP_NOT_TRACING;
    *snapshot = mp_freeze(false);
    return *snapshot ? MP_OK : MP_NO_MEMORY;
}

void
memprof_snapshot_free(memprof_snapshot *snapshot)
{
    mp_snapshot_free(snapshot);
}

int
memprof_snapshot_write(const memprof_snapshot *snapshot, const char *path)
{
    return mp_profile_write(snapshot, path);
}

int
memprof_snapshot_read(const char *path, memprof_snapshot **snapshot, const char **why)
{
    return mp_profile_read(path, snapshot, why);
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct mp_rows {
    struct mp_diff diff; /* a group is a difference from nothing */
    enum mp_metric metric;
};

static struct mp_rows *
new_rows(memprof_by by, memprof_metric metric)
{
    struct mp_rows *rows = mp_mem_new(sizeof *rows);
    if (!rows)
        return NULL;
    rows->diff.by = (enum mp_group_by)by;
    rows->metric = (enum mp_metric)metric;
    return rows;
}

/* Hand over the rows, or free them when something failed. */
static int
deliver(int status, struct mp_rows *made, memprof_rows **rows)
{
    if (status == MP_OK) {
        mp_diff_sort(&made->diff, made->metric);
        *rows = made;
    } else {
        memprof_rows_free(made);
    }
    return status;
}

static int
copy_groups(const struct mp_groups *groups, struct mp_diff *diff)
{
    diff->capacity = groups->count;
    diff->rows = mp_mem_new(diff->capacity * sizeof *diff->rows);
    if (!diff->rows)
        return MP_NO_MEMORY;
    for (; diff->count < groups->count; diff->count++) {
        diff->rows[diff->count].id = groups->rows[diff->count].id;
        diff->rows[diff->count].after = groups->rows[diff->count].totals;
    }
    return MP_OK;
}

static bool
in_range(memprof_by by, memprof_metric metric)
{
    return (unsigned)by < MP_BYS && (unsigned)metric < MP_METRICS;
}

int
memprof_group(const memprof_snapshot *snapshot, memprof_by by, memprof_metric metric,
              memprof_rows **rows)
{
    struct mp_groups groups;
    *rows = NULL;
    if (!in_range(by, metric))
        return MP_BAD_ARGUMENT;
    struct mp_rows *made = new_rows(by, metric);
    if (!made)
        return MP_NO_MEMORY;
    made->diff.symbols = mp_symbols_retain(snapshot->symbols);
    int status = mp_group(snapshot, (enum mp_group_by)by, false, &groups);
    if (status == MP_OK)
        status = copy_groups(&groups, &made->diff);
    mp_groups_free(&groups);
    return deliver(status, made, rows);
}

int
memprof_diff(const memprof_snapshot *before, const memprof_snapshot *after, memprof_by by,
             memprof_metric metric, memprof_rows **rows)
{
    *rows = NULL;
    if (!in_range(by, metric))
        return MP_BAD_ARGUMENT;
    struct mp_rows *made = new_rows(by, metric);
    if (!made)
        return MP_NO_MEMORY;
    return deliver(mp_diff(before, after, (enum mp_group_by)by, false, &made->diff), made, rows);
}

void
memprof_rows_free(memprof_rows *rows)
{
    if (!rows)
        return;
    mp_diff_free(&rows->diff);
    mp_mem_free(rows, sizeof *rows);
}

size_t
memprof_rows_count(const memprof_rows *rows)
{
    return rows->diff.count;
}

int
memprof_rows_get(const memprof_rows *rows, size_t index, memprof_row *row)
{
    if (index >= rows->diff.count)
        return MP_BAD_ARGUMENT;
    const struct mp_change *change = &rows->diff.rows[index];
    const struct mp_counts *after = mp_totals_get(&change->after, rows->metric);
    const struct mp_counts *before = mp_totals_get(&change->before, rows->metric);
    *row = (memprof_row){after->bytes, after->blocks, before->bytes, before->blocks};
    return MP_OK;
}

static memprof_text
name_text(const struct mp_symbols *symbols, uint32_t name)
{
    const struct mp_text text = mp_symbols_name(symbols, name);
    return (memprof_text){text.at, text.length};
}

int
memprof_rows_frame(const memprof_rows *rows, size_t index, size_t depth, memprof_frame *frame)
{
    const struct mp_symbols *symbols = rows->diff.symbols;
    const bool stacks = rows->diff.by == MP_BY_STACK;
    if (index >= rows->diff.count || (!stacks && depth))
        return MP_BAD_ARGUMENT;
    uint32_t id = rows->diff.rows[index].id;
    for (; stacks && id && depth; depth--)
        id = symbols->stack[id].parent;
    if (stacks && !id)
        return MP_BAD_ARGUMENT;
    const struct mp_symbol_location *location =
        &symbols->location[stacks ? mp_symbols_top(symbols, id) : id];
    *frame = (memprof_frame){
        .file = name_text(symbols, location->file),
        .function = rows->diff.by == MP_BY_FILE ? (memprof_text){0}
                                                : name_text(symbols, location->function),
        .line = rows->diff.by == MP_BY_FILE ? 0 : location->line,
        .first_line = rows->diff.by == MP_BY_FILE ? 0 : location->first_line,
        .folded = stacks && (symbols->stack[id].location & MP_FOLDED) != 0,
    };
    return MP_OK;
}
