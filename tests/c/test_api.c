#define _GNU_SOURCE
#include "test.h"

#include <memprof/memprof.h>
#include "make_snapshot.h"
#include "record/source.h"
#include "record/tracer.h"

static int
start(void **state)
{
    (void)state;
    mp_mem_fail_nth(0);
    mp_source_set(NULL);
    memprof_stop();
    return memprof_start();
}

static int
stop(void **state)
{
    const char *why;
    (void)state;
    const bool sound = mp_tracer_check(&why);
    memprof_stop();
    return sound && !memprof_is_tracing() ? 0 : -1;
}

static void
assert_traced(int64_t current, int64_t peak)
{
    int64_t found_current, found_peak;
    memprof_get_traced(&found_current, &found_peak);
    assert_int_equal(found_current, current);
    assert_int_equal(found_peak, peak);
}

static void
track(unsigned domain, uintptr_t address, size_t size)
{
    assert_int_equal(memprof_track(domain, address, size), MEMPROF_OK);
}

/* What is traced now, grouped. */
static memprof_rows *
rows_now(memprof_by by, memprof_metric metric)
{
    memprof_snapshot *snapshot;
    memprof_rows *rows;
    assert_int_equal(memprof_snapshot_take(&snapshot), MEMPROF_OK);
    assert_int_equal(memprof_group(snapshot, by, metric, &rows), MEMPROF_OK);
    memprof_snapshot_free(snapshot);
    return rows; /* it stands alone */
}

static void
assert_row(const memprof_rows *rows, size_t index, uint64_t bytes, uint64_t blocks)
{
    memprof_row row;
    assert_int_equal(memprof_rows_get(rows, index, &row), MEMPROF_OK);
    assert_int_equal(row.bytes, bytes);
    assert_int_equal(row.blocks, blocks);
}

/* All that is traced has the empty stack and adds up to this. */
static void
assert_sum(memprof_metric metric, uint64_t bytes, uint64_t blocks)
{
    memprof_rows *rows = rows_now(MEMPROF_BY_STACK, metric);
    assert_int_equal(memprof_rows_count(rows), 1);
    assert_row(rows, 0, bytes, blocks);
    memprof_rows_free(rows);
}

static void
assert_frame(const memprof_rows *rows, size_t index, size_t depth, const char *expected)
{
    char found[256];
    memprof_frame frame;
    assert_int_equal(memprof_rows_frame(rows, index, depth, &frame), MEMPROF_OK);
    snprintf(found, sizeof found, "%.*s:%u %.*s:%u%s", (int)frame.file.length, frame.file.text,
             frame.line, (int)frame.function.length,
             frame.function.text ? frame.function.text : "", frame.first_line,
             frame.folded ? " folded" : "");
    assert_string_equal(found, expected);
}

/* ---- the trace ----------------------------------------------------------------------------- */

static void
nothing_is_traced_before_the_start(void **state)
{
    (void)state;
    memprof_snapshot *snapshot = (void *)state;
    assert_int_equal(memprof_is_tracing(), 0);
    assert_int_equal(memprof_track(1, 64, 10), MEMPROF_NOT_TRACING);
    assert_int_equal(memprof_untrack(1, 64), MEMPROF_NOT_TRACING);
    assert_int_equal(memprof_move(1, 64, 128, 10), MEMPROF_NOT_TRACING);
    assert_int_equal(memprof_snapshot_take(&snapshot), MEMPROF_NOT_TRACING);
    assert_null(snapshot);
    memprof_clear();
    assert_traced(0, 0);
    memprof_get_traced(NULL, NULL);
}

static void
every_status_has_a_phrase(void **state)
{
    (void)state;
    for (int a = MEMPROF_OK; a >= MEMPROF_CORRUPT - 1; a--)
        for (int b = MEMPROF_OK; b > a; b--)
            assert_string_not_equal(memprof_status_text(a), memprof_status_text(b));
    assert_string_equal(memprof_status_text(1), memprof_status_text(MEMPROF_CORRUPT - 1));
    assert_non_null(memprof_version());
}

