#define _GNU_SOURCE
#include "test.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/threads.h"

/* ---- threads of our own -------------------------------------------------------------- */

struct seen {
    sigset_t mask;
    uintptr_t lowest, local;
    size_t size;
    bool has_stack, is_main;
};

static void *
look_around(void *data)
{
    struct seen *seen = data;
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    seen->has_stack = mp_threads_stack(&seen->lowest, &seen->size);
    seen->local = (uintptr_t)&seen;
    seen->is_main = mp_threads_is_main();
    return seen;
}

static struct seen
see_from_a_thread_of_ours(void)
{
    struct seen seen;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(mp_threads_start(&thread, look_around, &seen), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &seen);
    return seen;
}

static void
our_threads_get_no_signal_and_the_starter_keeps_its_mask(void **state)
{
    (void)state;
    sigset_t before, after, one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &one, &before);
    const struct seen seen = see_from_a_thread_of_ours();
    pthread_sigmask(SIG_SETMASK, &before, &after);
    const int signals[] = {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2, SIGPROF};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        assert_int_equal(sigismember(&seen.mask, signals[i]), 1);
        assert_int_equal(sigismember(&after, signals[i]), signals[i] == SIGUSR2);
    }
}

static void
our_threads_have_a_small_stack(void **state)
{
    (void)state;
    const struct seen seen = see_from_a_thread_of_ours();
    assert_true(seen.has_stack);
    assert_in_range(seen.size, 256 * 1024, 1024 * 1024);
    assert_in_range(seen.local, seen.lowest, seen.lowest + seen.size);
}

/* ---- the calling thread ----------------------------------------------------------------- */

static void
stack_of_the_main_thread_has_its_locals(void **state)
{
    (void)state;
    uintptr_t lowest = 0;
    size_t size = 0;
    assert_true(mp_threads_stack(&lowest, &size));
    assert_in_range((uintptr_t)&size, lowest, lowest + size);
}

static void
the_first_thread_is_the_main_one_and_so_is_who_forked(void **state)
{
    (void)state;
    int status;
    assert_true(mp_threads_is_main());
    assert_false(see_from_a_thread_of_ours().is_main);
    const pid_t child = fork();
    if (child == 0)
        _exit(mp_threads_is_main() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
sleeping_takes_at_least_so_long(void **state)
{
    (void)state;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mp_threads_sleep(3000000);
    mp_threads_sleep(0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const int64_t slept =
        (int64_t)(end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
    assert_true(slept >= 3000000);
}

/* ---- the barrier ---------------------------------------------------------------------------- */

/* Each of two threads sets its own flag and looks at the other's. With a barrier in between on
 * one side only, they may not both miss the other. */
enum { ROUNDS = 20000 };

static struct {
    _Atomic int round, done; /* `done`: how many rounds the plain one has behind it */
    _Atomic int plain, barred;
    int plain_saw;
} duel;

static void
wait_for(_Atomic int *number, int value)
{
    for (int tries = 0; atomic_load(number) < value;)
        if (++tries % 1000 == 0)
            sched_yield();
}

static void *
set_plainly(void *unused)
{
    for (int round = 1; round <= ROUNDS; round++) {
        wait_for(&duel.round, round);
        atomic_store_explicit(&duel.plain, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        duel.plain_saw = atomic_load_explicit(&duel.barred, memory_order_relaxed);
        atomic_store(&duel.done, round);
    }
    return unused;
}

static void
barrier_orders_what_others_write_plainly(void **state)
{
    (void)state;
    pthread_t thread;
    int both_missed = 0;
    mp_threads_register_barrier();
    assert_int_equal(mp_threads_start(&thread, set_plainly, NULL), 0);
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_store(&duel.plain, 0);
        atomic_store(&duel.barred, 0);
        atomic_store(&duel.round, round);
        atomic_store_explicit(&duel.barred, 1, memory_order_relaxed);
        mp_threads_barrier();
        const int saw = atomic_load_explicit(&duel.plain, memory_order_relaxed);
        wait_for(&duel.done, round);
        both_missed += !saw && !duel.plain_saw;
    }
    pthread_join(thread, NULL);
    assert_int_equal(both_missed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_threads_get_no_signal_and_the_starter_keeps_its_mask),
        cmocka_unit_test(our_threads_have_a_small_stack),
        cmocka_unit_test(stack_of_the_main_thread_has_its_locals),
        cmocka_unit_test(the_first_thread_is_the_main_one_and_so_is_who_forked),
        cmocka_unit_test(sleeping_takes_at_least_so_long),
        cmocka_unit_test(barrier_orders_what_others_write_plainly),
    };
    return RUN_TESTS(tests);
}
