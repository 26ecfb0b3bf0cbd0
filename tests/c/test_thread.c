#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "record/thread.h"

enum { THREADS = 4 };

/* Run `body` in a forked child, where the test's asserts cannot be used; its answer. */
static int
in_child(int (*body)(void))
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        alarm(100); /* a child that hangs fails */
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- these come first: nothing is attached yet -------------------- */

/* A room above that keeps a number of each thread. */
struct large {
    struct mp_thread thread;
    uint64_t own[1000];
};

static uint32_t flushed_at;
static uintptr_t forgotten;

static void
flush_large(struct mp_thread *self)
{
    flushed_at = self->generation;
}

static void
forget_large(struct mp_thread *self, const struct mp_death *death)
{
    forgotten = self->generation + death->end - death->begin;
}

static void
end_large(struct mp_thread *self)
{
    ((struct large *)self)->own[999] = 0;
}

static const struct mp_thread_extension extension = {
    .size = sizeof(struct large),
    .flush = flush_large,
    .forget = forget_large,
    .end = end_large,
};

/* As in a program without Python. */
static int
live_without_extension(void)
{
    if (mp_thread_size() != sizeof(struct mp_thread))
        return 1;
    struct mp_thread *self = mp_thread_self();
    mp_thread_flush(self, 5);
    mp_thread_forget(self, 6, &(struct mp_death){1, 2, 0});
    if (self->generation != 6)
        return 2;
    return mp_thread_extend(&extension) == MP_BAD_ARGUMENT &&
                   mp_thread_size() == sizeof(struct mp_thread)
               ? 0
               : 3; /* there is a small block already */
}

static void
block_alone_is_small_and_stays_small(void **state)
{
    (void)state;
    assert_int_equal(in_child(live_without_extension), 0);
}

static void
extension_is_made_once_before_the_first_block(void **state)
{
    (void)state;
    struct mp_thread_extension another = extension;
    assert_null(mp_thread_first());
    assert_int_equal(mp_thread_extend(&extension), MP_OK);
    assert_int_equal(mp_thread_extend(&extension), MP_OK);
    assert_int_equal(mp_thread_extend(&another), MP_BAD_ARGUMENT);
    assert_int_equal(mp_thread_size(), sizeof(struct large));
}

static void
caches_of_the_extension_are_emptied_by_it(void **state)
{
    (void)state;
    struct large *self = (struct large *)mp_thread_self();
    self->own[999] = 7; /* it is there */
    mp_thread_flush(&self->thread, 40);
    assert_int_equal(flushed_at, 40);
    mp_thread_forget(&self->thread, 41, &(struct mp_death){4096, 4196, 0});
    assert_int_equal(forgotten, 41 + 100);
    assert_int_equal(self->thread.generation, 41);
    assert_int_equal(mp_thread_extend(&extension), MP_OK); /* too late for another only */
}

/* With no thread-specific key left, every key belongs to somebody else. */
static int
attach_without_keys(void)
{
    static pthread_key_t keys[100000];
    int count = 0, changed = 0;
    while (count < 100000 && pthread_key_create(&keys[count], NULL) == 0)
        pthread_setspecific(keys[count++], "theirs");
    (void)!mp_thread_self();
    for (int i = 0; i < count; i++)
        changed += strcmp(pthread_getspecific(keys[i]), "theirs") != 0;
    return changed;
}

static void
attach_without_a_free_key_leaves_the_keys_of_others_alone(void **state)
{
    (void)state;
    assert_int_equal(in_child(attach_without_keys), 0);
}

static void
attach_without_memory_returns_null_and_works_later(void **state)
{
    (void)state;
    assert_null(mp_thread_current);
    mp_mem_fail_nth(1);
    assert_null(mp_thread_self());
    assert_null(mp_thread_current);
    assert_non_null(mp_thread_self());
    assert_ptr_equal(mp_thread_current, mp_thread_self());
}

