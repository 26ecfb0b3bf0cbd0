#define _GNU_SOURCE
#include "test.h"

#include "make_snapshot.h"

enum { TEXT = 8192, SUMS = 2048 };

static const enum mp_group_by all_keys[] = {MP_BY_LINE, MP_BY_FILE, MP_BY_FUNCTION, MP_BY_STACK};

static struct mp_groups
group(const struct mp_snapshot *snapshot, enum mp_group_by by, bool cumulative)
{
    struct mp_groups groups;
    assert_int_equal(mp_group(snapshot, by, cumulative, &groups), MP_OK);
    assert_int_equal(groups.by, by);
    return groups;
}

/* The group that is described by `text`; NULL when there is none. */
static const struct mp_group *
find(const struct mp_groups *groups, const struct mp_symbols *symbols, const char *text)
{
    char found[TEXT];
    for (size_t i = 0; i < groups->count; i++) {
        describe(symbols, groups->by, groups->rows[i].id, found, sizeof found);
        if (strcmp(found, text) == 0)
            return &groups->rows[i];
    }
    return NULL;
}

static uint64_t
live_of(const struct mp_groups *groups, const struct mp_symbols *symbols, const char *text)
{
    const struct mp_group *row = find(groups, symbols, text);
    return row ? row->totals.live.bytes : 0;
}

/* ---- literals ------------------------------------------------------------------------------ */

static struct mp_snapshot *
make_small(void)
{
    struct maker *maker = make_begin();
    const uint32_t main = STACK(maker, {"m.py", "main", 1, 5});
    const uint32_t f = make_frame(maker, main, &(struct frame){"l.py", "f", 10, 12}, 0);
    const uint32_t g = make_frame(maker, main, &(struct frame){"l.py", "g", 20, 12}, 0);
    const uint32_t h = make_frame(maker, f, &(struct frame){"l.py", "f", 10, 13}, 0);
    make_row(maker, main, 1, 1);
    make_row(maker, f, 10, 1);
    make_row(maker, g, 100, 1);
    make_row(maker, h, 1000, 1);
    make_row(maker, f, 10000, 1)->kind = MP_RAW;
    make_row(maker, 0, 100000, 1);
    return make_end(maker);
}

static void
rows_count_for_their_innermost_frame(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    const struct mp_symbols *symbols = snapshot->symbols;
    struct mp_groups line = group(snapshot, MP_BY_LINE, false);
    struct mp_groups file = group(snapshot, MP_BY_FILE, false);
    struct mp_groups function = group(snapshot, MP_BY_FUNCTION, false);
    assert_int_equal(line.count, 4);
    assert_int_equal(live_of(&line, symbols, "m.py:5"), 1);
    assert_int_equal(live_of(&line, symbols, "l.py:12"), 10110); /* of two functions */
    assert_int_equal(live_of(&line, symbols, "l.py:13"), 1000);
    assert_int_equal(file.count, 3);
    assert_int_equal(live_of(&file, symbols, "l.py"), 11110);
    assert_int_equal(function.count, 4);
    assert_int_equal(live_of(&function, symbols, "l.py:f:10"), 11010);
    assert_int_equal(live_of(&function, symbols, "l.py:g:20"), 100);
    mp_groups_free(&line);
    mp_groups_free(&file);
    mp_groups_free(&function);
    mp_snapshot_free(snapshot);
}

static void
rows_of_one_stack_add_up(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    struct mp_groups groups = group(snapshot, MP_BY_STACK, false);
    assert_int_equal(groups.count, 5);
    const struct mp_group *row = find(&groups, snapshot->symbols, "<l.py:12:f:10<m.py:5:main:1");
    const struct mp_totals expected = {{10010, 2}, {10010, 2}, {10010, 2}};
    assert_memory_equal(&row->totals, &expected, sizeof expected);
    mp_groups_free(&groups);
    mp_snapshot_free(snapshot);
}

