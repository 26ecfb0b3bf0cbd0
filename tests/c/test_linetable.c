#define _GNU_SOURCE
#include "test.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/linetable.h"

/* Format: Objects/locations.md of CPython. `units` are instructions of two bytes. */
#define ENTRY(kind, units) (uint8_t)(0x80 | (kind) << 3 | ((units) - 1))

static uint8_t *fence; /* the first byte that may not be read */

static bool
make_fence(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE))
        return false;
    fence = pages + page;
    return true;
}

/* Look up in a copy of the table that ends where memory ends. */
static uint32_t
line(const uint8_t *table, size_t length, int first_line, int64_t offset)
{
    if (length)
        memcpy(fence - length, table, length);
    return mp_linetable_line(fence - length, length, first_line, offset);
}

/* ---- each kind of entry, between two that show where it ends ---------------------------- */

static void
assert_kind(const uint8_t *entry, size_t length, uint32_t during, uint32_t after)
{
    uint8_t table[32] = {ENTRY(11, 1), 0, 1}; /* line 101 */
    assert_true(length <= sizeof table - 6);
    memcpy(table + 3, entry, length);
    memcpy(table + 3 + length, (const uint8_t[]){ENTRY(0, 1), 0}, 2); /* the same line */
    const size_t size = length + 5;
    const int units = (entry[0] & 7) + 1;
    assert_int_equal(line(table, size, 100, 0), 101);
    for (int unit = 1; unit <= units; unit++)
        assert_int_equal(line(table, size, 100, unit * 2), during);
    assert_int_equal(line(table, size, 100, units * 2 + 2), after);
    assert_int_equal(line(table, size, 100, units * 2 + 4), 0);
}

static void
short_forms_stay_on_the_line(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= 9; kind++)
        for (unsigned units = 1; units <= 8; units++)
            assert_kind((const uint8_t[]){ENTRY(kind, units), 0x7f}, 2, 101, 101);
}

static void
one_line_forms_advance_by_none_one_or_two(void **state)
{
    (void)state;
    for (unsigned kind = 10; kind <= 12; kind++)
        assert_kind((const uint8_t[]){ENTRY(kind, 3), 200, 255}, 3, 91 + kind, 91 + kind);
}

static void
no_column_form_has_a_signed_delta(void **state)
{
    (void)state;
    assert_kind((const uint8_t[]){ENTRY(13, 2), 0}, 2, 101, 101);
    assert_kind((const uint8_t[]){ENTRY(13, 2), 5 << 1}, 2, 106, 106);
    assert_kind((const uint8_t[]){ENTRY(13, 2), 5 << 1 | 1}, 2, 96, 96);
    /* 1000 << 1 in groups of six bits: 16, 31 */
    assert_kind((const uint8_t[]){ENTRY(13, 2), 64 | 16, 31}, 3, 1101, 1101);
    /* 100000 << 1: 0, 53, 48 */
    assert_kind((const uint8_t[]){ENTRY(13, 2), 64, 64 | 53, 48}, 4, 100101, 100101);
}

static void
long_form_skips_end_line_and_columns(void **state)
{
    (void)state;
    assert_kind((const uint8_t[]){ENTRY(14, 8), 3 << 1, 2, 5, 9}, 5, 104, 104);
    assert_kind((const uint8_t[]){ENTRY(14, 1), 3 << 1 | 1, 64 | 1, 1, 64 | 63, 64 | 63, 3, 0}, 8,
                98, 98);
}

static void
instruction_without_location_has_no_line_and_keeps_the_next(void **state)
{
    (void)state;
    for (unsigned units = 1; units <= 8; units++)
        assert_kind((const uint8_t[]){ENTRY(15, units)}, 1, 0, 101);
}

/* ---- offsets ------------------------------------------------------------------------------- */

static void
negative_offset_is_the_first_line(void **state)
{
    (void)state;
    const uint8_t table[] = {ENTRY(12, 1), 0, 0};
    assert_int_equal(line(table, 3, 40, -1), 40);
    assert_int_equal(line(table, 3, 40, INT64_MIN), 40);
    assert_int_equal(line(table, 0, 40, -2), 40);
}

static void
offset_past_the_end_has_no_line(void **state)
{
    (void)state;
    const uint8_t table[] = {ENTRY(10, 8), 0, 0, ENTRY(11, 2), 0, 0};
    assert_int_equal(line(table, 6, 40, 15), 40);
    assert_int_equal(line(table, 6, 40, 16), 41);
    assert_int_equal(line(table, 6, 40, 19), 41);
    assert_int_equal(line(table, 6, 40, 20), 0);
    assert_int_equal(line(table, 6, 40, INT64_MAX), 0);
}

static void
empty_table_has_no_lines(void **state)
{
    (void)state;
    assert_int_equal(line(NULL, 0, 40, 0), 0);
    assert_int_equal(line(NULL, 0, 40, 100), 0);
}

static void
odd_offset_is_within_its_instruction(void **state)
{
    (void)state;
    const uint8_t table[] = {ENTRY(10, 1), 0, 0, ENTRY(11, 1), 0, 0};
    assert_int_equal(line(table, 6, 40, 1), 40);
    assert_int_equal(line(table, 6, 40, 3), 41);
}

static void
table_cut_between_entries_ends_there(void **state)
{
    (void)state;
    const uint8_t table[] = {ENTRY(10, 1), 0, 0, ENTRY(14, 1), 2, 0, 0, 0, ENTRY(11, 1), 0, 0};
    const size_t ends[] = {0, 3, 8, 11};
    const uint32_t lines[] = {40, 41, 42};
    for (int cut = 0; cut < 4; cut++)
        for (int entry = 0; entry < 3; entry++)
            assert_int_equal(line(table, ends[cut], 40, entry * 2), entry < cut ? lines[entry] : 0);
}

