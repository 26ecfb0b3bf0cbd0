/* Growth that begins late, in a few large steps, or less and less. */
#define _GNU_SOURCE
#include "test.h"

#include <math.h>

#include "make_history.h"

static uint64_t four_blocks(size_t i, size_t n) { return (1 + i * 4 / n) * MB; }
static uint64_t uneven_blocks(size_t i, size_t n)
{
    const size_t at = i * 100 / n;
    return (uint64_t)(1 + (at >= 20) + (at >= 50) + (at >= 65) + (at >= 90)) * MB;
}

/* One block, made twice as large whenever it is full of what comes in until `until` percent. */
static uint64_t
doubling(size_t i, size_t n, size_t until)
{
    const size_t at = (i + 1) * 1000 / n, limit = until * 10;
    uint64_t capacity = 8;
    while (capacity < (at < limit ? at : limit))
        capacity *= 2;
    return capacity * 1000;
}

static uint64_t doubling_on(size_t i, size_t n) { return doubling(i, n, 100); }
static uint64_t doubling_no_more(size_t i, size_t n) { return doubling(i, n, 45); }

/* Like a cache of random keys: a twentieth of what is missing at a time. */
static uint64_t
filling_up(size_t i, size_t n)
{
    uint64_t left = 1000 * MB;
    for (size_t step = 0; step < i * 64 / n; step++)
        left -= left / 21;
    return 1000 * (uint64_t)MB - left;
}

static uint64_t one(size_t i, size_t n) { (void)i, (void)n; return 1; }

static struct mp_growth
judge_blocks(level *level_at, level *blocks_at, size_t n)
{
    struct maker *maker = make_begin();
    const uint32_t stack = STACK(maker, {"a.py", "f", 1, 1});
    for (size_t i = 0; i < n; i++) {
        const struct mp_point point = {stack, (uint32_t)blocks_at(i, n), level_at(i, n)};
        make_checkpoint(&maker->series, (i + 1) * TICK, &point, 1);
    }
    make_row(maker, stack, level_at(n - 1, n), blocks_at(n - 1, n));
    struct mp_snapshot *snapshot = make_end(maker);
    struct mp_growths growths = growths_of(snapshot);
    const struct mp_growth row = growths.rows[0];
    mp_growths_free(&growths);
    mp_snapshot_free(snapshot);
    return row;
}

/* A service that needs 45 % of the run to start. */
static uint64_t
after_a_start(size_t i, size_t n)
{
    return i * 100 < n * 45 ? 0 : (i + 1 - n * 45 / 100) * MB / 10;
}

static void
leak_that_begins_with_the_work_is_steady(void **state)
{
    (void)state;
    for (size_t n = 40; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge(after_a_start, n, after_a_start(n - 1, n)).verdict, MP_STEADY);
}

/* Teeth from nothing, the last one cut off on its way up. */
static uint64_t
cut_tooth(size_t i, size_t n)
{
    (void)n;
    return (i + 3) % 9 * 1000 + 1000;
}

static void
sawtooth_that_ends_on_its_way_up_is_no_leak(void **state)
{
    (void)state;
    for (size_t n = 24; n <= MP_CHECKPOINTS; n++) {
        const enum mp_verdict verdict = judge(cut_tooth, n, cut_tooth(n - 1, n)).verdict;
        assert_true(verdict == MP_SAWTOOTH);
    }
}

static void
a_few_large_blocks_are_steady(void **state)
{
    (void)state;
    for (size_t n = 24; n <= MP_CHECKPOINTS; n++) {
        assert_int_equal(judge(four_blocks, n, four_blocks(n - 1, n)).verdict, MP_STEADY);
        assert_int_equal(judge(uneven_blocks, n, uneven_blocks(n - 1, n)).verdict, MP_STEADY);
    }
}

static void
table_that_doubles_for_its_contents_is_told_apart(void **state)
{
    (void)state;
    for (size_t n = 40; n <= MP_CHECKPOINTS; n++) {
        assert_int_equal(judge_blocks(doubling_on, one, n).verdict, MP_STEPWISE);
        assert_int_not_equal(judge_blocks(doubling_no_more, one, n).verdict, MP_STEPWISE);
        assert_int_not_equal(judge_blocks(doubling_no_more, one, n).verdict, MP_STEADY);
    }
}

static void
cache_that_fills_up_ever_slower_is_no_leak(void **state)
{
    (void)state;
    for (size_t n = 40; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge(filling_up, n, filling_up(n - 1, n)).verdict, MP_FLAT);
}

/* ---- slower and slower ------------------------------------------------------------------- */

enum { OBJECTS = 3000 };

/* Objects of 100 bytes; `part` thousandths of them. */
static uint64_t objects(double part) { return (uint64_t)(part * OBJECTS) * 100 + 100; }
static double part_of(size_t i, size_t n) { return (double)(i + 1) / (double)n; }