static void
what_has_no_python_frame_is_group_0(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    for (int i = 0; i < 7; i++) { /* the last three are cumulative */
        struct mp_groups groups = group(snapshot, all_keys[i % 4], i >= 4);
        assert_int_equal(groups.rows[0].id, 0);
        assert_int_equal(groups.rows[0].totals.live.bytes, 100000);
        mp_groups_free(&groups);
    }
    mp_snapshot_free(snapshot);
}

static void
cumulative_counts_every_frame_of_the_stack(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    const struct mp_symbols *symbols = snapshot->symbols;
    struct mp_groups line = group(snapshot, MP_BY_LINE, true);
    assert_int_equal(live_of(&line, symbols, "m.py:5"), 11111);
    assert_int_equal(live_of(&line, symbols, "l.py:12"), 11110); /* that of h too */
    assert_int_equal(live_of(&line, symbols, "l.py:13"), 1000);
    mp_groups_free(&line);
    mp_snapshot_free(snapshot);
}

static void
recursion_counts_once_for_each_key(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    const uint32_t stack = STACK(maker, {"a.py", "f", 1, 2}, {"a.py", "g", 5, 6},
                                 {"a.py", "f", 1, 2}, {"a.py", "f", 1, 3}, {"a.py", "f", 1, 2});
    make_row(maker, stack, 100, 2);
    make_row(maker, stack, 10, 1);
    struct mp_snapshot *snapshot = make_end(maker);
    const char *const texts[] = {"a.py:2", "a.py:6", "a.py:3", "a.py", "a.py:f:1", "a.py:g:5"};
    const size_t counts[] = {3, 1, 2};
    for (int by = MP_BY_LINE, at = 0; by <= MP_BY_FUNCTION; by++) {
        struct mp_groups groups = group(snapshot, (enum mp_group_by)by, true);
        assert_int_equal(groups.count, counts[by]);
        for (size_t i = 0; i < counts[by]; i++, at++) {
            const struct mp_group *row = find(&groups, snapshot->symbols, texts[at]);
            assert_true(row && row->totals.live.bytes == 110 && row->totals.live.blocks == 3);
        }
        mp_groups_free(&groups);
    }
    mp_snapshot_free(snapshot);
}

static void
cumulative_by_stack_makes_no_sense(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    const size_t before = mp_mem_mapped();
    struct mp_groups groups;
    assert_int_equal(mp_group(snapshot, MP_BY_STACK, true, &groups), MP_BAD_ARGUMENT);
    assert_true(!groups.count && !groups.rows);
    mp_groups_free(&groups);
    assert_int_equal(mp_mem_mapped(), before);
    mp_snapshot_free(snapshot);
}

static void
empty_snapshot_has_no_groups(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_end(make_begin());
    for (int i = 0; i < 7; i++) {
        struct mp_groups groups = group(snapshot, all_keys[i % 4], i >= 4);
        assert_int_equal(groups.count, 0);
        mp_groups_sort(&groups, snapshot->symbols, MP_LIVE);
        mp_groups_free(&groups);
    }
    mp_snapshot_free(snapshot);
}

/* ---- against a brute-force sum ------------------------------------------------------------- */

static struct sum {
    char text[TEXT];
    struct mp_totals totals;
} sums[SUMS];
static size_t sum_count;

static void
add_sum(const char *text, const struct mp_totals *totals)
{
    size_t i = 0;
    while (i < sum_count && strcmp(sums[i].text, text) != 0)
        i++;
    assert_true(i < SUMS);
    if (i == sum_count) {
        memset(&sums[sum_count++].totals, 0, sizeof *totals);
        snprintf(sums[i].text, TEXT, "%s", text);
    }
    mp_totals_add(&sums[i].totals, totals);
}

