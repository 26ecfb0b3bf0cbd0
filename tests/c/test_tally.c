#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "tables/tally.h"

enum { SITES = 20, BLOCKS = 400, THREADS = 4, LAST_SITE = MP_LANE_CHUNK * MP_LANE_CHUNKS - 1 };

static struct mp_lane lanes[2]; /* 1 is the main lane */
static struct mp_clock the_clock;
static uint64_t seed;

static int
set_up(void **state)
{
    (void)state;
    memset(&the_clock, 0, sizeof the_clock);
    mp_clock_clear(&the_clock);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mp_mem_fail_nth(0);
    mp_lane_destroy(&lanes[0]);
    mp_lane_destroy(&lanes[1]);
    return 0;
}

static uint32_t
next_random(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static void
allocate(bool main, uint32_t site, size_t size)
{
    mp_tally_alloc(mp_lane_reach(&lanes[main], site), &the_clock, main, size);
}

static void
release(bool main, uint32_t site, size_t size)
{
    mp_tally_free(mp_lane_reach(&lanes[main], site), &the_clock, main, size);
}

static struct mp_totals
totals(uint32_t site)
{
    struct mp_totals sum = {0};
    mp_lane_sum(&lanes[0], &the_clock, site, &sum);
    mp_lane_sum(&lanes[1], &the_clock, site, &sum);
    return sum;
}

static void
assert_counts(struct mp_counts counts, uint64_t bytes, uint64_t blocks)
{
    assert_int_equal(counts.bytes, bytes);
    assert_int_equal(counts.blocks, blocks);
}

/* ---- sums ------------------------------------------------------------------------- */

static void
site_without_events_is_all_zero(void **state)
{
    (void)state;
    allocate(true, 1, 10);
    for (uint32_t site = 2; site < 5000; site += 1500) {
        assert_counts(totals(site).peak, 0, 0);
        assert_counts(totals(site).total, 0, 0);
    }
}

static void
live_is_what_was_allocated_and_not_freed(void **state)
{
    (void)state;
    allocate(true, 1, 100);
    allocate(true, 1, 0);
    allocate(true, 2, 1000);
    release(true, 1, 100);
    assert_counts(totals(1).live, 0, 1);
    assert_counts(totals(1).total, 100, 2);
    assert_counts(totals(2).live, 1000, 1);
}

static void
block_freed_in_another_lane_than_it_was_allocated_sums_to_zero(void **state)
{
    (void)state;
    allocate(true, 1, (size_t)5 << 30);
    allocate(false, 1, 30);
    release(false, 1, (size_t)5 << 30);
    release(true, 1, 30);
    assert_counts(totals(1).live, 0, 0);
    assert_counts(totals(1).total, ((uint64_t)5 << 30) + 30, 2);
    assert_counts(totals(1).peak, ((uint64_t)5 << 30) + 30, 2);
    assert_int_equal(mp_clock_now(&the_clock), 0);
}

static void
sites_at_the_borders_of_lane_chunks_are_apart(void **state)
{
    (void)state;
    const uint32_t sites[] = {0, 1, MP_LANE_CHUNK - 1, MP_LANE_CHUNK, LAST_SITE - 1, LAST_SITE};
    for (uint32_t i = 0; i < 6; i++)
        allocate(true, sites[i], i + 1);
    for (uint32_t i = 0; i < 6; i++)
        assert_counts(totals(sites[i]).live, i + 1, 1);
    assert_null(mp_lane_add(&lanes[1], LAST_SITE + 1));
}

static void
lane_without_memory_has_no_tally_and_gets_it_later(void **state)
{
    (void)state;
    mp_mem_fail_nth(1);
    assert_null(mp_lane_reach(&lanes[1], 5));
    const struct mp_tally *tally = mp_lane_reach(&lanes[1], 5);
    assert_non_null(tally);
    assert_ptr_equal(mp_lane_find(&lanes[1], 5), tally);
}

static void
cleared_lane_starts_from_zero(void **state)
{
    (void)state;
    allocate(true, 1, 100);
    release(true, 1, 40);
    mp_lane_clear(&lanes[1]);
    mp_clock_clear(&the_clock);
    assert_counts(totals(1).total, 0, 0);
    allocate(true, 1, 7);
    assert_counts(totals(1).live, 7, 1);
    assert_counts(totals(1).peak, 7, 1);
    assert_int_equal(the_clock.peak, 7);
}

/* ---- the peak ------------------------------------------------------------------------ */

static void
peak_of_a_site_is_what_it_had_at_the_peak_of_all(void **state)
{
    (void)state;
    allocate(true, 1, 100);
    allocate(true, 2, 50); /* the peak: 150 */
    release(true, 1, 100);
    allocate(true, 2, 90); /* most that site 2 ever had, but 140 in all */
    assert_int_equal(the_clock.peak, 150);
    assert_counts(totals(1).peak, 100, 1);
    assert_counts(totals(2).peak, 50, 1);
    allocate(true, 3, 10); /* an equal maximum is not a new one */
    assert_counts(totals(3).peak, 0, 0);
    release(true, 3, 10);
    allocate(true, 3, 11); /* 151 */
    assert_counts(totals(1).peak, 0, 0);
    assert_counts(totals(2).peak, 140, 2);
    assert_counts(totals(3).peak, 11, 1);
}

static void
empty_block_counts_at_the_peak_until_the_first_free(void **state)
{
    (void)state;
    allocate(true, 1, 0);
    assert_counts(totals(1).peak, 0, 1);
    allocate(true, 1, 100);
    allocate(true, 2, 0);
    release(true, 2, 0);
    allocate(true, 3, 0);
    assert_counts(totals(2).peak, 0, 1);
    assert_counts(totals(3).peak, 0, 0);
}

static void
reset_peak_begins_at_what_is_live(void **state)
{
    (void)state;
    allocate(true, 1, 100);
    allocate(false, 2, 30);
    release(true, 1, 100);
    mp_clock_reset_peak(&the_clock);
    assert_int_equal(the_clock.peak, 30);
    assert_counts(totals(1).peak, 0, 0);
    assert_counts(totals(2).peak, 30, 1);
    release(false, 2, 30);
    assert_counts(totals(2).peak, 30, 1);
    allocate(true, 1, 31);
    assert_counts(totals(1).peak, 31, 1);
}

/* Brute force: everything is copied whenever the total exceeds the last maximum. */
struct model {
    struct mp_counts live[SITES], peak[SITES], total[SITES];
    int64_t now, maximum;
    uint32_t site[BLOCKS]; /* live blocks */
    size_t size[BLOCKS];
    uint32_t blocks;
};

static void
model_allocate(struct model *model, uint32_t site, size_t size)
{
    model->site[model->blocks] = site;
    model->size[model->blocks++] = size;
    model->live[site].bytes += size;
    model->live[site].blocks++;
    model->total[site].bytes += size;
    model->total[site].blocks++;
    model->now += (int64_t)size;
    if (model->now > model->maximum) {
        model->maximum = model->now;
        memcpy(model->peak, model->live, sizeof model->peak);
    }
}

static void
model_free(struct model *model, uint32_t block)
{
    model->live[model->site[block]].bytes -= model->size[block];
    model->live[model->site[block]].blocks--;
    model->now -= (int64_t)model->size[block];
    model->blocks--;
    model->site[block] = model->site[model->blocks];
    model->size[block] = model->size[model->blocks];
}

static void
compare(const struct model *model)
{
    assert_int_equal(mp_clock_now(&the_clock), model->now);
    assert_int_equal(the_clock.peak, model->maximum);
    for (uint32_t site = 0; site < SITES; site++) {
        const struct mp_totals sum = totals(site);
        assert_counts(sum.live, model->live[site].bytes, model->live[site].blocks);
        assert_counts(sum.peak, model->peak[site].bytes, model->peak[site].blocks);
        assert_counts(sum.total, model->total[site].bytes, model->total[site].blocks);
    }
}

static void
random_event(struct model *model, bool main, uint32_t allocations_in_ten)
{
    if (model->blocks && (model->blocks == BLOCKS || next_random(10) >= allocations_in_ten)) {
        const uint32_t block = next_random(model->blocks);
        release(main, model->site[block], model->size[block]);
        model_free(model, block);
        return;
    }
    const uint32_t site = next_random(SITES);
    const size_t size = next_random(20) ? 1 + next_random(1000) : (size_t)3 << 31;
    allocate(main, site, size);
    model_allocate(model, site, size);
}

static void
compare_random_events(bool two_lanes, bool resets)
{
    for (int round = 0; round < 5; round++) {
        static struct model model;
        memset(&model, 0, sizeof model);
        seed = (uint64_t)round + 1;
        for (int i = 0; i < 5000; i++) {
            random_event(&model, !two_lanes || next_random(2), i / 300 % 2 ? 4 : 6);
            if (resets && next_random(300) == 0) {
                mp_clock_reset_peak(&the_clock);
                model.maximum = model.now;
                memcpy(model.peak, model.live, sizeof model.peak);
            }
            compare(&model);
        }
        tear_down(NULL);
        set_up(NULL);
    }
}

static void
peak_of_random_events_matches_a_model(void **state)
{
    (void)state;
    compare_random_events(false, false);
}

static void
peak_of_random_events_in_two_lanes_matches_a_model(void **state)
{
    (void)state;
    compare_random_events(true, false);
    compare_random_events(true, true);
}

/* ---- threads ----------------------------------------------------------------------------- */

static pthread_barrier_t all;

static void *
reach_everywhere(void *data)
{
    struct mp_tally **tallies = data;
    for (uint32_t i = 0; i < 200; i++) {
        pthread_barrier_wait(&all);
        tallies[i] = mp_lane_reach(&lanes[0], i * MP_LANE_CHUNK + i);
    }
    return NULL;
}

static void
threads_that_add_the_same_tally_share_it(void **state)
{
    (void)state;
    static struct mp_tally *tallies[THREADS][200];
    pthread_t threads[THREADS];
    pthread_barrier_init(&all, NULL, THREADS);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, reach_everywhere, tallies[t]), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < 200 * THREADS; i++)
        assert_true(tallies[0][i % 200] && tallies[i / 200][i % 200] == tallies[0][i % 200]);
}

