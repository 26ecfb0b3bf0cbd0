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

/* ---- these two come first: nothing is attached yet -------------------- */

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
        mp_thread_quiesce(MP_QUIESCE_PATIENCE);
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

static void
set_up_nothing(void)
{
}

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
    if (free_block->idle || free_block->stack_end || free_block->chained || free_block->fresh)
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
    witness.self->stack_end = witness.self->fresh = 4096;
    witness.self->chained = set_up_nothing;
    const int answer = in_child(take_over_blocks);
    witness.self->idle = MP_GUARD_FREE;
    witness.self->chained = NULL;
    const bool kept = witness.self->in_use && witness.self->guard == 1;
    leave(&witness, 1);
    assert_int_equal(answer, 0);
    assert_true(kept); /* the parent's are untouched */
}

/* ---- scratch -------------------- */

static void
scratch_grows_and_keeps_its_contents(void **state)
{
    (void)state;
    static struct mp_thread block;
    for (size_t count = 1; count <= 100000; count *= 3) {
        assert_true(mp_thread_reserve_frames(&block, count));
        assert_true(mp_thread_reserve_text(&block, count));
        assert_true(block.frame_capacity >= count && block.text_capacity >= count);
        block.frames[count - 1].code = count;
        block.text[count - 1] = (char)count;
        for (size_t old = 1; old <= count; old *= 3) {
            assert_int_equal(block.frames[old - 1].code, old);
            assert_int_equal(block.text[old - 1], (char)old);
        }
    }
    mp_mem_free(block.frames, block.frame_capacity * sizeof *block.frames);
    mp_mem_free(block.text, block.text_capacity);
}

static void
scratch_asks_for_memory_only_to_grow_and_without_it_stays(void **state)
{
    (void)state;
    static struct mp_thread block;
    for (size_t count = 0; count <= 10000; count += 10000) { /* the first, and a larger one */
        const struct mp_thread before = block;
        mp_mem_fail_nth(1);
        assert_false(mp_thread_reserve_frames(&block, count + 1));
        mp_mem_fail_nth(1);
        assert_false(mp_thread_reserve_text(&block, count + 1));
        assert_ptr_equal(block.frames, before.frames);
        assert_ptr_equal(block.text, before.text);
        assert_int_equal(block.frame_capacity, before.frame_capacity);
        assert_int_equal(block.text_capacity, before.text_capacity);
        assert_true(mp_thread_reserve_frames(&block, count + 1));
        assert_true(mp_thread_reserve_text(&block, count + 1));
        mp_mem_fail_nth(1);
        assert_true(mp_thread_reserve_frames(&block, block.frame_capacity));
        assert_true(mp_thread_reserve_text(&block, block.text_capacity));
        mp_mem_fail_nth(0);
    }
    mp_mem_free(block.frames, block.frame_capacity * sizeof *block.frames);
    mp_mem_free(block.text, block.text_capacity);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attach_without_a_free_key_leaves_the_keys_of_others_alone),
        cmocka_unit_test(attach_without_memory_returns_null_and_works_later),
        cmocka_unit_test(each_living_thread_has_a_block_of_its_own),
        cmocka_unit_test(block_of_an_ended_thread_is_quiet_and_serves_the_next),
        cmocka_unit_test(hook_called_as_the_thread_ends_leaves_its_block_free),
        cmocka_unit_test(quiesce_waits_for_a_hook_in_flight),
        cmocka_unit_test(quiesce_gives_up_on_a_straggler),
        cmocka_unit_test(blocks_of_other_threads_are_free_in_a_forked_child),
        cmocka_unit_test(scratch_grows_and_keeps_its_contents),
        cmocka_unit_test(scratch_asks_for_memory_only_to_grow_and_without_it_stays),
    };
    return RUN_TESTS(tests);
}