static void
blocks_count_until_they_are_untracked(void **state)
{
    (void)state;
    const int64_t large = (int64_t)1 << 40;
    assert_int_equal(memprof_is_tracing(), 1);
    track(1, 64, 100);
    track(1, 0, 0);
    track(UINT32_MAX, UINTPTR_MAX, (size_t)large);
    assert_traced(large + 100, large + 100);
    for (int i = 0; i < 2; i++) /* the second time it is ignored */
        assert_int_equal(memprof_untrack(UINT32_MAX, UINTPTR_MAX), MEMPROF_OK);
    assert_traced(100, large + 100);
    memprof_reset_peak();
    assert_traced(100, 100);
    assert_sum(MEMPROF_LIVE, 100, 2);
    assert_sum(MEMPROF_TOTAL, (uint64_t)large + 100, 3);
    assert_true(memprof_own_memory() && !memprof_lost());
}

static void
tracking_again_replaces_the_block(void **state)
{
    (void)state;
    for (size_t size = 100; size <= 300; size += 100)
        track(7, 4096, size);
    assert_sum(MEMPROF_LIVE, 300, 1);
    assert_sum(MEMPROF_TOTAL, 600, 3);
}

static void
block_and_its_replacement_were_never_there_together(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        track(7, 4096, 100);
    assert_traced(100, 100);
    assert_sum(MEMPROF_PEAK, 100, 1);
}

static void
domains_do_not_see_each_others_addresses(void **state)
{
    (void)state;
    for (unsigned domain = 0; domain < 5; domain++)
        track(domain, 4096, 1u << domain);
    assert_int_equal(memprof_untrack(1, 4096), MEMPROF_OK);
    assert_int_equal(memprof_move(2, 4096, 4096, 100), MEMPROF_OK);
    assert_sum(MEMPROF_LIVE, 31 - 2 - 4 + 100, 4);
}

static uint32_t line;

/* The call stack of now: a line that the test has set. */
static uint32_t
site_of_line(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size)
{
    (void)self, (void)size;
    const uint32_t location =
        mp_depot_location(&mp_tracer.depot, &(struct mp_location){.line = line});
    const struct mp_site site = {.stack = mp_depot_stack(&mp_tracer.depot, 0, location),
                                 .domain = domain, .kind = (uint16_t)kind};
    return mp_tracer_site(&site);
}

static bool
main_is_elsewhere(void)
{
    return false;
}

static const struct mp_stack_source lines = {site_of_line, main_is_elsewhere};

static void
assert_line(const char *frame, uint64_t bytes)
{
    memprof_rows *rows = rows_now(MEMPROF_BY_LINE, MEMPROF_LIVE);
    assert_row(rows, 0, bytes, 1);
    assert_frame(rows, 0, 0, frame);
    memprof_rows_free(rows);
}

static void
moved_block_keeps_its_call_stack(void **state)
{
    (void)state;
    assert_null(mp_source_set(&lines));
    line = 10;
    track(1, 64, 100);
    line = 20;
    assert_int_equal(memprof_move(1, 64, 128, 150), MEMPROF_OK);
    assert_line(":10 :0", 150);
    assert_traced(150, 150);
    assert_int_equal(memprof_move(1, 128, 128, 8), MEMPROF_OK); /* in place */
    assert_line(":10 :0", 8);
    memprof_untrack(1, 64); /* it is not there any more */
    assert_traced(8, 150);
    memprof_untrack(1, 128);
    assert_int_equal(memprof_move(1, 128, 256, 70), MEMPROF_OK); /* unknown: from now on */
    assert_line(":20 :0", 70);
    track(1, 512, 30);
    assert_int_equal(memprof_move(1, 512, 256, 60), MEMPROF_OK); /* to where one is */
    assert_line(":20 :0", 60);
}

static void
clear_forgets_and_goes_on_and_stop_forgets_and_ends(void **state)
{
    (void)state;
    track(1, 64, 100);
    memprof_clear();
    assert_traced(0, 0);
    track(1, 64, 5);
    assert_traced(5, 5);
    memprof_stop();
    assert_int_equal(memprof_track(1, 64, 100), MEMPROF_NOT_TRACING);
    assert_traced(0, 0);
    for (int i = 0; i < 2; i++, track(1, 64, 6)) { /* the second time while tracing */
        assert_int_equal(memprof_start(), MEMPROF_OK);
        assert_traced(0, 0);
    }
}