static void
table_cut_within_an_entry_keeps_the_lines_before_and_none_after(void **state)
{
    (void)state;
    const uint8_t table[] = {ENTRY(10, 2), 7, 7, ENTRY(14, 2), 64 | 2, 1, 64 | 1, 1, 64 | 3, 2};
    for (size_t length = 1; length < sizeof table; length++) {
        assert_int_equal(line(table, length, 40, 3), 40);
        assert_int_equal(line(table, length, 40, 8), 0);
    }
}

/* ---- real and random tables ------------------------------------------------------------------ */

/* co_linetable of a function of CPython 3.11 with a loop, calls and try/except. */
static const uint8_t real[] = {
    128, 0,   224, 12,  13,  128, 69,  229, 13,  18,  144, 49,  137, 88,  140, 88,  240, 0,
    3,   5,   15,  240, 0,   3,   5,   15,  136, 1,   216, 8,   13,  144, 17,  144, 81,  145,
    21,  216, 12,  13,  216, 12,  13,  241, 3,   1,   13,  14,  241, 3,   2,   18,  15,  241,
    0,   2,   9,   15,  136, 5,   136, 5,   240, 6,   0,   8,   13,  136, 115, 130, 123, 128,
    123, 152, 57,  165, 115, 168, 53,  161, 122, 164, 122, 209, 27,  49,  240, 0,   0,   53,
    83,  2,   247, 0,   0,   53,  89,  2,   242, 0,   0,   53,  89,  2,   241, 0,   0,   53,
    91,  2,   244, 0,   0,   53,  91,  2,   241, 0,   0,   28,  91,  2,   240, 0,   0,   21,
    91,  2,   240, 2,   3,   5,   13,  216, 15,  20,  136, 12,  248, 221, 11,  21,  240, 0,
    1,   5,   13,  240, 0,   1,   5,   13,  240, 0,   1,   5,   13,  216, 8,   12,  136, 4,
    136, 4,   240, 3,   1,   5,   13,  248, 248, 248};

static void
real_table_gives_the_lines_of_co_lines(void **state)
{
    (void)state;
    const struct { int end; uint32_t line; } wanted[] = {
        {2, 1},    {6, 3},    {40, 5},  {50, 6},   {52, 7},   {54, 8},   {58, 7},
        {70, 6},   {160, 9},  {162, 10}, {166, 11}, {168, 0},  {186, 12}, {192, 13},
        {194, 12}, {200, 0}};
    int offset = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (; offset < wanted[i].end; offset++)
            assert_int_equal(line(real, sizeof real, 1, offset), wanted[i].line);
    assert_int_equal(line(real, sizeof real, 1, offset), 0);
}

static void
extreme_deltas_wrap_and_do_not_overflow(void **state)
{
    (void)state;
    const uint8_t up[] = {ENTRY(13, 1), 126, 127, 127, 127, 127, 3}; /* + (2^31 - 1) */
    const uint8_t down[] = {ENTRY(13, 1), 127, 127, 127, 127, 127, 3};
    assert_int_equal(line(up, sizeof up, INT32_MAX, 0), UINT32_MAX - 1);
    assert_int_equal(line(up, sizeof up, 1, 0), 1u << 31);
    assert_int_equal(line(down, sizeof down, INT32_MAX, 0), 0);
    const uint8_t endless[] = {ENTRY(13, 1), 127, 127, 127, 127, 127, 127, 127, 127, 127};
    assert_int_equal(line(endless, sizeof endless, 1, 1000), 0);
}

static void
random_tables_are_never_read_past_their_end(void **state)
{
    (void)state;
    uint64_t seed = 42;
    uint8_t table[64];
    for (int round = 0; round < 10000; round++) {
        for (size_t i = 0; i < sizeof table; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            table[i] = (uint8_t)(seed >> 40);
        }
        const size_t length = (seed >> 50) % (sizeof table + 1);
        int64_t covered = -1; /* at most 16 bytes of code for a byte of table */
        for (int64_t offset = 0; offset < 1100; offset += 2 + (seed >> 60 & 6)) {
            const uint32_t found = line(table, length, 1, offset);
            assert_int_equal(line(table, length, 1, offset + 1), found);
            covered = found ? offset : covered;
        }
        assert_true(covered < (int64_t)length * 16);
        assert_int_equal(line(table, length, 1, INT64_MAX), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_forms_stay_on_the_line),
        cmocka_unit_test(one_line_forms_advance_by_none_one_or_two),
        cmocka_unit_test(no_column_form_has_a_signed_delta),
        cmocka_unit_test(long_form_skips_end_line_and_columns),
        cmocka_unit_test(instruction_without_location_has_no_line_and_keeps_the_next),
        cmocka_unit_test(negative_offset_is_the_first_line),
        cmocka_unit_test(offset_past_the_end_has_no_line),
        cmocka_unit_test(empty_table_has_no_lines),
        cmocka_unit_test(odd_offset_is_within_its_instruction),
        cmocka_unit_test(table_cut_between_entries_ends_there),
        cmocka_unit_test(table_cut_within_an_entry_keeps_the_lines_before_and_none_after),
        cmocka_unit_test(real_table_gives_the_lines_of_co_lines),
        cmocka_unit_test(extreme_deltas_wrap_and_do_not_overflow),
        cmocka_unit_test(random_tables_are_never_read_past_their_end),
    };
    return make_fence() ? RUN_TESTS(tests) : 1;
}
