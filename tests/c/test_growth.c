#define _GNU_SOURCE
#include "test.h"

#include <math.h>

#include "make_history.h"

/* ---- leaks --------------------------------------------------------------------------------- */

static uint64_t linear(size_t i, size_t n) { return (i + 1) * MB / n; }
static uint64_t linear_on_much(size_t i, size_t n) { return 500 * (uint64_t)MB + linear(i, n); }

/* No noise at every fifth checkpoint. */
static uint64_t under_noise(size_t i, size_t n) { return linear(i, n) + i % 5 * (i % 7) * MB; }

/* A list that is appended to: eight more than needed for every 64. */
static uint64_t
stepwise(size_t i, size_t n)
{
    uint64_t capacity = 4;
    while (capacity < (i + 1) * 100000 / n)
        capacity += capacity / 8 + 6;
    return capacity * 8;
}

static uint64_t ten_blocks(size_t i, size_t n) { return (i * 10 / n + 1) * 300; }

static void
linear_leak_is_steady(void **state)
{
    (void)state;
    assert_verdict(linear, MP_STEADY);
    assert_verdict(linear_on_much, MP_STEADY);
}

static void
leak_in_steps_is_steady(void **state)
{
    (void)state;
    assert_verdict(stepwise, MP_STEADY);
}

static void
leak_under_short_lived_blocks_is_steady(void **state)
{
    (void)state;
    for (size_t n = 55; n <= MP_CHECKPOINTS; n++) /* five checkpoints in a window */
        assert_int_equal(judge(under_noise, n, MB).verdict, MP_STEADY);
}

static void
slow_leak_of_a_few_blocks_is_steady(void **state)
{
    (void)state;
    assert_verdict(ten_blocks, MP_STEADY);
}

/* ---- no leaks ------------------------------------------------------------------------------ */

static uint64_t
warming_up(size_t i, size_t n)
{
    const size_t warm = n / 5 - 1;
    return 1000 * (i < warm ? i + 1 : warm + 1);
}

static uint64_t warm_and_restless(size_t i, size_t n) { return warming_up(i, n) + 50 + i % 2 * 40; }
static uint64_t imports(size_t i, size_t n) { (void)n; return i ? 3 * MB : 2 * MB; }

/* Up from a floor of 1 MB, `periods` times. */
static uint64_t
sawtooth(size_t i, size_t n, size_t periods)
{
    return MB + i * periods % n * 8 * MB / n;
}

static uint64_t three_teeth(size_t i, size_t n) { return sawtooth(i, n, 3); }
static uint64_t five_teeth(size_t i, size_t n) { return sawtooth(i, n, 5); }
static uint64_t cache(size_t i, size_t n) { return sawtooth(i, n, 5) - MB; }
static uint64_t brief(size_t i, size_t n) { (void)n; return i % 3 == 1 ? MB : 0; }
static uint64_t at_once(size_t i, size_t n) { (void)i, (void)n; return MB; }
static uint64_t at_a_third(size_t i, size_t n) { return i * 3 >= n ? MB : 0; }
static uint64_t lately(size_t i, size_t n) { return i * 10 >= n * 8 ? (i + 1) * MB : 0; }
static uint64_t twice(size_t i, size_t n) { return i * 2 >= n ? 2 * MB : MB; }
static uint64_t stopped(size_t i, size_t n) { return (i * 20 < n * 13 ? i + 1 : n * 2 / 3) * MB; }
static uint64_t lastly(size_t i, size_t n) { return i * 5 < n * 3 ? MB : (i * 5 + 5 - n * 3) * MB; }
static uint64_t shrinking(size_t i, size_t n) { return (n - i) * MB; }

static void
warm_up_then_flat_is_flat(void **state)
{
    (void)state;
    assert_verdict(warm_and_restless, MP_FLAT);
    for (size_t n = 20; n <= MP_CHECKPOINTS; n++) /* a warm-up of several checkpoints */
        assert_int_equal(judge(warming_up, n, warming_up(n, n)).verdict, MP_FLAT);
}

static void
burst_of_imports_is_not_a_leak(void **state)
{
    (void)state;
    for (size_t n = FIRST; n <= MP_CHECKPOINTS; n++) {
        const uint32_t verdict = judge(imports, n, 3 * MB).verdict;
        assert_true(verdict == MP_FLAT || verdict == MP_ONCE);
    }
}

static void
growth_in_a_part_of_the_run_is_flat(void **state)
{
    (void)state;
    for (size_t n = 20; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge(stopped, n, n * 2 / 3 * MB).verdict, MP_FLAT);
    assert_verdict(twice, MP_FLAT);
    assert_verdict(lastly, MP_FLAT); /* it never came down */
}

