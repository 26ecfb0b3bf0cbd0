#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "record/lanes.h"

#define CASE(name) static void name(void **state __attribute__((unused)))
#define TEST(name) cmocka_unit_test_setup(name, start_afresh)

enum { SITE = 5, OTHER = MP_LANE_CHUNK + 5, KIBIBYTE = 1024 };

static struct mp_lanes lanes;

/* As if nothing was ever counted. */
static int
start_afresh(void **state __attribute__((unused)))
{
    mp_mem_fail_nth(0);
    mp_lane_destroy(&lanes.main);
    mp_lane_destroy(&lanes.reserve);
    for (struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        if (thread->lane)
            mp_lane_destroy(thread->lane);
    lanes.no_gil = false;
    lanes.slack = 0;
    mp_lanes_clear(&lanes);
    return mp_lanes_reach(&lanes, SITE) && mp_lanes_reach(&lanes, OTHER) ? 0 : -1;
}

static struct mp_totals
totals_of(uint32_t site)
{
    struct mp_totals totals;
    mp_lanes_totals(&lanes, site, &totals);
    return totals;
}

static void
assert_sound(int64_t live)
{
    const char *why = "";
    if (!mp_lanes_check(&lanes, &why))
        fail_msg("%s", why);
    assert_null(why);
    assert_int_equal(mp_lanes_live(&lanes), live);
}

/* Let another thread do something, and end. */
static void
elsewhere(void *(*body)(void *))
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    pthread_join(thread, NULL);
}

/* ---- sites ---------------------------------------------------------------------------------- */

CASE(site_has_its_tallies_before_events_need_them)
{
    const uint32_t site = 3 * MP_LANE_CHUNK;
    for (long n = 1; n <= 2; n++) { /* in the main lane, in the reserve lane */
        mp_mem_fail_nth(n);
        assert_false(mp_lanes_reach(&lanes, site));
    }
    mp_mem_fail_nth(0);
    assert_true(mp_lanes_reach(&lanes, site));
    mp_mem_fail_nth(1);
    assert_true(mp_lanes_reach(&lanes, site + 1));
    mp_lanes_count_alloc(&lanes, true, site, 100);
    mp_lanes_count_free(&lanes, true, site, 100);
    mp_mem_fail_nth(0);
    assert_sound(0);
}

/* ---- who counts where ----------------------------------------------------------------------- */

static void *
free_in_own_lane(void *data)
{
    mp_lanes_count_free(&lanes, false, SITE, 70);
    mp_lanes_count_alloc(&lanes, false, OTHER, 9);
    return data;
}

CASE(numbers_of_a_site_are_the_sum_of_all_lanes)
{
    mp_lanes_count_alloc(&lanes, true, SITE, 100);
    mp_lanes_count_alloc(&lanes, false, SITE, 70);
    assert_sound(170);
    elsewhere(free_in_own_lane); /* a lane stays when its thread ends */
    assert_sound(109);
    const struct mp_totals totals = totals_of(SITE);
    assert_true(totals.live.bytes == 100 && totals.live.blocks == 1);
    assert_true(totals.total.bytes == 170 && totals.total.blocks == 2);
    assert_true(totals.peak.bytes == 170 && totals.peak.blocks == 2);
    assert_int_equal(totals_of(OTHER).live.bytes, 9);
    assert_int_equal(mp_lanes_peak(&lanes), 170);
}

CASE(thread_without_memory_for_its_lane_counts_in_the_reserve)
{
    for (long n = 1; n <= 2; n++) { /* no memory for the lane, none for its tallies */
        mp_mem_fail_nth(n);
        mp_lanes_count_alloc(&lanes, false, SITE, 100);
        mp_mem_fail_nth(0);
    }
    mp_lanes_count_free(&lanes, false, SITE, 100);
    assert_sound(100);
    assert_int_equal(mp_lane_live(&lanes.main), 0);
    assert_true(mp_lane_live(&lanes.reserve) >= 100);
}

CASE(block_that_is_counted_again_is_one_more_and_as_much)
{
    for (int main = 0; main < 2; main++) {
        mp_lanes_count_alloc(&lanes, main, SITE, 64);
        const struct mp_totals before = totals_of(SITE);
        mp_lanes_count_again(&lanes, main, SITE, 64);
        const struct mp_totals after = totals_of(SITE);
        assert_true(after.live.bytes == before.live.bytes);
        assert_true(after.live.blocks == before.live.blocks);
        assert_true(after.total.blocks == before.total.blocks + 1);
    }
    assert_int_equal(mp_lanes_peak(&lanes), 128);
}

