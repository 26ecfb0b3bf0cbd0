#define _GNU_SOURCE
#include "test.h"

#include "analyse/diff.h"
#include "make_snapshot.h"

enum { TEXT = 8192, KEYS = 7 };

/* The seven ways to group: four keys, and three of them cumulative. */
static enum mp_group_by
key_of(int way)
{
    return (enum mp_group_by)(way % 4);
}

static struct mp_diff
difference(const struct mp_snapshot *before, const struct mp_snapshot *after, int way)
{
    struct mp_diff diff;
    assert_int_equal(mp_diff(before, after, key_of(way), way >= 4, &diff), MP_OK);
    assert_int_equal(diff.by, key_of(way));
    assert_non_null(diff.symbols);
    for (size_t i = 1; i < diff.count; i++)
        assert_true(diff.rows[i - 1].id < diff.rows[i].id);
    return diff;
}

static const struct mp_change *
find(const struct mp_diff *diff, const char *text)
{
    const struct mp_change *row = NULL;
    char found[TEXT];
    for (size_t i = 0; i < diff->count; i++) {
        describe(diff->symbols, diff->by, diff->rows[i].id, found, sizeof found);
        if (strcmp(found, text) != 0)
            continue;
        assert_null(row); /* one key, one row */
        row = &diff->rows[i];
    }
    return row;
}

static void
assert_change(const struct mp_diff *diff, const char *text, uint64_t before, uint64_t after)
{
    const struct mp_change *row = find(diff, text);
    assert_non_null(row);
    assert_int_equal(row->before.live.bytes, before);
    assert_int_equal(row->after.live.bytes, after);
}

/* Names, lines and stacks have other ids in each order, and some are in one of them only. */
static struct mp_snapshot *
make_small(int order)
{
    struct maker *maker = make_begin();
    const struct frame main = {"m.py", "main", 1, 5};
    const struct frame last = {order ? "new.py" : "old.py", "h", 1, 3};
    for (int i = 0; i < 4; i++)
        switch (order ? 3 - i : i) {
        case 0: make_row(maker, STACK(maker, main), 1u << order, 1); break;
        case 1: make_row(maker, STACK(maker, main, {"l.py", "f", 10, 12}), 10, 1); break;
        case 2: make_row(maker, STACK(maker, main, {"l.py", "g", 20, 13}), 300u >> order, 1); break;
        default: make_row(maker, STACK(maker, last), 7, 1);
        }
    return make_end(maker);
}

/* ---- ordinary behaviour -------------------------------------------------------------------- */

static void
same_names_with_other_ids_are_the_same_group(void **state)
{
    (void)state;
    struct mp_snapshot *before = make_small(0), *after = make_small(1);
    struct mp_diff line = difference(before, after, 0), file = difference(before, after, 1);
    struct mp_diff stack = difference(before, after, 3), whole = difference(before, after, 4);
    assert_int_equal(line.count, 5);
    assert_change(&line, "m.py:5", 1, 2);
    assert_change(&line, "l.py:12", 10, 10); /* what stayed the same is included */
    assert_change(&line, "l.py:13", 300, 150);
    assert_change(&line, "old.py:3", 7, 0);
    assert_change(&line, "new.py:3", 0, 7);
    assert_int_equal(file.count, 4);
    assert_change(&file, "l.py", 310, 160);
    assert_int_equal(stack.count, 5);
    assert_change(&stack, "<l.py:13:g:20<m.py:5:main:1", 300, 150);
    assert_change(&whole, "m.py:5", 311, 162); /* cumulative */
    mp_snapshot_free(before);
    mp_snapshot_free(after);
    assert_change(&line, "l.py:13", 300, 150); /* it stands alone */
    mp_diff_free(&line);
    mp_diff_free(&file);
    mp_diff_free(&stack);
    mp_diff_free(&whole);
}