/* ---- a thread to command -------------------- */

struct guest {
    pthread_t thread;
    struct mp_thread *self, *again;
    uint32_t guard;
};

static pthread_barrier_t together, ready, leaving; /* meetings; the test comes to the last two */

static void *
visit(void *data)
{
    struct guest *guest = data;
    pthread_barrier_wait(&together);
    guest->self = mp_thread_self();
    atomic_store(&guest->self->guard, guest->guard);
    guest->again = mp_thread_self();
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&leaving);
    return NULL;
}

static void
enter(struct guest *guests, unsigned count, uint32_t guard, void *(*body)(void *))
{
    pthread_barrier_init(&together, NULL, count);
    pthread_barrier_init(&ready, NULL, count + 1);
    pthread_barrier_init(&leaving, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        guests[i].guard = guard;
        assert_int_equal(pthread_create(&guests[i].thread, NULL, body, &guests[i]), 0);
    }
    pthread_barrier_wait(&ready);
}

static void
leave(struct guest *guests, unsigned count)
{
    pthread_barrier_wait(&leaving);
    for (unsigned i = 0; i < count; i++)
        pthread_join(guests[i].thread, NULL);
}

/* ---- blocks -------------------- */

static void
each_living_thread_has_a_block_of_its_own(void **state)
{
    (void)state;
    size_t mapped = 0;
    for (int round = 0; round < 300; round++) {
        struct guest guests[THREADS];
        enter(guests, THREADS, 0, visit);
        for (int i = 0; i < THREADS; i++) {
            assert_ptr_equal(guests[i].self, guests[i].again);
            assert_ptr_not_equal(guests[i].self, mp_thread_self());
            for (int k = 0; k < i; k++)
                assert_ptr_not_equal(guests[i].self, guests[k].self);
        }
        leave(guests, THREADS);
        mapped = round ? mapped : mp_mem_mapped();
        assert_int_equal(mp_mem_mapped(), mapped); /* later rounds need no new blocks */
    }
}

static void
block_of_an_ended_thread_is_quiet_and_serves_the_next(void **state)
{
    (void)state;
    struct guest first, second;
    enter(&first, 1, MP_GUARD_RECORDING, visit);
    leave(&first, 1);
    assert_false(first.self->in_use);
    assert_int_equal(first.self->guard, 0);
    const size_t before = mp_mem_mapped();
    enter(&second, 1, 0, visit);
    assert_int_equal(mp_mem_mapped(), before); /* one of those that were free */
    leave(&second, 1);
}

static struct mp_thread *late;

static void
call_a_hook(void *data)
{
    (void)data;
    late = mp_thread_self();
}

static void *
end_with_a_hook(void *key)
{
    pthread_setspecific(*(pthread_key_t *)key, "not null");
    (void)!mp_thread_self();
    return NULL;
}

static void
hook_called_as_the_thread_ends_leaves_its_block_free(void **state)
{
    (void)state;
    pthread_key_t key;
    pthread_t thread;
    assert_non_null(mp_thread_self()); /* so that our key is the older one and goes first */
    assert_int_equal(pthread_key_create(&key, call_a_hook), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_with_a_hook, &key), 0);
    pthread_join(thread, NULL);
    pthread_key_delete(key);
    assert_non_null(late);
    assert_false(late->in_use);
}

/* ---- quiesce -------------------- */

static _Atomic int hook_ended;

static void *
stay_in_a_hook(void *unused)
{
    struct mp_thread *self = mp_thread_self();
    atomic_store(&self->guard, MP_GUARD_RECORDING);
    pthread_barrier_wait(&ready);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&hook_ended, 1);
    atomic_store_explicit(&self->guard, 0, memory_order_release);
    pthread_barrier_wait(&leaving);
    return unused;
}