static void
sawtooth_is_not_a_leak(void **state)
{
    (void)state;
    for (size_t n = 20; n <= MP_CHECKPOINTS; n++) { /* enough of them to see teeth */
        assert_int_not_equal(judge(three_teeth, n, 5 * MB).verdict, MP_STEADY);
        assert_int_not_equal(judge(five_teeth, n, 5 * MB).verdict, MP_STEADY);
    }
    for (size_t n = 55; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge(five_teeth, n, 5 * MB).verdict, MP_SAWTOOTH);
    assert_verdict(shrinking, MP_SAWTOOTH);
}

static void
sawtooth_that_falls_to_nothing_is_one_too(void **state)
{
    (void)state;
    assert_verdict(brief, MP_SAWTOOTH);
    for (size_t n = 55; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge(cache, n, 5 * MB).verdict, MP_SAWTOOTH);
}

static void
allocated_at_one_moment_is_once(void **state)
{
    (void)state;
    assert_verdict(at_once, MP_ONCE);
    assert_verdict(at_a_third, MP_ONCE);
}

static void
what_appears_near_the_end_is_late(void **state)
{
    (void)state;
    assert_verdict(lately, MP_LATE);
}

static void
growth_that_is_freed_at_the_end_is_not_a_leak(void **state)
{
    (void)state;
    for (size_t n = FIRST; n <= MP_CHECKPOINTS; n++) {
        assert_int_equal(judge(linear, n, 10).verdict, MP_SAWTOOTH); /* came down again */
        struct mp_snapshot *snapshot = history(linear, n, 0);
        struct mp_growths growths = growths_of(snapshot);
        assert_int_equal(growths.count, 0); /* only what is alive */
        mp_growths_free(&growths);
        mp_snapshot_free(snapshot);
    }
}

/* ---- thresholds ---------------------------------------------------------------------------- */

static uint64_t slope; /* bytes gained from the first to the last window's lowest level */

/* 40 checkpoints: the first window begins at the 8th, the last one at the 36th. */
static uint64_t exact(size_t i, size_t n) { return n * 2500 + (i < 7 ? 0 : (i - 7) * slope / 28); }

static void
growth_below_the_threshold_is_not_reported(void **state)
{
    (void)state;
    slope = MP_GROWTH_BYTES - 1;
    assert_int_equal(judge(exact, 40, 200000).verdict, MP_FLAT);
    slope = MP_GROWTH_BYTES;
    const struct mp_growth row = judge(exact, 40, 200000);
    assert_int_equal(row.verdict, MP_STEADY);
    assert_int_equal(row.last.bytes - row.first.bytes, MP_GROWTH_BYTES);
}

static void
half_of_the_growth_must_be_alive(void **state)
{
    (void)state;
    slope = 2000;
    assert_int_not_equal(judge(exact, 40, 100999).verdict, MP_STEADY);
    assert_int_equal(judge(exact, 40, 101000).verdict, MP_STEADY);
}

static void
fewer_than_12_checkpoints_are_too_short(void **state)
{
    (void)state;
    for (size_t n = 0; n < FIRST; n++) {
        struct mp_snapshot *snapshot = history(linear, n, 77);
        struct mp_growths growths = growths_of(snapshot);
        assert_true(growths.too_short);
        assert_int_equal(growths.count, 1);
        assert_int_equal(growths.rows[0].verdict, MP_LATE);
        assert_int_equal(growths.rows[0].live.bytes, 77);
        mp_growths_free(&growths);
        mp_snapshot_free(snapshot);
    }
}

static void
run_with_few_checkpoints_after_the_warm_up_is_too_short(void **state)
{
    (void)state;
    for (size_t after = 7; after <= 8; after++) {
        struct mp_snapshot *snapshot = history(linear, 30, 77);
        for (size_t i = 0; i < 30; i++)
            snapshot->series.checkpoints[i].time = i < 30 - after ? i : 1000 + i;
        struct mp_growths growths = growths_of(snapshot);
        assert_int_equal(growths.too_short, after < MP_GROWTH_WINDOWS);
        mp_growths_free(&growths);
        mp_snapshot_free(snapshot);
    }
}

/* ---- numbers ------------------------------------------------------------------------------- */

static uint64_t per_tick(size_t i, size_t n) { (void)n; return i * 100000 + 100000; }

