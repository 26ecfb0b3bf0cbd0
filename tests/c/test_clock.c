#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <pthread.h>

#include "os/clock.h"

enum { MILLISECOND = 1000000, SECOND = 1000000000 };

static void
time_never_goes_back_and_goes_on(void **state)
{
    (void)state;
    const uint64_t begin = mp_time_now();
    for (uint64_t last = begin, now; last - begin < MILLISECOND; last = now) {
        now = mp_time_now();
        assert_true(now >= last);
    }
}

static void
time_of_day_counts_from_1970(void **state)
{
    (void)state;
    const time_t before = time(NULL);
    const int64_t now = mp_time_of_day();
    assert_in_range(now / SECOND, before, time(NULL) + 1);
}

static void
deadline_is_so_far_ahead_in_a_form_that_waits_take(void **state)
{
    (void)state;
    const uint64_t aheads[] = {0, 1, 999999999, SECOND, 5 * (uint64_t)SECOND + 999999999};
    for (size_t i = 0; i < sizeof aheads / sizeof *aheads; i++) {
        const uint64_t before = mp_time_now();
        const struct timespec deadline = mp_time_deadline(aheads[i]);
        const uint64_t at = (uint64_t)deadline.tv_sec * SECOND + (uint64_t)deadline.tv_nsec;
        assert_in_range(deadline.tv_nsec, 0, SECOND - 1);
        assert_in_range(at, before + aheads[i], mp_time_now() + aheads[i]);
    }
}

/* "For ever" is far ahead, and not in the past. */
static void
deadline_beyond_all_time_is_the_end_of_time(void **state)
{
    (void)state;
    const uint64_t aheads[] = {UINT64_MAX, UINT64_MAX - 5, INT64_MAX};
    for (size_t i = 0; i < sizeof aheads / sizeof *aheads; i++) {
        const struct timespec deadline = mp_time_deadline(aheads[i]);
        assert_int_equal(deadline.tv_sec, INT64_MAX / SECOND);
        assert_in_range(deadline.tv_nsec, 0, SECOND - 1);
    }
}

static void
a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_condattr_t attributes;
    pthread_cond_t never;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&never, &attributes);
    const uint64_t begin = mp_time_now();
    const struct timespec deadline = mp_time_deadline(2 * MILLISECOND);
    int status = 0;
    pthread_mutex_lock(&mutex);
    while (status == 0)
        status = pthread_cond_timedwait(&never, &mutex, &deadline);
    pthread_mutex_unlock(&mutex);
    assert_int_equal(status, ETIMEDOUT);
    assert_true(mp_time_now() - begin >= 2 * MILLISECOND);
    pthread_cond_destroy(&never);
    pthread_condattr_destroy(&attributes);
}

/* Ticks have a constant rate; a thread that has to wait for a processor makes it look lower or
 * higher, so the best of some readings counts. */
static void
ticks_go_by_as_time_does(void **state)
{
    (void)state;
    double closest = 1e9;
    for (int i = 0; i < 20; i++) {
        const double one = (double)mp_ticks_of(MILLISECOND / 2);
        const double four = (double)mp_ticks_of(2 * MILLISECOND);
        const double error = four / one > 4 ? four / one / 4 : 4 / (four / one);
        assert_true(one > 0);
        if (error < closest)
            closest = error;
    }
    assert_true(closest < 1.2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_never_goes_back_and_goes_on),
        cmocka_unit_test(time_of_day_counts_from_1970),
        cmocka_unit_test(deadline_is_so_far_ahead_in_a_form_that_waits_take),
        cmocka_unit_test(deadline_beyond_all_time_is_the_end_of_time),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(ticks_go_by_as_time_does),
    };
    return RUN_TESTS(tests);
}
