#define _GNU_SOURCE
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "record/pulse.h"

#define CASE(name) static void name(void **state __attribute__((unused)))

enum { MILLISECOND = 1000000, MANY = 200 };
static const uint64_t NEVER = UINT64_MAX;

/* A function that notes when and by whom it is called, and takes its time. */
struct note {
    uint64_t interval, takes; /* nanoseconds */
    _Atomic size_t begun, count;
    uint64_t begin[MANY], end[MANY];
    pthread_t caller;
    int signals; /* that could be delivered to it */
};

static uint64_t
take_note(void *data)
{
    struct note *note = data;
    const size_t i = atomic_load(&note->count);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    note->signals = !sigismember(&blocked, SIGINT) + !sigismember(&blocked, SIGPROF);
    note->caller = pthread_self();
    note->begin[i % MANY] = mp_time_now();
    atomic_store(&note->begun, i + 1);
    if (note->takes)
        nanosleep(&(struct timespec){.tv_nsec = (long)note->takes}, NULL);
    note->end[i % MANY] = mp_time_now();
    atomic_store(&note->count, i + 1);
    return note->interval;
}

static void
wait_for(const struct note *note, size_t count)
{
    for (int i = 0; i < 20000 && atomic_load(&note->count) < count; i++)
        nanosleep(&(struct timespec){.tv_nsec = MILLISECOND}, NULL);
    assert_true(atomic_load(&note->count) >= count);
}

static struct mp_beat
beat_of(struct note *note)
{
    return (struct mp_beat){.call = take_note, .data = note, .wait = note->interval};
}

/* ---- calls ---------------------------------------------------------------------------------- */

CASE(function_is_called_by_a_thread_of_ours_at_its_interval)
{
    struct mp_pulse pulse = {0};
    struct note note = {.interval = 2 * MILLISECOND, .takes = MILLISECOND};
    struct mp_beat beat = beat_of(&note);
    const uint64_t begin = mp_time_now();
    assert_false(mp_pulse_runs(&pulse));
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    assert_true(mp_pulse_runs(&pulse));
    wait_for(&note, 5);
    assert_true(mp_pulse_stop(&pulse));
    assert_false(mp_pulse_runs(&pulse));
    const size_t count = atomic_load(&note.count);
    assert_true(note.begin[0] - begin >= note.interval);
    for (size_t i = 1; i < 5; i++) /* from the end of a call on */
        assert_true(note.begin[i] - note.end[i - 1] >= note.interval);
    assert_false(pthread_equal(note.caller, pthread_self()));
    assert_int_equal(note.signals, 0);
    nanosleep(&(struct timespec){.tv_nsec = 10 * MILLISECOND}, NULL);
    assert_int_equal(atomic_load(&note.count), count); /* no more */
}

CASE(each_function_has_an_interval_of_its_own)
{
    struct mp_pulse pulse = {0};
    struct note often = {.interval = MILLISECOND}, seldom = {.interval = 8 * MILLISECOND};
    struct note never = {.interval = NEVER};
    struct mp_beat beats[] = {beat_of(&seldom), beat_of(&never), beat_of(&often)};
    assert_int_equal(mp_pulse_start(&pulse, beats, 3), MP_OK);
    wait_for(&seldom, 3);
    assert_true(mp_pulse_stop(&pulse));
    assert_true(atomic_load(&often.count) > atomic_load(&seldom.count));
    assert_int_equal(atomic_load(&never.count), 0);
    assert_true(pthread_equal(often.caller, seldom.caller)); /* there is one thread */
}

static uint64_t
double_it(void *data)
{
    struct note *note = data;
    take_note(note);
    return note->interval *= 2;
}

CASE(function_says_itself_when_it_is_called_next)
{
    struct mp_pulse pulse = {0};
    struct note note = {.interval = MILLISECOND};
    struct mp_beat beat = {.call = double_it, .data = &note, .wait = 0};
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    wait_for(&note, 5);
    assert_true(mp_pulse_stop(&pulse));
    for (size_t i = 1; i < 5; i++)
        assert_true(note.begin[i] - note.end[i - 1] >= (uint64_t)MILLISECOND << i);
}

