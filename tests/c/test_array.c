#include "test.h"

#include "base/array.h"

struct item {
    uint64_t number;
    char text[12];
};

static void
items_stay_and_new_ones_are_zero(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct item *items = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 10000; count++) {
        assert_true(MP_ARRAY_RESERVE(items, capacity, count + 1));
        assert_true(count < capacity);
        assert_int_equal(items[count].number, 0);
        items[count] = (struct item){count, "text"};
    }
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(items[i].number, i);
        assert_string_equal(items[i].text, "text");
    }
    for (size_t i = 10000; i < capacity; i++)
        assert_int_equal(items[i].number, 0);
    mp_mem_free(items, capacity * sizeof *items);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
the_first_room_fills_a_page_and_then_it_doubles(void **state)
{
    (void)state;
    const size_t page = mp_mem_page();
    uint32_t *numbers = NULL;
    size_t capacity = 0, last = page / sizeof *numbers;
    for (int i = 0; i < 5; i++, last *= 2) {
        assert_true(MP_ARRAY_RESERVE(numbers, capacity, i == 0 ? 1 : last / 2 + 1));
        assert_int_equal(capacity, last);
    }
    assert_true(MP_ARRAY_RESERVE(numbers, capacity, capacity));
    assert_int_equal(capacity, last / 2);
    mp_mem_free(numbers, capacity * sizeof *numbers);
}

static void
items_may_be_larger_than_a_page(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct { char bytes[200000]; } *items = NULL;
    size_t capacity = 0;
    assert_true(MP_ARRAY_RESERVE(items, capacity, 1));
    assert_int_equal(capacity, 1);
    assert_true(MP_ARRAY_RESERVE(items, capacity, 3));
    assert_int_equal(capacity, 4);
    memset(&items[3], 1, sizeof *items);
    mp_mem_free(items, capacity * sizeof *items);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
many_at_once_are_had_in_one_go(void **state)
{
    (void)state;
    uint64_t *numbers = NULL;
    size_t capacity = 0;
    mp_mem_fail_nth(2); /* the second request would fail */
    assert_true(MP_ARRAY_RESERVE(numbers, capacity, 1000000));
    mp_mem_fail_nth(0);
    assert_in_range(capacity, 1000000, 2000000);
    numbers[999999] = 1;
    mp_mem_free(numbers, capacity * sizeof *numbers);
}

static void
without_memory_nothing_changes(void **state)
{
    (void)state;
    uint64_t *numbers = NULL;
    size_t capacity = 0;
    mp_mem_fail_nth(1);
    assert_false(MP_ARRAY_RESERVE(numbers, capacity, 1));
    assert_null(numbers);
    assert_int_equal(capacity, 0);
    assert_true(MP_ARRAY_RESERVE(numbers, capacity, 1));
    numbers[0] = 7;
    const size_t room = capacity;
    const uint64_t *old = numbers;
    const size_t impossible[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 32 + 1, SIZE_MAX / 64};
    for (size_t i = 0; i < 4; i++)
        assert_false(MP_ARRAY_RESERVE(numbers, capacity, impossible[i]));
    mp_mem_fail_nth(1);
    assert_false(MP_ARRAY_RESERVE(numbers, capacity, room + 1));
    assert_ptr_equal(numbers, old);
    assert_int_equal(capacity, room);
    assert_int_equal(numbers[0], 7);
    mp_mem_free(numbers, capacity * sizeof *numbers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_and_new_ones_are_zero),
        cmocka_unit_test(the_first_room_fills_a_page_and_then_it_doubles),
        cmocka_unit_test(items_may_be_larger_than_a_page),
        cmocka_unit_test(many_at_once_are_had_in_one_go),
        cmocka_unit_test(without_memory_nothing_changes),
    };
    return RUN_TESTS(tests);
}