/* ---- what is kept from the clock ------------------------------------------------------------- */

static void *
begin_to_record(void *data)
{
    (void)!mp_thread_self();
    mp_lanes_note_thread(&lanes);
    return data;
}

CASE(threads_keep_bytes_from_the_clock_where_there_is_no_gil_and_several_record)
{
    (void)!mp_thread_self();
    elsewhere(begin_to_record);
    assert_int_equal(lanes.slack, 0); /* there is a GIL */
    lanes.no_gil = true;
    mp_lanes_note_thread(&lanes);
    assert_int_equal(lanes.slack, 0); /* the other one has ended */
    elsewhere(begin_to_record);
    assert_int_equal(lanes.slack, 64 * KIBIBYTE);
}

CASE(what_the_clock_was_not_told_counts_all_the_same)
{
    lanes.slack = 64 * KIBIBYTE;
    for (int i = 1; i <= 64; i++) {
        mp_lanes_count_alloc(&lanes, false, SITE, KIBIBYTE);
        assert_int_equal(mp_clock_now(&lanes.clock), 0);
        assert_sound(i * KIBIBYTE);
        assert_int_equal(mp_lanes_peak(&lanes), i * KIBIBYTE);
    }
    mp_lanes_count_alloc(&lanes, false, SITE, 1); /* beyond the slack */
    assert_int_equal(mp_clock_now(&lanes.clock), 64 * KIBIBYTE + 1);
    mp_lanes_count_free(&lanes, false, SITE, KIBIBYTE);
    assert_int_equal(mp_clock_now(&lanes.clock), 64 * KIBIBYTE + 1);
    mp_lanes_tell(&lanes);
    assert_int_equal(mp_clock_now(&lanes.clock), 63 * KIBIBYTE + 1);
    assert_sound(63 * KIBIBYTE + 1);
    assert_int_equal(mp_lanes_peak(&lanes), 64 * KIBIBYTE + 1);
}

/* ---- clear and check ------------------------------------------------------------------------- */

CASE(clear_forgets_all_lanes_and_what_was_not_told)
{
    lanes.slack = 64 * KIBIBYTE;
    mp_lanes_count_alloc(&lanes, true, SITE, 100);
    mp_lanes_count_alloc(&lanes, false, SITE, 100);
    mp_mem_fail_nth(1);
    mp_lanes_count_alloc(&lanes, false, OTHER, 100); /* in the reserve */
    elsewhere(free_in_own_lane);
    mp_lanes_clear(&lanes);
    assert_sound(0);
    assert_int_equal(mp_lanes_peak(&lanes), 0);
    assert_int_equal(totals_of(SITE).total.blocks + totals_of(OTHER).total.blocks, 0);
}

CASE(check_names_what_is_broken)
{
    const char *why = "";
    mp_lanes_count_alloc(&lanes, true, SITE, 100);
    mp_lanes_count_alloc(&lanes, false, SITE, 100);
    lanes.clock.shared += 1;
    assert_false(mp_lanes_check(&lanes, &why));
    assert_non_null(strstr(why, "clock"));
    lanes.clock.shared -= 1;
    struct mp_lane *const each[] = {&lanes.main, &lanes.reserve, mp_thread_self()->lane};
    for (int i = 0; i < 3; i++) {
        struct mp_tally *tally = mp_lane_reach(each[i], OTHER);
        tally->allocated_bytes = tally->freed_bytes = 5;
        assert_false(mp_lanes_check(&lanes, &why));
        assert_non_null(strstr(why, "without blocks"));
        tally->allocated_bytes = tally->freed_bytes = 0;
        assert_sound(200);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(site_has_its_tallies_before_events_need_them),
        TEST(numbers_of_a_site_are_the_sum_of_all_lanes),
        TEST(thread_without_memory_for_its_lane_counts_in_the_reserve),
        TEST(block_that_is_counted_again_is_one_more_and_as_much),
        TEST(threads_keep_bytes_from_the_clock_where_there_is_no_gil_and_several_record),
        TEST(what_the_clock_was_not_told_counts_all_the_same),
        TEST(clear_forgets_all_lanes_and_what_was_not_told),
        TEST(check_names_what_is_broken),
    };
    return RUN_TESTS(tests);
}