static void
differences_return_their_memory(void **state)
{
    (void)state;
    const size_t mapped = mp_mem_mapped();
    struct mp_snapshot *before = make_small(0), *after = make_small(1);
    for (int way = 0; way < KEYS; way++) {
        struct mp_diff diff = difference(before, after, way);
        mp_diff_free(&diff);
        assert_true(!diff.rows && !diff.symbols && !diff.count);
        mp_diff_free(&diff);
    }
    assert_int_equal(before->symbols->references, 1);
    mp_snapshot_free(before);
    mp_snapshot_free(after);
    assert_int_equal(mp_mem_mapped(), mapped);
}

static void
snapshots_that_share_symbols_are_compared_by_id(void **state)
{
    (void)state;
    const bool keep[4] = {true, false, true, true};
    struct mp_snapshot *before = make_small(0), *after = mp_snapshot_select(before, keep);
    struct mp_diff diff = difference(before, after, 0);
    assert_ptr_equal(diff.symbols, before->symbols);
    assert_int_equal(before->symbols->references, 3);
    assert_change(&diff, "l.py:12", 10, 0);
    assert_change(&diff, "l.py:13", 300, 300);
    mp_diff_free(&diff);
    mp_snapshot_free(before);
    mp_snapshot_free(after);
}

static void
equal_snapshots_have_no_changes(void **state)
{
    (void)state;
    struct mp_snapshot *one = make_random(60, 0);
    struct mp_snapshot *two = make_small(0), *three = make_small(0);
    for (int way = 0; way < 2 * KEYS; way++) {
        struct mp_diff diff = way < KEYS ? difference(one, one, way)
                                         : difference(two, three, way - KEYS);
        assert_true(diff.count > 1);
        for (size_t i = 0; i < diff.count; i++)
            assert_memory_equal(&diff.rows[i].before, &diff.rows[i].after,
                                sizeof diff.rows[i].before);
        mp_diff_free(&diff);
    }
    mp_snapshot_free(one);
    mp_snapshot_free(two);
    mp_snapshot_free(three);
}

static void
difference_to_an_empty_snapshot_is_all_there_is(void **state)
{
    (void)state;
    struct mp_snapshot *empty = make_end(make_begin()), *full = make_small(0);
    struct mp_diff none = difference(empty, empty, 0), other = difference(empty, full, 0);
    struct mp_diff gone = difference(full, empty, 0);
    assert_int_equal(none.count, 0);
    assert_true(other.count == 4 && gone.count == 4);
    assert_change(&other, "l.py:13", 0, 300);
    assert_change(&gone, "l.py:13", 300, 0);
    mp_diff_sort(&none, MP_LIVE);
    mp_diff_free(&none);
    mp_diff_free(&other);
    mp_diff_free(&gone);
    mp_snapshot_free(empty);
    mp_snapshot_free(full);
}

static void
what_has_no_python_frame_is_group_0(void **state)
{
    (void)state;
    struct maker *one = make_begin(), *two = make_begin();
    make_row(one, 0, 5, 1);
    make_row(two, STACK(two, {"a.py", "f", 1, 1}), 1, 1);
    make_row(two, 0, 8, 1);
    struct mp_snapshot *before = make_end(one), *after = make_end(two);
    for (int way = 0; way < KEYS; way++) {
        struct mp_diff diff = difference(before, after, way);
        assert_int_equal(diff.count, 2);
        assert_int_equal(diff.rows[0].id, 0);
        assert_change(&diff, "", 5, 8);
        mp_diff_free(&diff);
    }
    mp_snapshot_free(before);
    mp_snapshot_free(after);
}

