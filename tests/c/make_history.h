/* Call stacks with a history, for the suites of growth. Include it after test.h, in files that
 * define _GNU_SOURCE. */
#ifndef MP_MAKE_HISTORY_H
#define MP_MAKE_HISTORY_H

#include "analyse/growth.h"
#include "make_snapshot.h"

enum { FIRST = MP_GROWTH_CHECKPOINTS, TICK = 10000000, MB = 1 << 20 };

/* Bytes of a call stack at checkpoint i of n. */
typedef uint64_t level(size_t i, size_t n);

static inline struct mp_growths
growths_of(const struct mp_snapshot *snapshot)
{
    struct mp_growths growths;
    assert_int_equal(mp_growth(snapshot, &growths), MP_OK);
    return growths;
}

/* A snapshot of one call stack with a history; `live` bytes at its end. */
static inline struct mp_snapshot *
history(level *level_at, size_t n, uint64_t live)
{
    struct maker *maker = make_begin();
    const uint32_t stack = STACK(maker, {"a.py", "f", 1, 1});
    for (size_t i = 0; i < n; i++) {
        const uint64_t bytes = level_at(i, n);
        const struct mp_point point = {stack, (uint32_t)(bytes / 100) + 1, bytes};
        make_checkpoint(&maker->series, (i + 1) * TICK, &point, bytes != 0);
    }
    make_row(maker, stack, live, live / 100 + (live != 0));
    return make_end(maker);
}

static inline struct mp_growth
judge(level *level_at, size_t n, uint64_t live)
{
    struct mp_snapshot *snapshot = history(level_at, n, live);
    struct mp_growths growths = growths_of(snapshot);
    assert_false(growths.too_short);
    assert_int_equal(growths.count, 1);
    const struct mp_growth row = growths.rows[0];
    mp_growths_free(&growths);
    mp_snapshot_free(snapshot);
    return row;
}

/* The verdict on runs of all lengths; what the last checkpoint saw is alive, or 1 MB. */
static inline void
assert_verdict(level *level_at, enum mp_verdict verdict)
{
    static const char *const names[] = {"STEADY", "STEPWISE", "FLAT", "SAWTOOTH", "ONCE", "LATE"};
    for (size_t n = FIRST; n <= MP_CHECKPOINTS; n++) {
        const uint64_t last = level_at(n - 1, n);
        const struct mp_growth row = judge(level_at, n, last ? last : MB);
        if (row.verdict != verdict)
            fail_msg("%zu checkpoints: %s, not %s", n, names[row.verdict], names[verdict]);
    }
}

#endif
