#define _GNU_SOURCE
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "record/timeline.h"
#include "record/tracer.h"

enum { MILLISECOND = 1000000 };

static const uintptr_t BASE = (uintptr_t)0x7f12 << 32;
static const struct mp_timeline_options series_only = {.series = true};

static int
start_afresh(void **state)
{
    (void)state;
    mp_mem_fail_nth(0);
    mp_timeline_stop();
    if (mp_tracer_start() != MP_OK)
        return -1;
    mp_timeline_reset();
    return 0;
}

static void
sleep_ms(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * MILLISECOND};
    nanosleep(&time, NULL);
}

static uint64_t
clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t
site_of(uint32_t stack)
{
    const struct mp_site key = {.stack = stack, .kind = MP_OBJ};
    const uint32_t site = mp_tracer_site(&key);
    assert_int_not_equal(site, 0);
    return site;
}

static void
record(uintptr_t block, uint32_t stack, size_t size)
{
    mp_tracer_record(true, BASE + block * 4096, size, site_of(stack));
}

static void
start(const struct mp_timeline_options *options)
{
    assert_int_equal(mp_timeline_start(options), MP_OK);
}

/* Let the timeline run until it has taken more checkpoints; at most a minute. */
static void
run_for(size_t checkpoints)
{
    const size_t enough = mp_timeline_series()->count + checkpoints;
    for (int tries = 0; tries < 600 && mp_timeline_series()->count < enough; tries++) {
        start(&series_only);
        sleep_ms(tries ? 100 : (long)checkpoints * 12);
        assert_true(mp_timeline_stop());
    }
    assert_true(mp_timeline_series()->count >= enough);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void
checkpoint_has_the_sites_with_live_blocks(void **state)
{
    (void)state;
    record(1, 5, 100);
    record(2, 6, 200);
    record(3, 7, 300);
    record(4, 7, 50);
    mp_tracer_free(true, BASE + 2 * 4096);
    mp_timeline_take();
    const struct mp_checkpoint *checkpoint = &mp_timeline_series()->checkpoints[0];
    assert_int_equal(mp_timeline_series()->count, 1);
    assert_int_equal(checkpoint->count, 2);
    assert_int_equal(checkpoint->traced, 450);
    assert_true(checkpoint->rss > 100000);
    assert_true(checkpoint->points[0].id < checkpoint->points[1].id);
    const struct mp_point five = mp_checkpoint_find(checkpoint, site_of(5));
    const struct mp_point seven = mp_checkpoint_find(checkpoint, site_of(7));
    assert_true(five.bytes == 100 && five.blocks == 1);
    assert_true(seven.bytes == 350 && seven.blocks == 2);
}

static void
running_timeline_takes_checkpoints_every_10_ms(void **state)
{
    (void)state;
    record(1, 5, 100);
    run_for(5);
    const struct mp_series *series = mp_timeline_series();
    for (size_t i = 0; i < series->count; i++) {
        const struct mp_checkpoint *checkpoint = &series->checkpoints[i];
        const uint64_t before = i ? series->checkpoints[i - 1].time : 0;
        assert_true(checkpoint->time >= before + 10 * MILLISECOND);
        assert_true(checkpoint->time <= mp_timeline_time());
        assert_true(checkpoint->count == 1 && checkpoint->points[0].bytes == 100);
    }
}

static void
series_goes_on_after_a_stop(void **state)
{
    (void)state;
    run_for(2);
    const size_t count = mp_timeline_series()->count;
    const uint64_t last = mp_timeline_series()->checkpoints[count - 1].time;
    run_for(1);
    assert_true(mp_timeline_series()->count > count);
    assert_true(mp_timeline_series()->checkpoints[count].time > last);
}

static void
reset_begins_at_time_0_without_checkpoints(void **state)
{
    (void)state;
    mp_timeline_take();
    assert_int_equal(mp_timeline_series()->checkpoints[0].count, 0); /* it may be empty */
    const size_t before = mp_mem_mapped();
    sleep_ms(2);
    const uint64_t late = mp_timeline_time();
    const uint64_t begin = clock_now();
    mp_timeline_reset();
    assert_true(late >= 2 * MILLISECOND);
    assert_int_equal(mp_timeline_series()->count, 0);
    assert_true(mp_mem_mapped() < before);
    mp_timeline_take();
    assert_true(mp_timeline_series()->checkpoints[0].time <= clock_now() - begin);
}

static void
checkpoint_without_memory_is_left_out(void **state)
{
    (void)state;
    record(1, 5, 100);
    const size_t before = mp_mem_mapped();
    long n = 0;
    while (mp_timeline_series()->count == 0) {
        assert_int_equal(mp_mem_mapped(), before);
        mp_mem_fail_nth(++n);
        mp_timeline_take();
        mp_mem_fail_nth(0);
    }
    assert_int_equal(n, 3); /* the points, and giving back what is too much */
    mp_timeline_reset();
    assert_int_equal(mp_mem_mapped(), before);
}

static _Atomic bool ended;

static void *
record_and_free(void *data)
{
    const uint32_t site = *(uint32_t *)data;
    while (!atomic_load(&ended)) {
        mp_tracer_record(false, BASE + 4096, 100, site);
        mp_tracer_free(false, BASE + 4096);
    }
    return NULL;
}

/* There is one block of 100 bytes or none. */
static void
checkpoints_are_sound_while_others_record(void **state)
{
    (void)state;
    pthread_t thread;
    uint32_t site = site_of(5);
    uint64_t most = 0;
    atomic_store(&ended, false);
    assert_int_equal(pthread_create(&thread, NULL, record_and_free, &site), 0);
    for (int round = 0; round < 2000; round++) {
        mp_timeline_take();
        const struct mp_series *series = mp_timeline_series();
        const struct mp_point point =
            mp_checkpoint_find(&series->checkpoints[series->count - 1], site);
        most = point.bytes > most ? point.bytes : most;
    }
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
    assert_true(most <= 1000);
}

/* Who reads the allocations, then the frees, sees a free too many when both come between. */
static void
checkpoint_has_no_numbers_below_zero(void **state)
{
    (void)state;
    const uint32_t site = site_of(5);
    mp_lanes_count_free(&mp_tracer.lanes, false, site, 100);
    mp_timeline_take();
    mp_lanes_count_alloc(&mp_tracer.lanes, true, site, 100);
    assert_int_equal(mp_timeline_series()->count, 1);
    assert_int_equal(mp_timeline_series()->checkpoints[0].count, 0);
}

/* ---- calls --------------------------------------------------------------------------------- */

static _Atomic int calls, open_signals;
static pthread_t caller;

static void
count_call(void *data)
{
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    atomic_store(&open_signals, !sigismember(&blocked, SIGINT) + !sigismember(&blocked, SIGALRM) +
                                    !sigismember(&blocked, SIGPROF));
    caller = pthread_self();
    atomic_fetch_add(&calls, *(int *)data);
}

static struct mp_timeline_options
calling(bool series, uint64_t milliseconds)
{
    static int one = 1;
    atomic_store(&calls, 0);
    return (struct mp_timeline_options){series, milliseconds * MILLISECOND, count_call, &one};
}

static void
run_until_called(const struct mp_timeline_options *options, int times)
{
    start(options);
    for (int i = 0; i < 60000 && atomic_load(&calls) < times; i++)
        sleep_ms(1);
    assert_true(mp_timeline_stop());
    assert_true(atomic_load(&calls) >= times);
}

static void
function_is_called_at_its_interval_by_another_thread(void **state)
{
    (void)state;
    const struct mp_timeline_options options = calling(false, 5);
    const uint64_t begin = mp_timeline_time();
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    run_until_called(&options, 4);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(mp_timeline_time() - begin >= (uint64_t)atomic_load(&calls) * 5 * MILLISECOND);
    assert_false(pthread_equal(caller, pthread_self()));
    assert_int_equal(atomic_load(&open_signals), 0);
    assert_int_equal(mp_timeline_series()->count, 0); /* no checkpoints were asked for */
    for (int signal = 1; signal < 32; signal++) /* ours are as they were */
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    const int count = atomic_load(&calls);
    sleep_ms(15);
    assert_int_equal(atomic_load(&calls), count);
}

static void
checkpoints_and_calls_go_together(void **state)
{
    (void)state;
    const struct mp_timeline_options options = calling(true, 15);
    run_until_called(&options, 3);
    assert_true(mp_timeline_series()->count >= 1);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void
start_and_stop_may_be_repeated(void **state)
{
    (void)state;
    const struct mp_timeline_options nothing = {.call = count_call};
    assert_false(mp_timeline_stop());
    start(&nothing);
    assert_false(mp_timeline_stop()); /* there was nothing to do */
    const struct mp_timeline_options options = calling(false, 3600000);
    start(&options);
    start(&series_only); /* no-op */
    sleep_ms(25);
    assert_true(mp_timeline_stop());
    assert_int_equal(mp_timeline_series()->count, 0);
}

static void
stop_does_not_wait_for_the_interval(void **state)
{
    (void)state;
    const struct mp_timeline_options options = calling(false, 3600000);
    alarm(600); /* the interval is an hour */
    for (int i = 0; i < 50; i++) {
        start(&options);
        assert_true(mp_timeline_stop());
    }
    alarm(0);
    assert_int_equal(atomic_load(&calls), 0);
}

static _Atomic bool refuse_threads;

/* In place of libc's, so that threads can be refused. */
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
               void *data)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&create, &found, sizeof create);
    return atomic_load(&refuse_threads) ? EAGAIN : create(thread, attributes, run, data);
}

