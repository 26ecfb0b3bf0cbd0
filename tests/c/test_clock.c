#define _GNU_SOURCE
#include "test.h"

#include <time.h>

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
        cmocka_unit_test(ticks_go_by_as_time_does),
    };
    return RUN_TESTS(tests);
}