static void
quiesce_waits_for_a_hook_in_flight(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct guest guest;
        atomic_store(&hook_ended, 0);
        enter(&guest, 1, MP_GUARD_RECORDING, stay_in_a_hook);
        mp_thread_quiesce(60000); /* the guest may have to wait for a processor */
        assert_int_equal(atomic_load(&hook_ended), 1);
        leave(&guest, 1);
    }
}

static void
quiesce_gives_up_on_a_straggler(void **state)
{
    (void)state;
    struct guest guest;
    enter(&guest, 1, MP_GUARD_RECORDING, visit);
    alarm(100); /* fails if it waits for ever */
    mp_thread_quiesce(MP_QUIESCE_PATIENCE);
    alarm(0);
    assert_int_equal(guest.self->guard, MP_GUARD_RECORDING);
    leave(&guest, 1);
}

/* ---- fork -------------------- */

static struct guest witness;

static int
take_over_blocks(void)
{
    struct mp_thread *own = mp_thread_self();
    mp_thread_after_fork();
    if (mp_thread_current != own || !own->in_use)
        return 1;
    const struct mp_thread *free_block = witness.self;
    if (free_block->in_use || free_block->guard)
        return 2;
    if (free_block->idle || ((const struct large *)free_block)->own[999])
        return 4; /* what the next thread must not take for its own */
    const size_t before = mp_mem_mapped();
    mp_thread_current = NULL; /* as another thread would begin */
    const struct mp_thread *other = mp_thread_self();
    return !other || other == own || mp_mem_mapped() != before ? 3 : 0;
}

static void
blocks_of_other_threads_are_free_in_a_forked_child(void **state)
{
    (void)state;
    assert_non_null(mp_thread_self());
    enter(&witness, 1, MP_GUARD_RECORDING, visit);
    witness.self->idle = MP_GUARD_METERED;
    ((struct large *)witness.self)->own[999] = 4096;
    const int answer = in_child(take_over_blocks);
    witness.self->idle = MP_GUARD_FREE;
    const bool kept = witness.self->in_use && witness.self->guard == 1;
    leave(&witness, 1);
    assert_int_equal(answer, 0);
    assert_true(kept); /* the parent's are untouched */
}

/* ---- check -------------------- */

static void
check_names_what_is_wrong_with_a_free_block(void **state)
{
    (void)state;
    const char *why = "";
    struct mp_thread last = {0}, first = {.in_use = true, .guard = MP_GUARD_BELOW, .next = &last};
    assert_true(mp_thread_check(mp_thread_first(), &why));
    assert_null(why);
    assert_true(mp_thread_check(&first, &why));
    last.guard = MP_GUARD_RECORDING;
    assert_false(mp_thread_check(&first, &why));
    assert_non_null(strstr(why, "in a hook"));
    last.guard = MP_GUARD_FREE;
    last.idle = MP_GUARD_METERED;
    assert_false(mp_thread_check(&first, &why));
    assert_non_null(strstr(why, "meter"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_alone_is_small_and_stays_small),
        cmocka_unit_test(extension_is_made_once_before_the_first_block),
        cmocka_unit_test(attach_without_a_free_key_leaves_the_keys_of_others_alone),
        cmocka_unit_test(attach_without_memory_returns_null_and_works_later),
        cmocka_unit_test(caches_of_the_extension_are_emptied_by_it),
        cmocka_unit_test(each_living_thread_has_a_block_of_its_own),
        cmocka_unit_test(block_of_an_ended_thread_is_quiet_and_serves_the_next),
        cmocka_unit_test(hook_called_as_the_thread_ends_leaves_its_block_free),
        cmocka_unit_test(quiesce_waits_for_a_hook_in_flight),
        cmocka_unit_test(quiesce_gives_up_on_a_straggler),
        cmocka_unit_test(blocks_of_other_threads_are_free_in_a_forked_child),
        cmocka_unit_test(check_names_what_is_wrong_with_a_free_block),
    };
    return RUN_TESTS(tests);
}