static void
thread_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    atomic_store(&refuse_threads, true);
    errno = 0;
    const int status = mp_timeline_start(&series_only);
    const int error = errno;
    atomic_store(&refuse_threads, false);
    assert_int_equal(status, MP_SYSTEM);
    assert_false(mp_timeline_stop());
    run_for(1); /* it can be made later */
    assert_int_equal(error, EAGAIN); /* as MP_SYSTEM promises */
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* Go on in a forked child; 0 when the timeline works there. */
static int
go_on_in_child(void)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        alarm(120);
        const size_t count = mp_timeline_series()->count;
        if (mp_timeline_stop())
            _exit(1); /* there is no thread to stop */
        for (int i = 0; i < 2000 && mp_timeline_series()->count == count; i++) {
            if (mp_timeline_start(&series_only) != MP_OK)
                _exit(2);
            sleep_ms(15);
            mp_timeline_stop();
        }
        _exit(mp_timeline_series()->count > count ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
series_goes_on_in_a_forked_child(void **state)
{
    (void)state;
    run_for(1);
    assert_int_equal(go_on_in_child(), 0);
    run_for(1); /* and in the parent */
}

static void
child_of_a_running_timeline_has_none_and_may_start_one(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it allows no new threads then */
#endif
    const struct mp_timeline_options options = calling(false, 1);
    start(&options);
    assert_int_equal(go_on_in_child(), 0);
    assert_true(mp_timeline_stop());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(checkpoint_has_the_sites_with_live_blocks, start_afresh),
        cmocka_unit_test_setup(running_timeline_takes_checkpoints_every_10_ms, start_afresh),
        cmocka_unit_test_setup(series_goes_on_after_a_stop, start_afresh),
        cmocka_unit_test_setup(reset_begins_at_time_0_without_checkpoints, start_afresh),
        cmocka_unit_test_setup(checkpoint_without_memory_is_left_out, start_afresh),
        cmocka_unit_test_setup(checkpoints_are_sound_while_others_record, start_afresh),
        cmocka_unit_test_setup(checkpoint_has_no_numbers_below_zero, start_afresh),
        cmocka_unit_test_setup(function_is_called_at_its_interval_by_another_thread, start_afresh),
        cmocka_unit_test_setup(checkpoints_and_calls_go_together, start_afresh),
        cmocka_unit_test_setup(start_and_stop_may_be_repeated, start_afresh),
        cmocka_unit_test_setup(stop_does_not_wait_for_the_interval, start_afresh),
        cmocka_unit_test_setup(thread_that_cannot_be_made_is_an_error, start_afresh),
        cmocka_unit_test_setup(series_goes_on_in_a_forked_child, start_afresh),
        cmocka_unit_test_setup(child_of_a_running_timeline_has_none_and_may_start_one, start_afresh),
    };
    return RUN_TESTS(tests);
}
