#define _GNU_SOURCE
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "make_snapshot.h"
#include "profile/profile_file.h"

static struct mp_snapshot *
make_small(void)
{
    struct maker *maker = make_begin();
    const uint32_t f = STACK(maker, {"main.py", "<module>", 1, 5}, {"lib.py", "f", 10, 12});
    make_row(maker, 0, 1, 1);
    make_row(maker, f, 20, 2);
    make_row(maker, 1, 300, 3);
    make_checkpoint(&maker->series, 10, (struct mp_point[]){{0, 1, 8}, {2, 1, 9}}, 2);
    make_checkpoint(&maker->series, 20, (struct mp_point[]){{1, 1, 8}}, 1);
    return make_end(maker);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
new_snapshot_is_empty_and_has_room(void **state)
{
    (void)state;
    const char *why;
    const size_t before = mp_mem_mapped();
    for (size_t capacity = 0; capacity < 300; capacity += 99) {
        struct mp_symbols *symbols = mp_symbols_new(0, 0, 0, 0);
        struct mp_snapshot *snapshot = mp_snapshot_new(symbols, capacity);
        assert_non_null(snapshot);
        assert_ptr_equal(snapshot->symbols, symbols);
        assert_int_equal(snapshot->capacity, capacity);
        assert_true(!snapshot->count && !snapshot->series.count && !snapshot->note_size);
        memset(snapshot->rows, 1, capacity * sizeof *snapshot->rows);
        assert_true(mp_snapshot_check(snapshot, &why));
        mp_snapshot_free(snapshot);
        assert_int_equal(mp_mem_mapped(), before);
    }
    mp_snapshot_free(NULL);
}

static int
new_once(void *symbols)
{
    struct mp_snapshot *snapshot = mp_snapshot_new(mp_symbols_retain(symbols), 10);
    mp_snapshot_free(snapshot);
    assert_int_equal(atomic_load(&((struct mp_symbols *)symbols)->references), 1);
    return snapshot ? MP_OK : MP_NO_MEMORY;
}

static void
new_without_memory_releases_the_symbols(void **state)
{
    (void)state;
    struct mp_symbols *symbols = mp_symbols_new(0, 0, 0, 0);
    fail_each_request(new_once, symbols);
    mp_symbols_release(symbols);
}

static void
free_returns_rows_series_note_and_symbols(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_snapshot *snapshot = make_small();
    struct mp_symbols *symbols = mp_symbols_retain(snapshot->symbols);
    assert_int_equal(mp_snapshot_set_note(snapshot, "a=b", 3), MP_OK);
    mp_snapshot_free(snapshot);
    assert_int_equal(atomic_load(&symbols->references), 1);
    mp_symbols_release(symbols);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- the note ------------------------------------------------------------------------------ */

static void
note_is_copied_and_replaced(void **state)
{
    (void)state;
    char text[] = "command=x\n";
    char *large = calloc(1, 100000);
    struct mp_snapshot *snapshot = make_small();
    assert_int_equal(mp_snapshot_set_note(snapshot, text, 10), MP_OK);
    text[0] = 'X';
    assert_int_equal(snapshot->note_size, 10);
    assert_memory_equal(snapshot->note, "command=x\n", 10);
    const size_t before = mp_mem_mapped();
    assert_int_equal(mp_snapshot_set_note(snapshot, large, 100000), MP_OK);
    assert_memory_equal(snapshot->note, large, 100000);
    assert_int_equal(mp_snapshot_set_note(snapshot, "", 0), MP_OK);
    assert_int_equal(snapshot->note_size, 0);
    assert_int_equal(mp_mem_mapped(), before);
    mp_snapshot_free(snapshot);
    free(large);
}

static void
note_without_memory_is_as_before(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    assert_int_equal(mp_snapshot_set_note(snapshot, "old", 3), MP_OK);
    const size_t before = mp_mem_mapped();
    mp_mem_fail_nth(1);
    assert_int_equal(mp_snapshot_set_note(snapshot, "newer", 5), MP_NO_MEMORY);
    mp_mem_fail_nth(0);
    assert_int_equal(snapshot->note_size, 3);
    assert_memory_equal(snapshot->note, "old", 3);
    assert_int_equal(mp_mem_mapped(), before);
    mp_snapshot_free(snapshot);
}

/* ---- select -------------------------------------------------------------------------------- */

static void
selection_has_the_rows_that_are_kept_and_the_facts(void **state)
{
    (void)state;
    const char *why;
    for (unsigned mask = 0; mask < 8; mask++) {
        const bool keep[3] = {mask & 1, mask >> 1 & 1, mask >> 2 & 1};
        struct mp_snapshot *snapshot = make_small(), *copy = mp_snapshot_select(snapshot, keep);
        assert_non_null(copy);
        size_t at = 0;
        for (int i = 0; i < 3; i++)
            if (keep[i])
                assert_memory_equal(&copy->rows[at++], &snapshot->rows[i], sizeof *copy->rows);
        assert_int_equal(copy->count, at);
        assert_ptr_equal(copy->symbols, snapshot->symbols);
        assert_memory_equal(&copy->facts, &snapshot->facts, sizeof copy->facts);
        assert_int_equal(copy->series.count, 0);
        mp_snapshot_free(snapshot); /* the copy goes on */
        assert_true(mp_snapshot_check(copy, &why) && text_is(copy->symbols, 1, "main.py"));
        mp_snapshot_free(copy);
    }
}

static int
select_once(void *snapshot)
{
    static const bool keep[3] = {true, true, true};
    struct mp_snapshot *copy = mp_snapshot_select(snapshot, keep);
    mp_snapshot_free(copy);
    assert_int_equal(atomic_load(&((struct mp_snapshot *)snapshot)->symbols->references), 1);
    return copy ? MP_OK : MP_NO_MEMORY;
}

static void
selection_without_memory_is_none(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    fail_each_request(select_once, snapshot);
    mp_snapshot_free(snapshot);
}

/* ---- facts --------------------------------------------------------------------------------- */

static void
each_fact_has_a_name_and_a_place_of_its_own(void **state)
{
    (void)state;
    struct mp_facts facts;
    assert_int_equal(MP_FACT_COUNT * sizeof(int64_t), sizeof facts);
    for (size_t i = 0; i < MP_FACT_COUNT; i++) {
        *mp_fact_value(&facts, i) = (int64_t)i + 1;
        assert_true(mp_fact_names[i][0] && memchr(mp_fact_names[i], 0, MP_FACT_NAME_SIZE));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(mp_fact_names[i], mp_fact_names[k]);
    }
    for (size_t i = 0; i < MP_FACT_COUNT; i++)
        assert_int_equal(*mp_fact_value(&facts, i), i + 1);
}

static void
fact_of_a_name_is_the_member_of_that_name(void **state)
{
    (void)state;
    struct mp_facts facts = {.pid = 11, .traced = 12, .jemalloc_retained = 13};
    int found = 0;
    for (size_t i = 0; i < MP_FACT_COUNT; i++) {
        const int64_t value = *mp_fact_value(&facts, i);
        const char *name = value == 11 ? "pid" : value == 12 ? "traced" : "jemalloc_retained";
        if (value)
            assert_string_equal(mp_fact_names[i], name);
        found += value != 0;
    }
    assert_int_equal(found, 3);
}

static void
totals_add_up_each_on_its_own(void **state)
{
    (void)state;
    struct mp_totals sum = {{1, 2}, {3, 4}, {5, 6}};
    const struct mp_totals more = {{10, 20}, {30, 40}, {50, 60}};
    const struct mp_totals expected = {{11, 22}, {33, 44}, {55, 66}};
    mp_totals_add(&sum, &more);
    assert_memory_equal(&sum, &expected, sizeof sum);
}

/* ---- the check itself ---------------------------------------------------------------------- */

static void
check_sees_what_is_out_of_bounds(void **state)
{
    (void)state;
    struct mp_snapshot *s = make_small();
    struct mp_checkpoint *one = &s->series.checkpoints[0], *two = &s->series.checkpoints[1];
    const struct { void *at; uint64_t bad; size_t size; } breaks[] = {
        {&s->symbols->stack[1].parent, 1, 4}, {&s->rows[0].stack, 3, 4},
        {&s->rows[2].stack, UINT32_MAX, 4},   {&s->rows[1].kind, MP_KINDS, 4},
        {&s->rows[2].kind, UINT32_MAX, 4},    {&one->points[1].id, 3, 4},
        {&two->points[0].id, UINT32_MAX, 4},  {&one->points[1].id, 0, 4},
        {&one->points[0].id, 2, 4},           {&two->time, 9, 8},
        {&one->time, UINT64_MAX, 8},          {&s->rows[0].totals.live.bytes, UINT64_MAX, 8},
        {&s->rows[2].totals.peak.bytes, INT64_MAX, 8},
        {&s->rows[1].totals.total.blocks, INT64_MAX, 8},
    };
    const char *why;
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        uint64_t good = 0;
        memcpy(&good, breaks[i].at, breaks[i].size);
        memcpy(breaks[i].at, &breaks[i].bad, breaks[i].size);
        why = NULL;
        assert_false(mp_snapshot_check(s, &why));
        assert_true(why && *why);
        memcpy(breaks[i].at, &good, breaks[i].size);
        assert_true(mp_snapshot_check(s, &why));
        assert_null(why);
    }
    mp_snapshot_free(s);
}

static void
check_allows_what_is_at_the_bounds(void **state)
{
    (void)state;
    const char *why;
    struct mp_snapshot *s = make_small();
    s->rows[0].stack = 2;
    s->rows[0].kind = MP_TRACKED;
    s->rows[0].domain = UINT32_MAX;
    s->rows[0].totals.live.bytes =
        INT64_MAX - s->rows[1].totals.live.bytes - s->rows[2].totals.live.bytes;
    s->series.checkpoints[1].time = 10; /* at the same time */
    s->series.checkpoints[1].points[0].id = 2;
    assert_true(mp_snapshot_check(s, &why));
    mp_snapshot_free(s);
}

/* ---- in a file, and back ------------------------------------------------------------------- */

static struct mp_snapshot *
make_noted(uint32_t size, size_t checkpoints)
{
    struct mp_snapshot *snapshot = make_random(size, checkpoints);
    assert_int_equal(mp_snapshot_set_note(snapshot, "a=\xc3\xa9\n", 5), MP_OK);
    return snapshot;
}

static int
read_status(void *path)
{
    struct mp_snapshot *snapshot;
    const char *why;
    const int status = mp_profile_read(path, &snapshot, &why);
    mp_snapshot_free(snapshot);
    return status;
}

static void
assert_round_trip(struct mp_snapshot *snapshot)
{
    struct mp_snapshot *copy;
    const char *why, *path = scratch("round-trip");
    assert_int_equal(mp_profile_write(snapshot, path), MP_OK);
    assert_int_equal(mp_profile_read(path, &copy, &why), MP_OK);
    assert_same_snapshot(snapshot, copy);
    mp_snapshot_free(snapshot);
    mp_snapshot_free(copy);
}

static void
snapshots_survive_a_round_trip(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    assert_round_trip(make_end(make_begin())); /* nothing in it */
    for (uint32_t size = 1; size < 500; size = size * 2 + 1) {
        assert_round_trip(make_random(size, 0));
        assert_round_trip(make_noted(size, size % MP_CHECKPOINTS + 1));
    }
    assert_int_equal(mp_mem_mapped(), before);
}

static int
write_once(void *snapshot)
{
    const int status = mp_profile_write(snapshot, scratch("kept"));
    const struct bytes after = read_bytes(scratch("kept"));
    assert_true(status == MP_OK || (after.size == 3 && memcmp(after.data, "old", 3) == 0));
    free(after.data);
    return status;
}

static void
lack_of_memory_leaves_no_half_of_a_profile(void **state)
{
    (void)state;
    char path[512];
    struct mp_snapshot *snapshot = make_noted(50, 4);
    const int files = each_scratch_file(NULL);
    snprintf(path, sizeof path, "%s", scratch("kept"));
    write_bytes(path, "old", 3);
    fail_each_request(write_once, snapshot);
    fail_each_request(read_status, path);
    assert_int_equal(each_scratch_file(NULL), files + 1);
    mp_snapshot_free(snapshot);
}

static void
assert_link_is_kept(const char *name)
{
    char target[512];
    struct stat info;
    struct mp_snapshot *snapshot = make_noted(10, 0);
    snprintf(target, sizeof target, "%s.target", scratch(name));
    assert_int_equal(symlink(strrchr(target, '/') + 1, scratch(name)), 0);
    assert_int_equal(mp_profile_write(snapshot, scratch(name)), MP_OK);
    assert_int_equal(lstat(scratch(name), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(read_status(target), MP_OK);
    mp_snapshot_free(snapshot);
}

static void
link_is_kept_and_its_target_replaced(void **state)
{
    (void)state;
    write_bytes(scratch("link.target"), "old", 3);
    assert_link_is_kept("link");
}

static void
link_is_kept_and_its_target_made(void **state)
{
    (void)state;
    assert_link_is_kept("dangling");
}

static void
pipe_is_written_in_place(void **state)
{
    (void)state;
    struct stat info;
    unsigned char data[8];
    struct mp_snapshot *snapshot = make_noted(10, 0);
    assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);
    const int end = open(scratch("pipe"), O_RDONLY | O_NONBLOCK);
    assert_int_equal(mp_profile_write(snapshot, scratch("pipe")), MP_OK);
    assert_true(lstat(scratch("pipe"), &info) == 0 && S_ISFIFO(info.st_mode));
    assert_int_equal(read(end, data, 8), 8);
    assert_memory_equal(data, MP_PROFILE_MAGIC, 8);
    close(end);
    mp_snapshot_free(snapshot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_snapshot_is_empty_and_has_room),
        cmocka_unit_test(new_without_memory_releases_the_symbols),
        cmocka_unit_test(free_returns_rows_series_note_and_symbols),
        cmocka_unit_test(note_is_copied_and_replaced),
        cmocka_unit_test(note_without_memory_is_as_before),
        cmocka_unit_test(selection_has_the_rows_that_are_kept_and_the_facts),
        cmocka_unit_test(selection_without_memory_is_none),
        cmocka_unit_test(each_fact_has_a_name_and_a_place_of_its_own),
        cmocka_unit_test(fact_of_a_name_is_the_member_of_that_name),
        cmocka_unit_test(totals_add_up_each_on_its_own),
        cmocka_unit_test(check_sees_what_is_out_of_bounds),
        cmocka_unit_test(check_allows_what_is_at_the_bounds),
        cmocka_unit_test(snapshots_survive_a_round_trip),
        cmocka_unit_test(lack_of_memory_leaves_no_half_of_a_profile),
        cmocka_unit_test(link_is_kept_and_its_target_replaced),
        cmocka_unit_test(link_is_kept_and_its_target_made),
        cmocka_unit_test(pipe_is_written_in_place),
    };
    return RUN_TESTS(tests);
}