static uint64_t as_root(size_t i, size_t n) { return objects(sqrt(part_of(i, n))); }
static uint64_t third(size_t i, size_t n) /* busy first, then a third of the pace */
{
    const double at = part_of(i, n);
    return objects(at < 0.45 ? at : 0.45 + (at - 0.45) / 3);
}
static uint64_t trickle(size_t i, size_t n) /* a cache fills up; something leaks beside it */
{
    return objects(1 - exp(-12 * part_of(i, n)) + 0.3 * part_of(i, n));
}

/* By the logarithm of time: it has become so many times as long since the beginning. */
static uint64_t logarithm(double times, size_t i, size_t n)
{
    return objects(log(1 + (times - 1) * part_of(i, n)) / log(times));
}
static uint64_t logarithm_4(size_t i, size_t n) { return logarithm(4, i, n); }
static uint64_t logarithm_30(size_t i, size_t n) { return logarithm(30, i, n); }

/* As many objects in each part of the run, in a table that was made larger before its middle. */
static uint64_t steady_number(size_t i, size_t n) { return objects(part_of(i, n)) / 100; }
static uint64_t with_their_table(size_t i, size_t n)
{
    return objects(part_of(i, n)) + (part_of(i, n) < 0.45 ? 100000 : 1000000);
}

static uint64_t fills(double times, size_t i, size_t n)
{
    return objects(1 - exp(-times * part_of(i, n)));
}

static uint64_t fills_3(size_t i, size_t n) { return fills(3, i, n); }
static uint64_t fills_4(size_t i, size_t n) { return fills(4, i, n); }
static uint64_t fills_8(size_t i, size_t n) { return fills(8, i, n); }
static uint64_t full_at_half(size_t i, size_t n)
{
    const double at = part_of(i, n);
    return objects(at < 0.5 ? at : 0.5);
}

static void
leak_that_became_slower_is_steady(void **state)
{
    (void)state;
    level *const levels[] = {as_root, third, trickle, logarithm_4, logarithm_30};
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (size_t n = 40; n <= MP_CHECKPOINTS; n++) {
            const enum mp_verdict verdict = judge(levels[l], n, levels[l](n - 1, n)).verdict;
            if (verdict != MP_STEADY)
                fail_msg("curve %zu, %zu checkpoints: %d", l, n, (int)verdict);
        }
}

static void
objects_in_a_table_that_leaps_early_are_steady(void **state)
{
    (void)state;
    for (size_t n = 40; n <= MP_CHECKPOINTS; n++)
        assert_int_equal(judge_blocks(with_their_table, steady_number, n).verdict, MP_STEADY);
}

static void
bounded_thing_is_no_leak(void **state)
{
    (void)state;
    level *const levels[] = {fills_3, fills_4, fills_8, full_at_half};
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (size_t n = 40; n <= MP_CHECKPOINTS; n++) {
            const enum mp_verdict verdict = judge(levels[l], n, levels[l](n - 1, n)).verdict;
            if (verdict == MP_STEADY)
                fail_msg("curve %zu, %zu checkpoints", l, n);
        }
}

/* Random keys of a cache of 400, three times as many draws: chance must not look like a leak. */
static unsigned seed;

static uint64_t
coupons(size_t i, size_t n)
{
    static uint64_t found[MP_CHECKPOINTS];
    bool seen[400] = {false};
    uint64_t random = seed * 2654435761u + 1, count = 0;
    for (size_t draw = 0; i == 0 && draw < 1200; draw++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const size_t key = (random >> 33) % 400;
        count += !seen[key];
        seen[key] = true;
        found[draw * n / 1200] = count;
    }
    return found[i] * 100;
}

static void
chance_is_no_leak(void **state)
{
    (void)state;
    int wrong = 0;
    for (seed = 0; seed < 400; seed++) {
        coupons(0, MP_CHECKPOINTS);
        wrong += judge(coupons, MP_CHECKPOINTS, 40000).verdict == MP_STEADY;
    }
    if (wrong > 8) /* one in fifty */
        fail_msg("%d of 400", wrong);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leak_that_begins_with_the_work_is_steady),
        cmocka_unit_test(sawtooth_that_ends_on_its_way_up_is_no_leak),
        cmocka_unit_test(a_few_large_blocks_are_steady),
        cmocka_unit_test(table_that_doubles_for_its_contents_is_told_apart),
        cmocka_unit_test(cache_that_fills_up_ever_slower_is_no_leak),
        cmocka_unit_test(leak_that_became_slower_is_steady),
        cmocka_unit_test(objects_in_a_table_that_leaps_early_are_steady),
        cmocka_unit_test(bounded_thing_is_no_leak),
        cmocka_unit_test(chance_is_no_leak),
    };
    return RUN_TESTS(tests);
}
