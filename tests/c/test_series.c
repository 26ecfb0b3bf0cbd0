#define _GNU_SOURCE
#include "test.h"

#include "base/bytes.h"
#include "freeze.h"
#include "make_snapshot.h"
#include "profile/profile_file.h"
#include "record/timeline.h"
#include "record/tracer.h"

/* Two points that tell the number of the checkpoint. */
static void
add_checkpoint(struct mp_series *series, uint64_t time)
{
    const struct mp_point points[] = {{3, 1, time}, {7, 2, time * 2}};
    make_checkpoint(series, time, points, 2);
}

static void
assert_checkpoint(const struct mp_checkpoint *checkpoint, uint64_t time)
{
    assert_int_equal(checkpoint->time, time);
    assert_int_equal(checkpoint->traced, time * 2);
    assert_int_equal(checkpoint->rss, time * 3);
    assert_int_equal(checkpoint->count, 2);
    assert_int_equal(checkpoint->points[0].bytes, time);
    assert_int_equal(checkpoint->points[1].bytes, time * 2);
}

static struct mp_series
series_of(size_t count)
{
    struct mp_series series = {0};
    for (size_t i = 0; i < count; i++)
        add_checkpoint(&series, i);
    return series;
}

/* ---- adding and thinning ------------------------------------------------------------------- */

static void
checkpoints_are_kept_in_order_until_it_is_full(void **state)
{
    (void)state;
    struct mp_series series = series_of(MP_CHECKPOINTS);
    assert_int_equal(series.count, MP_CHECKPOINTS);
    assert_int_equal(series.thinned, 0);
    for (size_t i = 0; i < MP_CHECKPOINTS; i++)
        assert_checkpoint(&series.checkpoints[i], i);
    mp_series_clear(&series);
}

static void
full_series_drops_every_second_checkpoint(void **state)
{
    (void)state;
    struct mp_series series = series_of(MP_CHECKPOINTS + 1);
    assert_int_equal(series.count, MP_CHECKPOINTS / 2 + 1);
    assert_int_equal(series.thinned, 1);
    for (size_t i = 0; i < series.count; i++)
        assert_checkpoint(&series.checkpoints[i], i * 2);
    mp_series_clear(&series);
}