CASE(slow_function_of_one_pulse_does_not_delay_another_pulse)
{
    struct mp_pulse slow_pulse = {0}, pulse = {0};
    struct note slow = {.interval = MILLISECOND, .takes = 300 * MILLISECOND};
    struct note note = {.interval = MILLISECOND};
    struct mp_beat slow_beat = beat_of(&slow), beat = beat_of(&note);
    assert_int_equal(mp_pulse_start(&slow_pulse, &slow_beat, 1), MP_OK);
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    wait_for(&slow, 1);
    assert_true(mp_pulse_stop(&pulse));
    assert_true(mp_pulse_stop(&slow_pulse));
    size_t meanwhile = 0;
    for (size_t i = 0; i < atomic_load(&note.count) && i < MANY; i++)
        meanwhile += note.begin[i] > slow.begin[0] && note.begin[i] < slow.end[0];
    assert_true(meanwhile >= 3);
}

/* ---- start and stop -------------------------------------------------------------------------- */

CASE(stop_waits_for_a_call_and_not_for_the_interval)
{
    struct mp_pulse pulse = {0};
    struct note note = {.interval = 3600u * 1000 * (uint64_t)MILLISECOND,
                        .takes = 50 * MILLISECOND};
    struct mp_beat beat = beat_of(&note);
    const uint64_t begin = mp_time_now();
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
        assert_true(mp_pulse_stop(&pulse));
        assert_false(mp_pulse_stop(&pulse));
    }
    assert_int_equal(atomic_load(&note.count), 0);
    beat.wait = 0;
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    while (!atomic_load(&note.begun))
        ;
    assert_true(mp_pulse_stop(&pulse));
    assert_int_equal(atomic_load(&note.count), 1); /* it came to its end */
    assert_true(mp_time_now() - begin < note.interval);
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

CASE(thread_that_cannot_be_made_is_an_error_and_may_come_later)
{
    struct mp_pulse pulse = {0};
    struct note note = {.interval = MILLISECOND};
    struct mp_beat beat = beat_of(&note);
    atomic_store(&refuse_threads, true);
    errno = 0;
    const int status = mp_pulse_start(&pulse, &beat, 1);
    const int error = errno;
    atomic_store(&refuse_threads, false);
    assert_int_equal(status, MP_SYSTEM);
    assert_int_equal(error, EAGAIN);
    assert_false(mp_pulse_runs(&pulse));
    assert_false(mp_pulse_stop(&pulse));
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    wait_for(&note, 1);
    assert_true(mp_pulse_stop(&pulse));
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* 0: in a forked child the pulse has stopped, and works when it is started again. */
static int
go_on_in_child(struct mp_pulse *pulse, struct mp_beat *beat)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        struct note *note = beat->data;
        alarm(100);
        if (mp_pulse_runs(pulse) || mp_pulse_stop(pulse))
            _exit(1);
        const size_t before = atomic_load(&note->count);
        if (mp_pulse_start(pulse, beat, 1) != MP_OK)
            _exit(2);
        while (atomic_load(&note->count) == before)
            ;
        _exit(mp_pulse_stop(pulse) ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

CASE(child_has_no_thread_and_may_start_one)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* it allows no new threads then */
#endif
    struct mp_pulse pulse = {0};
    struct note note = {.interval = MILLISECOND / 10};
    struct mp_beat beat = beat_of(&note);
    assert_int_equal(mp_pulse_start(&pulse, &beat, 1), MP_OK);
    for (int i = 0; i < 20; i++) /* whatever the thread is at, its lock included */
        assert_int_equal(go_on_in_child(&pulse, &beat), 0);
    assert_true(mp_pulse_runs(&pulse)); /* the parent's goes on */
    wait_for(&note, atomic_load(&note.count) + 1);
    assert_true(mp_pulse_stop(&pulse));
    assert_int_equal(go_on_in_child(&pulse, &beat), 0); /* stopped before, too */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_is_called_by_a_thread_of_ours_at_its_interval),
        cmocka_unit_test(each_function_has_an_interval_of_its_own),
        cmocka_unit_test(function_says_itself_when_it_is_called_next),
        cmocka_unit_test(slow_function_of_one_pulse_does_not_delay_another_pulse),
        cmocka_unit_test(stop_waits_for_a_call_and_not_for_the_interval),
        cmocka_unit_test(thread_that_cannot_be_made_is_an_error_and_may_come_later),
        cmocka_unit_test(child_has_no_thread_and_may_start_one),
    };
    return RUN_TESTS(tests);
}