static void
folded_recursion_is_another_stack(void **state)
{
    (void)state;
    struct mp_snapshot *snapshots[2];
    for (int i = 0; i < 2; i++) {
        struct maker *maker = make_begin();
        make_row(maker, make_frame(maker, 0, &(struct frame){"a.py", "f", 1, 1}, i ? MP_FOLDED : 0),
                 10, 1);
        snapshots[i] = make_end(maker);
    }
    struct mp_diff line = difference(snapshots[0], snapshots[1], 0);
    struct mp_diff stack = difference(snapshots[0], snapshots[1], 3);
    assert_change(&line, "a.py:1", 10, 10);
    assert_change(&stack, "<a.py:1:f:1", 10, 0);
    assert_change(&stack, "*a.py:1:f:1", 0, 10);
    mp_diff_free(&line);
    mp_diff_free(&stack);
    mp_snapshot_free(snapshots[0]);
    mp_snapshot_free(snapshots[1]);
}

static void
cumulative_by_stack_makes_no_sense(void **state)
{
    (void)state;
    struct mp_snapshot *before = make_small(0), *after = make_small(1);
    const size_t mapped = mp_mem_mapped();
    struct mp_diff diff;
    assert_int_equal(mp_diff(before, before, MP_BY_STACK, true, &diff), MP_BAD_ARGUMENT);
    mp_diff_free(&diff);
    assert_int_equal(mp_diff(before, after, MP_BY_STACK, true, &diff), MP_BAD_ARGUMENT);
    mp_diff_free(&diff);
    assert_int_equal(mp_mem_mapped(), mapped);
    mp_snapshot_free(before);
    mp_snapshot_free(after);
}

/* ---- against the groups of each snapshot --------------------------------------------------- */

/* Every group of the snapshot is the `after` (or `before`) of a change, and no more. */
static void
compare_side(const struct mp_diff *diff, const struct mp_snapshot *snapshot, int way, bool after)
{
    static const struct mp_totals none;
    struct mp_groups groups;
    size_t there = 0;
    assert_int_equal(mp_group(snapshot, key_of(way), way >= 4, &groups), MP_OK);
    for (size_t i = 0; i < groups.count; i++) {
        char text[TEXT];
        describe(snapshot->symbols, diff->by, groups.rows[i].id, text, sizeof text);
        const struct mp_change *row = find(diff, text);
        assert_non_null(row);
        assert_memory_equal(after ? &row->after : &row->before, &groups.rows[i].totals,
                            sizeof row->after);
    }
    for (size_t i = 0; i < diff->count; i++)
        there += memcmp(after ? &diff->rows[i].after : &diff->rows[i].before, &none,
                        sizeof none) != 0;
    assert_int_equal(there, groups.count);
    mp_groups_free(&groups);
}

static void
differences_match_the_groups_of_each_snapshot(void **state)
{
    (void)state;
    for (uint32_t size = 1; size < 100; size = size * 2 + 1) {
        struct mp_snapshot *before = make_random(size, 0), *after = make_random(size, 0);
        for (int way = 0; way < KEYS; way++) {
            struct mp_diff diff = difference(before, after, way);
            compare_side(&diff, before, way, false);
            compare_side(&diff, after, way, true);
            mp_diff_free(&diff);
        }
        mp_snapshot_free(before);
        mp_snapshot_free(after);
    }
}

/* ---- lack of memory ------------------------------------------------------------------------ */

static int
diff_once(void *data)
{
    struct mp_snapshot **snapshots = data;
    struct mp_diff diff;
    const int status = mp_diff(snapshots[0], snapshots[1], MP_BY_LINE, false, &diff);
    assert_true(status == MP_OK || (!diff.rows && !diff.symbols && !diff.count));
    mp_diff_free(&diff);
    return status;
}

static void
diff_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct mp_snapshot *snapshots[2] = {make_small(0), make_small(1)};
    fail_each_request(diff_once, snapshots);
    fail_each_request(diff_once, (struct mp_snapshot *[2]){snapshots[0], snapshots[0]});
    assert_int_equal(snapshots[0]->symbols->references, 1);
    mp_snapshot_free(snapshots[0]);
    mp_snapshot_free(snapshots[1]);
}

/* ---- order --------------------------------------------------------------------------------- */