/* Add a row for the key of a frame, unless a frame further in has the same. */
static void
add_frame(const struct mp_symbols *symbols, enum mp_group_by by, const struct mp_row *row,
          uint32_t stack)
{
    char text[TEXT], other[TEXT];
    describe(symbols, by, mp_symbols_top(symbols, stack), text, TEXT);
    for (uint32_t inner = row->stack; inner != stack; inner = symbols->stack[inner].parent) {
        describe(symbols, by, mp_symbols_top(symbols, inner), other, TEXT);
        if (strcmp(other, text) == 0)
            return;
    }
    add_sum(text, &row->totals);
}

static void
sum_up(const struct mp_snapshot *snapshot, enum mp_group_by by, bool cumulative)
{
    const struct mp_symbols *symbols = snapshot->symbols;
    char text[TEXT];
    sum_count = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mp_row *row = &snapshot->rows[i];
        if (by == MP_BY_STACK || !row->stack) {
            describe(symbols, by, row->stack, text, TEXT);
            add_sum(text, &row->totals);
            continue;
        }
        for (uint32_t stack = row->stack; stack; stack = symbols->stack[stack].parent) {
            add_frame(symbols, by, row, stack);
            if (!cumulative)
                break;
        }
    }
}

/* The first location that has the key of `id`. */
static uint32_t
first_of(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t id)
{
    char text[TEXT], other[TEXT] = "";
    describe(symbols, by, id, text, TEXT);
    uint32_t first = 0;
    while (id && strcmp(text, other) != 0)
        describe(symbols, by, ++first, other, TEXT);
    return first;
}

static void
compare_with_sums(const struct mp_snapshot *snapshot, enum mp_group_by by, bool cumulative)
{
    struct mp_groups groups = group(snapshot, by, cumulative);
    sum_up(snapshot, by, cumulative);
    assert_int_equal(groups.count, sum_count);
    for (size_t i = 0; i < sum_count; i++) {
        const struct mp_group *row = find(&groups, snapshot->symbols, sums[i].text);
        assert_non_null(row);
        assert_memory_equal(&row->totals, &sums[i].totals, sizeof row->totals);
    }
    for (size_t i = 0; i < groups.count; i++) {
        const uint32_t id = groups.rows[i].id;
        assert_true(i == 0 || id > groups.rows[i - 1].id);
        if (by != MP_BY_STACK)
            assert_int_equal(id, first_of(snapshot->symbols, by, id));
    }
    mp_groups_free(&groups);
}

static void
groups_match_brute_force_sums(void **state)
{
    (void)state;
    for (uint32_t size = 1; size < 200; size = size * 3 / 2 + 1) {
        struct mp_snapshot *snapshot = make_random(size, 0);
        for (int i = 0; i < 7; i++)
            compare_with_sums(snapshot, all_keys[i % 4], i >= 4);
        mp_snapshot_free(snapshot);
    }
}

static void
many_lines_are_told_apart(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    for (uint32_t line = 1; line <= 500; line++)
        make_row(maker, STACK(maker, {"a.py", "f", 1, line}), line, 1);
    struct mp_snapshot *snapshot = make_end(maker);
    struct mp_groups groups = group(snapshot, MP_BY_LINE, false);
    assert_int_equal(groups.count, 500);
    for (uint32_t i = 0; i < 500; i++)
        assert_true(groups.rows[i].id == i + 1 && groups.rows[i].totals.live.bytes == i + 1);
    mp_groups_free(&groups);
    mp_snapshot_free(snapshot);
}

static int
group_once(void *data)
{
    int status = MP_OK;
    for (int i = 0; i < 7 && status == MP_OK; i++) {
        struct mp_groups groups;
        status = mp_group(data, all_keys[i % 4], i >= 4, &groups);
        assert_true(status == MP_OK || (!groups.rows && !groups.count));
        mp_groups_free(&groups);
    }
    return status;
}

static void
group_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_small();
    fail_each_request(group_once, snapshot);
    mp_snapshot_free(snapshot);
}

/* ---- order --------------------------------------------------------------------------------- */