static void
dropped_checkpoints_return_their_memory(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_series series = series_of(1);
    const size_t one = mp_mem_mapped() - before;
    assert_true(one > 0);
    for (size_t i = 1; i < 5 * MP_CHECKPOINTS; i++) {
        add_checkpoint(&series, i);
        assert_int_equal(mp_mem_mapped() - before, series.count * one);
    }
    mp_series_clear(&series);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
checkpoints_stay_evenly_spaced_and_enough(void **state)
{
    (void)state;
    struct mp_series series = {0};
    uint64_t now = 0;
    for (size_t n = 1; n <= 1000; n++) {
        const uint64_t next = now + ((uint64_t)10 << series.thinned);
        add_checkpoint(&series, next);
        now = next;
        assert_true(series.count <= MP_CHECKPOINTS);
        assert_true(n < MP_CHECKPOINTS / 2 || series.count >= MP_CHECKPOINTS / 2);
        assert_checkpoint(&series.checkpoints[0], 10);
        for (size_t i = 1; i < series.count; i++)
            assert_int_equal(series.checkpoints[i].time - series.checkpoints[i - 1].time,
                             (uint64_t)10 << series.thinned);
        assert_checkpoint(&series.checkpoints[series.count - 1], now);
    }
    assert_true(series.thinned > 10);
    mp_series_clear(&series);
}

static void
cleared_series_is_as_new(void **state)
{
    (void)state;
    static const struct mp_series none;
    const size_t before = mp_mem_mapped();
    struct mp_series series = series_of(MP_CHECKPOINTS + 1);
    mp_series_clear(&series);
    assert_memory_equal(&series, &none, sizeof none);
    assert_int_equal(mp_mem_mapped(), before);
    mp_series_clear(&series);
    add_checkpoint(&series, 5);
    assert_checkpoint(&series.checkpoints[0], 5);
    mp_series_clear(&series);
}

static void
freed_checkpoint_may_be_freed_again(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_series series = series_of(1);
    mp_checkpoint_free(&series.checkpoints[0]);
    assert_int_equal(mp_mem_mapped(), before);
    mp_checkpoint_free(&series.checkpoints[0]);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- copy ---------------------------------------------------------------------------------- */

static void
copy_is_equal_and_stands_alone(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    static struct mp_point page[256]; /* the copy has no room for one more: a page less */
    struct mp_series copy, series = series_of(MP_CHECKPOINTS + 1);
    assert_int_equal(mp_series_copy(&series, &copy), MP_OK);
    assert_same_series(&series, &copy);
    assert_int_equal(copy.thinned, series.thinned);
    for (size_t i = 0; i < series.count; i++)
        memset(series.checkpoints[i].points, 0xff, 2 * sizeof(struct mp_point));
    mp_series_clear(&series);
    for (size_t i = 0; i < copy.count; i++)
        assert_checkpoint(&copy.checkpoints[i], i * 2);
    add_checkpoint(&copy, 1000);
    mp_series_clear(&copy);
    make_checkpoint(&series, 0, page, 256);
    assert_int_equal(mp_series_copy(&series, &copy), MP_OK);
    mp_series_clear(&series);
    mp_series_clear(&copy);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
series_without_points_can_be_copied(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_series copy, series = {0};
    memset(&copy, 0xff, sizeof copy);
    assert_int_equal(mp_series_copy(&series, &copy), MP_OK);
    assert_int_equal(copy.count, 0);
    mp_series_clear(&copy);
    make_checkpoint(&series, 8, NULL, 0);
    assert_int_equal(mp_series_copy(&series, &copy), MP_OK);
    assert_int_equal(copy.count, 1);
    assert_int_equal(copy.checkpoints[0].time, 8);
    assert_int_equal(copy.checkpoints[0].count, 0);
    mp_series_clear(&copy);
    mp_series_clear(&series);
    assert_int_equal(mp_mem_mapped(), before);
}

static int
copy_once(void *data)
{
    static const struct mp_series none;
    struct mp_series copy;
    const int status = mp_series_copy(data, &copy);
    if (status == MP_OK)
        mp_series_clear(&copy);
    assert_memory_equal(&copy, &none, sizeof none);
    return status;
}

static void
copy_without_memory_is_empty(void **state)
{
    (void)state;
    struct mp_series series = series_of(10);
    fail_each_request(copy_once, &series);
    mp_series_clear(&series);
}

/* ---- look-up ------------------------------------------------------------------------------- */

static void
each_id_of_a_checkpoint_is_found_and_no_other(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 20; count++) {
        struct mp_series series = {0};
        struct mp_point points[20];
        for (uint32_t i = 0; i < count; i++)
            points[i] = (struct mp_point){i * 3 + 1, i + 1, 100 + i};
        make_checkpoint(&series, 0, points, count);
        for (uint32_t id = 0; id < 63; id++) {
            const struct mp_point found = mp_checkpoint_find(&series.checkpoints[0], id);
            const bool there = id % 3 == 1 && id / 3 < count;
            assert_int_equal(found.id, id);
            assert_int_equal(found.blocks, there ? id / 3 + 1 : 0);
            assert_int_equal(found.bytes, there ? 100 + id / 3 : 0);
        }
        mp_series_clear(&series);
    }
}

static void
extreme_ids_are_found(void **state)
{
    (void)state;
    struct mp_series series = {0};
    const struct mp_point points[] = {{0, 1, 10}, {UINT32_MAX, UINT32_MAX, UINT64_MAX}};
    make_checkpoint(&series, 0, points, 2);
    assert_int_equal(mp_checkpoint_find(&series.checkpoints[0], 0).bytes, 10);
    assert_true(mp_checkpoint_find(&series.checkpoints[0], UINT32_MAX).bytes == UINT64_MAX);
    assert_int_equal(mp_checkpoint_find(&series.checkpoints[0], UINT32_MAX - 1).bytes, 0);
    mp_series_clear(&series);
}

/* ---- from sites to call stacks ------------------------------------------------------------- */

static void
record(uintptr_t block, uint32_t line, enum mp_kind kind, size_t size)
{
    struct mp_depot *depot = &mp_tracer.depot;
    const struct mp_location location = {.line = line};
    const struct mp_site site = {
        .stack = line ? mp_depot_stack(depot, 0, mp_depot_location(depot, &location)) : 0,
        .kind = (uint16_t)kind, .small = mp_site_small(size)};
    mp_tracer_record(true, block * 4096, size, mp_tracer_site(&site));
}

static void
snapshot_has_stacks_where_the_timeline_has_sites(void **state)
{
    (void)state;
    assert_int_equal(mp_tracer_start(), MP_OK);
    mp_timeline_reset();
    for (size_t size = 8; size <= 24; size += 4) { /* of four sites on each line */
        record(size, 2, MP_OBJ, size);
        record(size + 100, 1, MP_MEM, size);
    }
    record(1, 0, MP_RAW, 1000);
    mp_timeline_take();
    mp_tracer_free(true, 4096);
    for (size_t size = 8; size <= 24; size += 4)
        mp_tracer_free(true, size * 4096);
    mp_timeline_take();
    struct mp_snapshot *snapshot = mp_freeze(true);
    assert_int_equal(snapshot->series.count, 2);
    const struct mp_checkpoint *first = &snapshot->series.checkpoints[0], *last = first + 1;
    const struct mp_point points[] = {{0, 1, 1000}, {1, 5, 80}, {2, 5, 80}};
    assert_int_equal(first->count, 3);
    assert_memory_equal(first->points, points, sizeof points); /* line 2 was first: stack 1 */
    assert_int_equal(last->count, 1);
    assert_memory_equal(last->points, &points[2], sizeof *points);
    assert_true(first->traced == 1160 && last->traced == 80 && first->time < last->time);
    assert_int_equal(mp_timeline_series()->checkpoints[0].count, 9); /* sites: as it was */
    mp_snapshot_free(snapshot);
    snapshot = mp_freeze(false);
    assert_int_equal(snapshot->series.count, 0);
    mp_snapshot_free(snapshot);
    mp_timeline_reset();
    mp_tracer_stop();
}

/* ---- from a file ----------------------------------------------------------------------------- */

/* What becomes of a profile with so many empty checkpoints, all at time 0. */
static int
parse_checkpoints(uint64_t count)
{
    enum { TIME = 7, ENTRY = 32, TABLE = 16, CHECKPOINT = 32 };
    static const unsigned char zeros[65 * CHECKPOINT];
    struct mp_snapshot *snapshot = make_end(make_begin());
    struct mp_writer entry = {0};
    const char *why;
    assert_int_equal(mp_profile_write(snapshot, scratch("profile")), MP_OK);
    mp_snapshot_free(snapshot);
    struct bytes bytes = read_bytes(scratch("profile")); /* its last section is empty */
    mp_writer_u32(&entry, mp_crc32(zeros, count * CHECKPOINT));
    mp_writer_u64(&entry, bytes.size);
    mp_writer_u64(&entry, count * CHECKPOINT);
    mp_writer_u64(&entry, count);
    memcpy(bytes.data + TABLE + TIME * ENTRY + 4, entry.data, entry.size);
    bytes.data = realloc(bytes.data, bytes.size + count * CHECKPOINT);
    memcpy(bytes.data + bytes.size, zeros, count * CHECKPOINT);
    const int status =
        mp_profile_parse(bytes.data, bytes.size + count * CHECKPOINT, &snapshot, &why);
    assert_true(status != MP_OK || snapshot->series.count == count);
    mp_snapshot_free(snapshot);
    mp_writer_free(&entry);
    free(bytes.data);
    return status;
}

static void
file_has_no_more_checkpoints_than_a_series(void **state)
{
    (void)state;
    assert_int_equal(parse_checkpoints(1), MP_OK);
    assert_int_equal(parse_checkpoints(MP_CHECKPOINTS), MP_OK);
    assert_int_equal(parse_checkpoints(MP_CHECKPOINTS + 1), MP_CORRUPT);
}

/* ---- check -------------------------------------------------------------------------------- */

static void
assert_broken(const struct mp_series *series, const char *word)
{
    const char *why = "";
    assert_false(mp_series_check(series, &why));
    assert_non_null(strstr(why, word));
}

static void
check_names_what_is_broken(void **state)
{
    (void)state;
    const char *why = "";
    struct mp_series series = series_of(MP_CHECKPOINTS + 5);
    struct mp_checkpoint *last = &series.checkpoints[series.count - 1];
    assert_true(mp_series_check(&series, &why));
    assert_null(why);
    const uint64_t time = last->time;
    last->time = 1;
    assert_broken(&series, "earlier");
    last->time = time;
    last->points[0].id = last->points[1].id;
    assert_broken(&series, "order");
    last->points[0].id = 3;
    last->count = last->capacity + 1;
    assert_broken(&series, "points");
    last->count = 2;
    const size_t count = series.count;
    series.count = MP_CHECKPOINTS + 1;
    assert_broken(&series, "room");
    series.count = count;
    assert_true(mp_series_check(&series, &why));
    mp_series_clear(&series);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_are_kept_in_order_until_it_is_full),
        cmocka_unit_test(full_series_drops_every_second_checkpoint),
        cmocka_unit_test(dropped_checkpoints_return_their_memory),
        cmocka_unit_test(checkpoints_stay_evenly_spaced_and_enough),
        cmocka_unit_test(cleared_series_is_as_new),
        cmocka_unit_test(freed_checkpoint_may_be_freed_again),
        cmocka_unit_test(copy_is_equal_and_stands_alone),
        cmocka_unit_test(series_without_points_can_be_copied),
        cmocka_unit_test(copy_without_memory_is_empty),
        cmocka_unit_test(each_id_of_a_checkpoint_is_found_and_no_other),
        cmocka_unit_test(extreme_ids_are_found),
        cmocka_unit_test(snapshot_has_stacks_where_the_timeline_has_sites),
        cmocka_unit_test(file_has_no_more_checkpoints_than_a_series),
        cmocka_unit_test(check_names_what_is_broken),
    };
    return RUN_TESTS(tests);
}