static void
change(struct maker *makers[2], const char *file, struct mp_counts before, struct mp_counts after)
{
    make_row(makers[0], STACK(makers[0], {file, "f", 1, 1}), before.bytes, before.blocks);
    make_row(makers[1], STACK(makers[1], {file, "f", 1, 1}), after.bytes, after.blocks);
}

/* In the order of sorting; each but the first loses by one rule only. */
static void
largest_change_comes_first(void **state)
{
    (void)state;
    struct maker *makers[2] = {make_begin(), make_begin()};
    change(makers, "a.py", (struct mp_counts){900, 1}, (struct mp_counts){100, 1}); /* |bytes| */
    change(makers, "j.py", (struct mp_counts){100, 9}, (struct mp_counts){600, 1}); /* bytes */
    change(makers, "k.py", (struct mp_counts){600, 1}, (struct mp_counts){100, 9}); /* |blocks| */
    change(makers, "b.py", (struct mp_counts){600, 9}, (struct mp_counts){100, 2});
    change(makers, "c.py", (struct mp_counts){600, 7}, (struct mp_counts){100, 3}); /* blocks */
    change(makers, "z.py", (struct mp_counts){600, 6}, (struct mp_counts){100, 2}); /* name */
    change(makers, "e.py", (struct mp_counts){600, 6}, (struct mp_counts){100, 2});
    change(makers, "f.py", (struct mp_counts){800, 9}, (struct mp_counts){800, 1}); /* no bytes */
    const char *const order[] = {"a.py:1", "j.py:1", "k.py:1", "b.py:1",
                                 "c.py:1", "z.py:1", "e.py:1", "f.py:1"};
    struct mp_snapshot *before = make_end(makers[0]), *after = make_end(makers[1]);
    struct mp_diff diff = difference(before, after, 0);
    for (enum mp_metric metric = MP_LIVE; metric < MP_METRICS; metric++) {
        mp_diff_sort(&diff, metric);
        for (size_t i = 0; i < diff.count; i++)
            assert_ptr_equal(find(&diff, order[i]), &diff.rows[i]);
    }
    mp_diff_free(&diff);
    mp_snapshot_free(before);
    mp_snapshot_free(after);
}

static void
order_is_that_of_the_metric(void **state)
{
    (void)state;
    struct maker *makers[2] = {make_begin(), make_begin()};
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t stack = STACK(makers[1], {"a.py", "f", 1, i});
        struct mp_totals *totals = &make_row(makers[1], stack, 10, 1)->totals;
        struct mp_counts *counts[] = {&totals->live, &totals->peak, &totals->total};
        counts[i]->bytes = 1000;
    }
    struct mp_snapshot *before = make_end(makers[0]), *after = make_end(makers[1]);
    struct mp_diff diff = difference(before, after, 0);
    for (enum mp_metric metric = MP_LIVE; metric < MP_METRICS; metric++) {
        mp_diff_sort(&diff, metric);
        assert_int_equal(diff.symbols->location[diff.rows[0].id].line, metric);
    }
    mp_diff_free(&diff);
    mp_snapshot_free(before);
    mp_snapshot_free(after);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_names_with_other_ids_are_the_same_group),
        cmocka_unit_test(differences_return_their_memory),
        cmocka_unit_test(snapshots_that_share_symbols_are_compared_by_id),
        cmocka_unit_test(equal_snapshots_have_no_changes),
        cmocka_unit_test(difference_to_an_empty_snapshot_is_all_there_is),
        cmocka_unit_test(what_has_no_python_frame_is_group_0),
        cmocka_unit_test(folded_recursion_is_another_stack),
        cmocka_unit_test(cumulative_by_stack_makes_no_sense),
        cmocka_unit_test(differences_match_the_groups_of_each_snapshot),
        cmocka_unit_test(diff_without_memory_leaves_nothing),
        cmocka_unit_test(largest_change_comes_first),
        cmocka_unit_test(order_is_that_of_the_metric),
    };
    return RUN_TESTS(tests);
}