/* ---- whole lanes -------------------------------------------------------------------------- */

static void
live_of_a_lane_is_that_of_all_its_sites(void **state)
{
    (void)state;
    assert_int_equal(mp_lane_live(&lanes[0]), 0);
    mp_tally_add(mp_lane_reach(&lanes[0], 1), &the_clock, 100);
    mp_tally_add(mp_lane_reach(&lanes[0], LAST_SITE), &the_clock, 50);
    mp_tally_remove(mp_lane_reach(&lanes[0], 1), &the_clock, 30);
    assert_int_equal(mp_lane_live(&lanes[0]), 120);
    mp_tally_remove(mp_lane_reach(&lanes[0], 7), &the_clock, 1000); /* of another lane */
    assert_int_equal(mp_lane_live(&lanes[0]), -880);
    const char *why = "";
    assert_true(mp_lane_check(&lanes[0], &why));
    assert_null(why);
}

static void
check_names_what_is_broken(void **state)
{
    (void)state;
    const char *why = "";
    struct mp_tally *tally = mp_lane_reach(&lanes[0], LAST_SITE);
    mp_tally_add(tally, &the_clock, 0); /* a block of no bytes is one */
    assert_true(mp_lane_check(&lanes[0], &why));
    tally->freed_bytes = 5;
    assert_false(mp_lane_check(&lanes[0], &why));
    assert_non_null(strstr(why, "without blocks"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(site_without_events_is_all_zero),
        TEST(live_is_what_was_allocated_and_not_freed),
        TEST(block_freed_in_another_lane_than_it_was_allocated_sums_to_zero),
        TEST(sites_at_the_borders_of_lane_chunks_are_apart),
        TEST(lane_without_memory_has_no_tally_and_gets_it_later),
        TEST(cleared_lane_starts_from_zero),
        TEST(peak_of_a_site_is_what_it_had_at_the_peak_of_all),
        TEST(empty_block_counts_at_the_peak_until_the_first_free),
        TEST(reset_peak_begins_at_what_is_live),
        TEST(peak_of_random_events_matches_a_model),
        TEST(peak_of_random_events_in_two_lanes_matches_a_model),
        TEST(threads_that_add_the_same_tally_share_it),
        TEST(live_of_a_lane_is_that_of_all_its_sites),
        TEST(check_names_what_is_broken),
    };
    return RUN_TESTS(tests);
}
