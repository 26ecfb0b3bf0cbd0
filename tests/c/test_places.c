#define _GNU_SOURCE
#include "test.h"

#include "base/places.h"

static void
what_was_set_is_found(void **state)
{
    (void)state;
    struct mp_places places = {0};
    assert_int_equal(mp_places_find(&places, 0x7f0000001000), 0);
    for (uintptr_t i = 1; i <= 10000; i++) /* in many regions */
        assert_int_equal(mp_places_set(&places, i * 0x130000 + i % 7 * 16, (uint32_t)i), MP_OK);
    for (uintptr_t i = 1; i <= 10000; i++) {
        assert_int_equal(mp_places_find(&places, i * 0x130000 + i % 7 * 16), i);
        assert_int_equal(mp_places_find(&places, i * 0x130000 + 7 * 16), 0);
    }
    assert_int_equal(mp_places_find(&places, 0x7fff00000000), 0);
    assert_true(mp_places_memory(&places) >= 10000 * sizeof(uint32_t));
    mp_places_destroy(&places);
}

static void
later_number_of_a_granule_stays(void **state)
{
    (void)state;
    struct mp_places places = {0};
    assert_int_equal(mp_places_set(&places, 0x1000, 1), MP_OK);
    assert_int_equal(mp_places_set(&places, 0x1008, 2), MP_OK);
    assert_int_equal(mp_places_find(&places, 0x1000), 2);
    assert_int_equal(mp_places_find(&places, 0x1010), 0);
    mp_places_destroy(&places);
}

static void
first_and_last_granule_of_a_chunk_are_apart(void **state)
{
    (void)state;
    struct mp_places places = {0};
    const uintptr_t begin = (uintptr_t)5 << MP_PLACES_SHIFT, end = (uintptr_t)6 << MP_PLACES_SHIFT;
    assert_int_equal(mp_places_set(&places, begin, 1), MP_OK);
    assert_int_equal(mp_places_set(&places, end - 16, 2), MP_OK);
    assert_int_equal(mp_places_set(&places, end, 3), MP_OK);
    assert_int_equal(mp_places_find(&places, begin), 1);
    assert_int_equal(mp_places_find(&places, end - 16), 2);
    assert_int_equal(mp_places_find(&places, end), 3);
    mp_places_destroy(&places);
}

static void
lack_of_memory_is_told(void **state)
{
    (void)state;
    struct mp_places places = {0};
    const size_t before = mp_mem_mapped();
    for (long n = 1; n <= 2; n++) { /* the directory, the chunk */
        mp_mem_fail_nth(n);
        assert_int_equal(mp_places_set(&places, 0x1000, 1), MP_NO_MEMORY);
        mp_mem_fail_nth(0);
        assert_int_equal(mp_places_find(&places, 0x1000), 0);
        mp_places_destroy(&places);
    }
    assert_int_equal(mp_mem_mapped(), before);
}

/* Break it in one way, and have it said. */
static void
assert_broken(const struct mp_places *places, const char *expected)
{
    const char *why = NULL;
    assert_false(mp_places_check(places, &why));
    assert_non_null(strstr(why, expected));
}

static void
assert_sound(const struct mp_places *places)
{
    const char *why = NULL;
    if (!mp_places_check(places, &why))
        fail_msg("%s", why);
}

static void
check_says_what_is_broken(void **state)
{
    (void)state;
    struct mp_places places = {0};
    assert_sound(&places);
    for (uintptr_t i = 1; i <= 1000; i++) {
        assert_int_equal(mp_places_set(&places, i << MP_PLACES_SHIFT, 7), MP_OK);
        assert_sound(&places);
    }
    struct mp_places wrong = places;
    wrong.count++;
    assert_broken(&wrong, "count");
    wrong.count = places.slots;
    assert_broken(&wrong, "half");
    wrong = places;
    wrong.slots--;
    assert_broken(&wrong, "power");
    struct mp_places_chunk *chunk = mp_places_chunk(&places, 500), right = *chunk;
    chunk->region = 501;
    assert_broken(&places, "twice");
    *chunk = (struct mp_places_chunk){0};
    assert_false(mp_places_check(&places, &(const char *){NULL}));
    *chunk = right;
    assert_sound(&places);
    mp_places_destroy(&places);
    assert_sound(&places);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_is_found),
        cmocka_unit_test(later_number_of_a_granule_stays),
        cmocka_unit_test(first_and_last_granule_of_a_chunk_are_apart),
        cmocka_unit_test(lack_of_memory_is_told),
        cmocka_unit_test(check_says_what_is_broken),
    };
    return RUN_TESTS(tests);
}
