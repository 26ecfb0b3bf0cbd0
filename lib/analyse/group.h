/* group: a snapshot's rows summed by source line, file, function or call stack.
 *
 * Pure functions. A group's id is a location of the snapshot's symbols (for LINE,
 * FILE and FUNCTION: the first of those that agree) or a stack (for STACK); 0 is
 * what has no Python frame. Cumulative: a row counts for every line, file or
 * function on its stack, once for each; without, for the innermost frame only.
 */
#ifndef MP_GROUP_H
#define MP_GROUP_H

#include "analyse/snapshot.h"

enum mp_group_by { MP_BY_LINE, MP_BY_FILE, MP_BY_FUNCTION, MP_BY_STACK, MP_BYS };
enum mp_metric { MP_LIVE, MP_PEAK, MP_TOTAL, MP_METRICS };

struct mp_group {
    uint32_t id;
    uint32_t padding;
    struct mp_totals totals;
};

struct mp_groups {
    enum mp_group_by by;
    size_t count, capacity;
    struct mp_group *rows;
};

/* Groups in order of id. MP_BAD_ARGUMENT: cumulative makes no sense for stacks. */
MP_WARN_UNUSED int mp_group(const struct mp_snapshot *snapshot, enum mp_group_by by,
                            bool cumulative, struct mp_groups *groups);
void mp_groups_free(struct mp_groups *groups);

/* Largest first: by bytes, blocks, then traceback, as tracemalloc sorts. */
void mp_groups_sort(struct mp_groups *groups, const struct mp_symbols *symbols,
                    enum mp_metric metric);

static inline const struct mp_counts *
mp_totals_get(const struct mp_totals *totals, enum mp_metric metric)
{
    return metric == MP_LIVE ? &totals->live : metric == MP_PEAK ? &totals->peak : &totals->total;
}

/* Order of two groups' tracebacks, the oldest frame first; <0, 0 or >0. */
int mp_traceback_compare(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t a,
                         uint32_t b);

#endif
