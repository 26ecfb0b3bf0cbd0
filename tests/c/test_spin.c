#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spin.h"

#define CASE(name) static void name(void **state __attribute__((unused)))

enum { THREADS = 4, TURNS = 20000 };

static struct mp_spin plain, low, high;
static long counter; /* plain: the lock is all that protects it */

static void *
count_under_lock(void *data)
{
    for (int i = 0; i < TURNS; i++) {
        mp_spin_lock(&plain);
        counter++;
        mp_spin_unlock(&plain);
    }
    return data;
}

CASE(one_thread_at_a_time_is_let_in)
{
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, count_under_lock, NULL), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(counter, THREADS * TURNS);
}

/* ---- ranks: what is wrong ends the process, so it is done in a forked one ----------------- */

/* The signal that ended it, 0: it came to its end. */
static int
end_of(void (*body)(void))
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        alarm(100);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (!freopen("/dev/null", "w", stderr)) /* what assert() says is expected */
            _exit(2);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int
register_both(void **state)
{
    (void)state;
    return mp_spin_register(&low, MP_RANK_LIFE) && mp_spin_register(&high, MP_RANK_SIDE) ? 0 : -1;
}

static void
take_in_order(void)
{
    for (int i = 0; i < 3; i++) {
        mp_spin_lock(&low);
        mp_spin_lock(&plain);
        mp_spin_lock(&high);
        mp_spin_unlock(&low); /* it does not matter in which order they are given back */
        mp_spin_unlock(&high);
        mp_spin_unlock(&plain);
    }
}

static void
take_in_wrong_order(void)
{
    mp_spin_lock(&high);
    mp_spin_lock(&low);
}

static void
take_twice(void)
{
    mp_spin_lock(&plain);
    mp_spin_lock(&plain);
}

static void
give_back_what_is_not_held(void)
{
    mp_spin_unlock(&low);
}

static void
register_another_with_the_same_rank(void)
{
    mp_spin_register(&plain, MP_RANK_SIDE);
}

CASE(locks_are_taken_in_the_order_of_their_ranks)
{
    assert_int_equal(end_of(take_in_order), 0);
    assert_int_equal(end_of(take_in_wrong_order), SIGABRT);
}

CASE(nobody_waits_for_himself_or_gives_back_what_is_not_his)
{
    assert_int_equal(end_of(take_twice), SIGABRT);
    assert_int_equal(end_of(give_back_what_is_not_held), SIGABRT);
}

CASE(two_locks_never_have_one_rank)
{
    assert_true(mp_spin_register(&low, MP_RANK_LIFE)); /* the same again is fine */
    assert_int_equal(end_of(register_another_with_the_same_rank), SIGABRT);
}

static struct mp_spin late;

CASE(lock_may_be_held_when_it_gets_its_rank)
{
    mp_spin_lock(&late);
    assert_true(mp_spin_register(&late, MP_RANK_SUSPENDED));
    mp_spin_unlock(&late);
    mp_spin_lock(&late);
    mp_spin_unlock(&late);
}

/* ---- fork --------------------------------------------------------------------------------- */

static struct {
    _Atomic bool ended;
    long first, second; /* equal whenever nobody holds `high` */
} guarded;

static void *
change_under_lock(void *data)
{
    while (!atomic_load(&guarded.ended)) {
        mp_spin_lock(&high);
        guarded.first++;
        for (volatile int i = 0; i < 100; i++)
            ;
        guarded.second++;
        mp_spin_unlock(&high);
    }
    return data;
}

static void
look_in_child(void)
{
    mp_spin_lock(&low);
    mp_spin_lock(&high);
    if (guarded.first != guarded.second)
        abort();
}

CASE(child_finds_whole_what_locks_guard_and_can_take_them)
{
    pthread_t threads[2];
    for (int t = 0; t < 2; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, change_under_lock, NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(end_of(look_in_child), 0);
    atomic_store(&guarded.ended, true);
    for (int t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
}

static void *
fork_often(void *failed)
{
    for (int i = 0; i < 50; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(100);
            take_in_order();
            _exit(0);
        }
        int status = -1;
        if (waitpid(child, &status, 0) != child || status)
            *(bool *)failed = true;
    }
    return NULL;
}

CASE(threads_may_fork_at_the_same_time)
{
    pthread_t threads[THREADS];
    bool failed[THREADS] = {false};
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, fork_often, &failed[t]), 0);
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        assert_false(failed[t]);
    }
    take_in_order(); /* none is held */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_at_a_time_is_let_in),
        cmocka_unit_test_setup(locks_are_taken_in_the_order_of_their_ranks, register_both),
        cmocka_unit_test(nobody_waits_for_himself_or_gives_back_what_is_not_his),
        cmocka_unit_test_setup(two_locks_never_have_one_rank, register_both),
        cmocka_unit_test(lock_may_be_held_when_it_gets_its_rank),
        cmocka_unit_test_setup(child_finds_whole_what_locks_guard_and_can_take_them, register_both),
        cmocka_unit_test_setup(threads_may_fork_at_the_same_time, register_both),
    };
    return RUN_TESTS(tests);
}
