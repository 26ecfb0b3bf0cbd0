/* diff: what changed between two snapshots, group by group.
 *
 * The two need not share symbols: they may come from different processes. Both
 * are expressed in one set of symbols first, equal files, lines and functions
 * having equal ids there; the difference is then a subtraction. Pure functions.
 */
#ifndef MP_DIFF_H
#define MP_DIFF_H

#include "analyse/group.h"

struct mp_change {
    uint32_t id; /* as mp_group.id, in the difference's symbols */
    uint32_t padding;
    struct mp_totals before, after;
};

struct mp_diff {
    enum mp_group_by by;
    struct mp_symbols *symbols; /* one reference */
    size_t count, capacity;
    struct mp_change *rows;
};

/* Changes in order of id, groups that stayed the same included. */
MP_WARN_UNUSED int mp_diff(const struct mp_snapshot *before, const struct mp_snapshot *after,
                           enum mp_group_by by, bool cumulative, struct mp_diff *diff);
void mp_diff_free(struct mp_diff *diff);

/* Largest change first, as tracemalloc sorts: |bytes changed|, bytes, |blocks changed|,
 * blocks, traceback. */
void mp_diff_sort(struct mp_diff *diff, enum mp_metric metric);

#endif