static void
rate_of_a_linear_leak_is_exact(void **state)
{
    (void)state;
    for (size_t n = FIRST; n <= MP_CHECKPOINTS; n++) {
        const struct mp_growth row = judge(per_tick, n, n * 100000);
        const double bytes = row.bytes_per_second / (100000.0 * 1e9 / TICK);
        const double blocks = row.blocks_per_second / (1000.0 * 1e9 / TICK);
        assert_true(fabs(bytes - 1) < 0.01 && fabs(blocks - 1) < 0.01);
    }
}

static void
checkpoints_at_one_time_have_no_rate(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = history(linear, 40, MB);
    for (size_t i = 0; i < 40; i++)
        snapshot->series.checkpoints[i].time = 5;
    struct mp_growths growths = growths_of(snapshot);
    assert_int_equal(growths.count, 1);
    assert_true(isfinite(growths.rows[0].bytes_per_second));
    assert_true(isfinite(growths.rows[0].blocks_per_second));
    mp_growths_free(&growths);
    mp_snapshot_free(snapshot);
}

/* Stacks 1 to 5 with rows, of which 2 and 3 leak. */
static struct mp_snapshot *
make_several(void)
{
    struct maker *maker = make_begin();
    const uint64_t live[6] = {50000, 70000, 40001, 40001, 0, 70000};
    for (uint32_t stack = 0; stack <= 5; stack++) {
        if (stack)
            STACK(maker, {"a.py", "f", 1, stack});
        make_row(maker, stack, live[stack] / 2, live[stack] != 0);
        make_row(maker, stack, live[stack] - live[stack] / 2, live[stack] != 0)->kind = MP_RAW;
    }
    for (uint32_t i = 0; i < 40; i++) {
        const struct mp_point points[] = {{0, 1, 50000}, {1, 1, 70000}, {2, i + 1, (i + 1) * 1000},
                                          {3, i + 1, (i + 1) * 1000}, {5, 1, 70000}};
        make_checkpoint(&maker->series, (i + 1) * (uint64_t)TICK, points, 5);
    }
    return make_end(maker);
}

static void
leaks_come_first_then_what_is_largest(void **state)
{
    (void)state;
    const uint32_t order[] = {2, 3, 1, 5, 0}; /* not 4, of which nothing is alive */
    struct mp_snapshot *snapshot = make_several();
    struct mp_growths growths = growths_of(snapshot);
    assert_int_equal(growths.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(growths.rows[i].stack, order[i]);
        assert_int_equal(growths.rows[i].verdict, i < 2 ? MP_STEADY : MP_ONCE);
        assert_int_equal(growths.rows[i].live.blocks, 2); /* of two rows */
    }
    assert_int_equal(growths.rows[0].live.bytes, 40001);
    mp_growths_free(&growths);
    mp_snapshot_free(snapshot);
}

static int
grow_once(void *snapshot)
{
    struct mp_growths growths;
    const int status = mp_growth(snapshot, &growths);
    assert_true(status == MP_OK || (!growths.rows && !growths.count));
    mp_growths_free(&growths);
    return status;
}

static void
growth_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_several();
    fail_each_request(grow_once, snapshot);
    mp_snapshot_free(snapshot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_leak_is_steady),
        cmocka_unit_test(leak_in_steps_is_steady),
        cmocka_unit_test(leak_under_short_lived_blocks_is_steady),
        cmocka_unit_test(slow_leak_of_a_few_blocks_is_steady),
        cmocka_unit_test(warm_up_then_flat_is_flat),
        cmocka_unit_test(burst_of_imports_is_not_a_leak),
        cmocka_unit_test(growth_in_a_part_of_the_run_is_flat),
        cmocka_unit_test(sawtooth_is_not_a_leak),
        cmocka_unit_test(sawtooth_that_falls_to_nothing_is_one_too),
        cmocka_unit_test(allocated_at_one_moment_is_once),
        cmocka_unit_test(what_appears_near_the_end_is_late),
        cmocka_unit_test(growth_that_is_freed_at_the_end_is_not_a_leak),
        cmocka_unit_test(growth_below_the_threshold_is_not_reported),
        cmocka_unit_test(half_of_the_growth_must_be_alive),
        cmocka_unit_test(fewer_than_12_checkpoints_are_too_short),
        cmocka_unit_test(run_with_few_checkpoints_after_the_warm_up_is_too_short),
        cmocka_unit_test(rate_of_a_linear_leak_is_exact),
        cmocka_unit_test(checkpoints_at_one_time_have_no_rate),
        cmocka_unit_test(leaks_come_first_then_what_is_largest),
        cmocka_unit_test(growth_without_memory_leaves_nothing),
    };
    return RUN_TESTS(tests);
}