static void
block_that_cannot_be_recorded_is_lost(void **state)
{
    (void)state;
    const char *why;
    for (uintptr_t i = 1; i <= 400; i++) { /* beyond several doublings of its table */
        mp_mem_fail_nth(1);
        const int status = memprof_track(1, i, 10);
        mp_mem_fail_nth(0);
        assert_true(mp_tracer_check(&why));
        assert_true(status == MEMPROF_OK || status == MEMPROF_NO_MEMORY);
        if (status != MEMPROF_OK)
            track(1, i, 10);
    }
    assert_in_range(memprof_lost(), 2, 10);
    assert_sum(MEMPROF_LIVE, 4000, 400);
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* main calls f, and f calls g, which is folded. */
static memprof_snapshot *
make_small(uint64_t blocks)
{
    struct maker *maker = make_begin();
    const uint32_t main = STACK(maker, {"m.py", "main", 1, 5});
    const uint32_t f = make_frame(maker, main, &(struct frame){"l.py", "f", 10, 12}, 0);
    make_row(maker, f, blocks * 10, blocks);
    make_row(maker, make_frame(maker, f, &(struct frame){"l.py", "g", 20, 12}, MP_FOLDED), 7, 7);
    make_row(maker, 0, 3, 3);
    return make_end(maker);
}

static void
rows_have_numbers_and_frames(void **state)
{
    (void)state;
    memprof_rows *rows[5] = {NULL}; /* the last one stays so */
    memprof_row row;
    memprof_frame frame;
    memprof_snapshot *snapshot = make_small(2); /* f has 20 bytes */
    for (int by = 0; by < 4; by++)
        assert_int_equal(memprof_group(snapshot, (memprof_by)by, MEMPROF_LIVE, &rows[by]), 0);
    memprof_snapshot_free(snapshot);
    assert_int_equal(memprof_rows_count(rows[MEMPROF_BY_STACK]), 3);
    assert_row(rows[MEMPROF_BY_STACK], 1, 7, 7);
    assert_frame(rows[MEMPROF_BY_STACK], 1, 0, "l.py:12 g:20 folded");
    assert_frame(rows[MEMPROF_BY_STACK], 1, 1, "l.py:12 f:10");
    assert_frame(rows[MEMPROF_BY_STACK], 1, 2, "m.py:5 main:1");
    assert_row(rows[MEMPROF_BY_LINE], 0, 27, 9);
    assert_frame(rows[MEMPROF_BY_LINE], 0, 0, "l.py:12 f:10");
    assert_frame(rows[MEMPROF_BY_LINE], 1, 0, ":0 :0"); /* without a Python frame */
    assert_row(rows[MEMPROF_BY_FUNCTION], 1, 7, 7);
    assert_frame(rows[MEMPROF_BY_FUNCTION], 1, 0, "l.py:12 g:20");
    for (int by = 0; by < 4; by++) {
        const size_t count = memprof_rows_count(rows[by]), beyond = by == MEMPROF_BY_STACK ? 3 : 1;
        assert_int_equal(memprof_rows_get(rows[by], count, &row), MEMPROF_BAD_ARGUMENT);
        assert_int_equal(memprof_rows_frame(rows[by], count, 0, &frame), MEMPROF_BAD_ARGUMENT);
        assert_int_equal(memprof_rows_frame(rows[by], 1, beyond, &frame), MEMPROF_BAD_ARGUMENT);
    }
    assert_row(rows[MEMPROF_BY_FILE], 0, 27, 9);
    assert_frame(rows[MEMPROF_BY_FILE], 0, 0, "l.py:0 :0"); /* of no function */
    for (int by = 0; by < 5; by++)
        memprof_rows_free(rows[by]);
}

static int
rows_once(void *data)
{
    memprof_snapshot **snapshots = data;
    memprof_rows *one = data, *two = NULL;
    int status = memprof_group(snapshots[0], MEMPROF_BY_LINE, MEMPROF_PEAK, &one);
    assert_int_equal(one != NULL, status == MEMPROF_OK);
    if (status == MEMPROF_OK)
        status = memprof_diff(snapshots[0], snapshots[1], MEMPROF_BY_LINE, MEMPROF_PEAK, &two);
    assert_int_equal(two != NULL, status == MEMPROF_OK);
    memprof_rows_free(one);
    memprof_rows_free(two);
    return status;
}

static void
rows_that_cannot_be_made_are_none(void **state)
{
    (void)state;
    memprof_snapshot *two[2] = {make_small(2), make_small(3)};
    for (int bad = -1; bad <= 4; bad += bad < 0 ? 5 : 1)
        for (int which = 0; which < 2; which++) {
            const memprof_by by = (memprof_by)(which ? bad : 0);
            const memprof_metric metric = (memprof_metric)(which ? 0 : bad < 0 ? bad : bad - 1);
            memprof_rows *one = (void *)state, *other = (void *)state;
            assert_int_equal(memprof_group(two[0], by, metric, &one), MEMPROF_BAD_ARGUMENT);
            assert_int_equal(memprof_diff(two[0], two[1], by, metric, &other),
                             MEMPROF_BAD_ARGUMENT);
            assert_true(!one && !other);
        }
    fail_each_request(rows_once, two);
    memprof_snapshot_free(two[0]);
    memprof_snapshot_free(two[1]);
}

/* ---- the example of memprof.h, as it stands there ------------------------------------------ */

static int
example(void)
{
    memprof_snapshot *before, *after;
    memprof_rows *rows;
    const char *why;
    if (memprof_snapshot_read("old.mprof", &before, &why) != MEMPROF_OK ||
        memprof_snapshot_read("new.mprof", &after, &why) != MEMPROF_OK ||
        memprof_diff(before, after, MEMPROF_BY_LINE, MEMPROF_LIVE, &rows) != MEMPROF_OK)
        return 1;
    for (size_t i = 0; i < memprof_rows_count(rows) && i < 10; i++) {
        memprof_row row;
        memprof_frame frame;
        memprof_rows_get(rows, i, &row);
        if (memprof_rows_frame(rows, i, 0, &frame) == MEMPROF_OK)
            printf("%.*s:%u: %lld bytes more\n", (int)frame.file.length, frame.file.text,
                   frame.line, (long long)(row.bytes - row.bytes_before));
    }
    memprof_rows_free(rows);
    memprof_snapshot_free(before);
    memprof_snapshot_free(after);
    return 0;
}

static void
example_says_what_grew(void **state)
{
    (void)state;
    char text[256] = "", *home = get_current_dir_name();
    FILE *console = stdout;
    for (int i = 0; i < 2; i++) {
        memprof_snapshot *snapshot = make_small(i ? 5 : 2);
        const char *path = scratch(i ? "new.mprof" : "old.mprof");
        assert_int_equal(memprof_snapshot_write(snapshot, path), MEMPROF_OK);
        memprof_snapshot_free(snapshot);
    }
    assert_int_equal(chdir(scratch(".")), 0);
    stdout = fmemopen(text, sizeof text, "w");
    const int status = example();
    fclose(stdout);
    stdout = console;
    assert_int_equal(chdir(home) + status, 0);
    free(home);
    assert_string_equal(text, "l.py:12: 30 bytes more\n:0: 0 bytes more\n");
}

int
main(void)
{
#define TRACING(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_traced_before_the_start),
        cmocka_unit_test(every_status_has_a_phrase),
        TRACING(blocks_count_until_they_are_untracked),
        TRACING(tracking_again_replaces_the_block),
        TRACING(block_and_its_replacement_were_never_there_together),
        TRACING(domains_do_not_see_each_others_addresses),
        TRACING(moved_block_keeps_its_call_stack),
        TRACING(clear_forgets_and_goes_on_and_stop_forgets_and_ends),
        TRACING(block_that_cannot_be_recorded_is_lost),
        cmocka_unit_test(rows_have_numbers_and_frames),
        cmocka_unit_test(rows_that_cannot_be_made_are_none),
        cmocka_unit_test(example_says_what_grew),
    };
    return RUN_TESTS(tests);
}