static void
largest_come_first_by_bytes_blocks_and_traceback(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    struct mp_row *row = make_row(maker, STACK(maker, {"a.py", "f", 1, 1}), 5, 1);
    row->totals.peak = (struct mp_counts){99, 1};
    make_row(maker, STACK(maker, {"b.py", "f", 1, 1}), 5, 2);
    make_row(maker, STACK(maker, {"a.py", "f", 1, 10}), 5, 1);
    make_row(maker, STACK(maker, {"a.py", "f", 1, 2}), 6, 1);
    make_row(maker, STACK(maker, {"a", "f", 1, 9}), 5, 1);
    make_row(maker, STACK(maker, {"\xc3\xa9.py", "f", 1, 1}), 5, 1);
    make_row(maker, 0, 5, 1);
    struct mp_snapshot *snapshot = make_end(maker);
    struct mp_groups groups = group(snapshot, MP_BY_LINE, false);
    const uint32_t by_live[] = {4, 2, 6, 3, 1, 5, 0}, by_peak[] = {1, 4, 2, 6, 3, 5, 0};
    for (enum mp_metric metric = MP_LIVE; metric < MP_METRICS; metric++) {
        mp_groups_sort(&groups, snapshot->symbols, metric);
        for (size_t i = 0; i < 7; i++)
            assert_int_equal(groups.rows[i].id, (metric == MP_PEAK ? by_peak : by_live)[i]);
    }
    mp_groups_free(&groups);
    mp_snapshot_free(snapshot);
}

/* Frames of a stack with the oldest first, as text that sorts as tuples of frames do. */
static void
sort_key(const struct mp_symbols *symbols, uint32_t stack, char *out, size_t size)
{
    out[0] = '\0';
    if (!stack)
        return;
    sort_key(symbols, symbols->stack[stack].parent, out, size);
    const struct mp_symbol_location *at = &symbols->location[mp_symbols_top(symbols, stack)];
    const struct mp_text file = mp_symbols_name(symbols, at->file);
    const struct mp_text function = mp_symbols_name(symbols, at->function);
    const size_t used = strlen(out);
    snprintf(out + used, size - used, "%.*s\1%010u\1%.*s\2", (int)file.length, file.at, at->line,
             (int)function.length, function.at);
}

static void
tracebacks_are_ordered_from_the_oldest_frame(void **state)
{
    (void)state;
    static char key[200][TEXT];
    struct mp_snapshot *snapshot = make_random(150, 0);
    const struct mp_symbols *symbols = snapshot->symbols;
    assert_true(symbols->stacks > 50 && symbols->stacks < 200);
    for (uint32_t a = 0; a <= symbols->stacks; a++)
        sort_key(symbols, a, key[a], TEXT);
    for (uint32_t a = 0; a <= symbols->stacks; a++)
        for (uint32_t b = 0; b <= symbols->stacks; b++) {
            const int order = mp_traceback_compare(symbols, MP_BY_STACK, a, b);
            const int expected = strcmp(key[a], key[b]);
            assert_int_equal((order > 0) - (order < 0), (expected > 0) - (expected < 0));
        }
    mp_snapshot_free(snapshot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_count_for_their_innermost_frame),
        cmocka_unit_test(rows_of_one_stack_add_up),
        cmocka_unit_test(what_has_no_python_frame_is_group_0),
        cmocka_unit_test(cumulative_counts_every_frame_of_the_stack),
        cmocka_unit_test(recursion_counts_once_for_each_key),
        cmocka_unit_test(cumulative_by_stack_makes_no_sense),
        cmocka_unit_test(empty_snapshot_has_no_groups),
        cmocka_unit_test(groups_match_brute_force_sums),
        cmocka_unit_test(many_lines_are_told_apart),
        cmocka_unit_test(group_without_memory_leaves_nothing),
        cmocka_unit_test(largest_come_first_by_bytes_blocks_and_traceback),
        cmocka_unit_test(tracebacks_are_ordered_from_the_oldest_frame),
    };
    return RUN_TESTS(tests);
}
