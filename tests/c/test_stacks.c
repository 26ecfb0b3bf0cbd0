#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "tables/stacks.h"

enum { THREADS = 4, WALKS = 20000, DEPTH = 12 };

static void
make(struct mp_stacks *stacks)
{
    memset(stacks, 0xaa, sizeof *stacks);
    assert_int_equal(mp_stacks_init(stacks), MP_OK);
}

static void
assert_sound(const struct mp_stacks *stacks)
{
    const char *why;
    if (!mp_stacks_check(stacks, &why))
        fail_msg("%s", why);
}

/* Is the stack made of these locations, and nothing else? */
static void
assert_is(const struct mp_stacks *stacks, uint32_t stack, const uint32_t *locations,
          uint32_t count)
{
    while (count--) {
        uint32_t parent, location;
        assert_true(mp_stacks_at(stacks, stack, &parent, &location));
        assert_int_equal(location, locations[count]);
        assert_true(parent < stack);
        stack = parent;
    }
    assert_int_equal(stack, 0);
}

static uint32_t
push(struct mp_stacks *stacks, uint32_t parent, uint32_t location)
{
    return mp_stacks_push(stacks, parent, &location, 1);
}

/* A whole stack; `ids` of its frames may be NULL. */
static uint32_t
push_all(struct mp_stacks *stacks, const uint32_t *locations, uint32_t count, uint32_t *ids)
{
    uint32_t *frames = malloc(count * sizeof *frames);
    assert_non_null(frames);
    memcpy(frames, locations, count * sizeof *frames);
    const uint32_t top = mp_stacks_push(stacks, 0, frames, count);
    if (top && ids)
        memcpy(ids, frames, count * sizeof *ids);
    free(frames);
    return top;
}

/* ---- runs and branches ------------------------------------------------------------------- */

static void
new_stack_is_one_run_and_each_of_its_callers_has_an_id(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    const uint32_t frames[] = {7, 5, 9 | MP_FOLDED, 5};
    uint32_t ids[4];
    make(&stacks);
    const uint32_t top = push_all(&stacks, frames, 4, ids);
    assert_int_equal(mp_stacks_count(&stacks), 4);
    assert_int_equal(mp_table_count(&stacks.branches), 1);
    assert_int_equal(top, ids[3]);
    for (uint32_t i = 0; i < 4; i++)
        assert_is(&stacks, ids[i], frames, i + 1);
    assert_int_equal(push_all(&stacks, frames, 4, NULL), top);
    assert_int_equal(push(&stacks, ids[1], 9 | MP_FOLDED), ids[2]);
    assert_int_equal(mp_stacks_count(&stacks), 4);
    assert_int_equal(mp_stacks_push(&stacks, ids[2], NULL, 0), ids[2]);
    assert_sound(&stacks);
    mp_stacks_destroy(&stacks);
}

static void
what_differs_is_a_branch(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    const uint32_t first[] = {1, 2, 3, 4}, second[] = {1, 2, 5, 4}, plain[] = {1, 2, 3 | MP_FOLDED};
    uint32_t ids[4], others[4];
    make(&stacks);
    push_all(&stacks, first, 4, ids);
    push_all(&stacks, second, 4, others);
    assert_true(others[0] == ids[0] && others[1] == ids[1]);
    assert_true(others[2] != ids[2] && others[3] != ids[3]);
    assert_is(&stacks, others[3], second, 4);
    const uint32_t folded = push_all(&stacks, plain, 3, NULL);
    assert_true(folded != ids[2]);
    assert_is(&stacks, folded, plain, 3);
    const uint32_t more = push(&stacks, ids[3], 6), more_of_other = push(&stacks, others[3], 6);
    assert_true(more && more_of_other && more != more_of_other);
    assert_sound(&stacks);
    mp_stacks_destroy(&stacks);
}

static void
ids_are_dense_and_no_others_are_stacks(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    uint32_t parent, location;
    make(&stacks);
    for (uint32_t i = 1; i <= 100; i++)
        assert_int_equal(push(&stacks, 0, i), i);
    for (uint32_t id = 1; id <= 100; id++)
        assert_true(mp_stacks_at(&stacks, id, &parent, &location));
    assert_false(mp_stacks_at(&stacks, 0, &parent, &location));
    assert_false(mp_stacks_at(&stacks, 101, &parent, &location));
    assert_false(mp_stacks_at(&stacks, MP_STACKS_CHUNK, &parent, &location));
    assert_false(mp_stacks_at(&stacks, UINT32_MAX, &parent, &location));
    mp_stacks_destroy(&stacks);
}

static void
long_stack_is_kept_whole(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    static uint32_t frames[2 * MP_STACKS_CHUNK + 5], ids[2 * MP_STACKS_CHUNK + 5];
    const uint32_t count = sizeof frames / sizeof *frames;
    make(&stacks);
    for (uint32_t i = 0; i < count; i++)
        frames[i] = 1 + i % 7;
    const uint32_t top = push_all(&stacks, frames, count, ids);
    assert_is(&stacks, top, frames, count);
    assert_int_equal(push_all(&stacks, frames, count, NULL), top);
    assert_int_equal(push_all(&stacks, frames, 2000, NULL), ids[1999]);
    assert_int_equal(mp_stacks_count(&stacks), count);
    assert_sound(&stacks);
    mp_stacks_destroy(&stacks);
}

/* ---- many ---------------------------------------------------------------------------------- */

static uint32_t
next_random(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}

/* The locations of a walk, the same whenever it is asked. */
static void
walk_of(uint32_t walk, uint32_t frames[DEPTH])
{
    uint64_t seed = walk;
    next_random(&seed, 1);
    for (uint32_t i = 0; i < DEPTH; i++)
        frames[i] = 1 + next_random(&seed, 2 + i * 3);
}

static void
random_walks_come_back_as_they_went_in(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    static uint32_t ids[WALKS];
    uint32_t frames[DEPTH];
    make(&stacks);
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        walk_of(walk, frames);
        ids[walk] = push_all(&stacks, frames, DEPTH, NULL);
    }
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        walk_of(walk, frames);
        assert_is(&stacks, ids[walk], frames, DEPTH);
        uint32_t stack = 0;
        for (uint32_t i = 0; i < DEPTH; i++)
            stack = push(&stacks, stack, frames[i]);
        assert_int_equal(stack, ids[walk]);
    }
    assert_sound(&stacks);
    mp_stacks_destroy(&stacks);
}

static void
runs_cross_from_chunk_to_chunk(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    enum { LENGTH = 1000 };
    uint32_t frames[LENGTH], tops[3 * MP_STACKS_CHUNK / LENGTH];
    const uint32_t count = sizeof tops / sizeof *tops;
    make(&stacks);
    for (uint32_t walk = 0; walk < count; walk++) {
        for (uint32_t i = 0; i < LENGTH; i++)
            frames[i] = walk + 1;
        tops[walk] = push_all(&stacks, frames, LENGTH, NULL);
    }
    for (uint32_t walk = 0; walk < count; walk++) {
        for (uint32_t i = 0; i < LENGTH; i++)
            frames[i] = walk + 1;
        assert_is(&stacks, tops[walk], frames, LENGTH);
        assert_int_equal(push_all(&stacks, frames, LENGTH, NULL), tops[walk]);
    }
    assert_sound(&stacks);
    mp_stacks_destroy(&stacks);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void
full_tree_returns_none_and_still_finds(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    const uint32_t frames[] = {1, 2, 3};
    uint32_t ids[3], more[] = {1, 2, 3};
    make(&stacks);
    const uint32_t top = push_all(&stacks, frames, 3, NULL);
    atomic_store(&stacks.used, MP_STACKS_MAX - 2); /* as if the ids between were taken */
    assert_int_equal(mp_stacks_push(&stacks, top, more, 3), 0);
    assert_int_equal(push_all(&stacks, frames, 3, ids), top);
    assert_int_equal(mp_stacks_count(&stacks), MP_STACKS_MAX - 2);
    mp_stacks_destroy(&stacks);
}

static void
lack_of_memory_loses_what_is_new_and_no_more(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    const uint32_t frames[] = {1, 2, 3}, others[] = {1, 2, 4};
    for (long n = 1; n <= 4; n++) {
        const size_t before = mp_mem_mapped();
        memset(&stacks, 0xaa, sizeof stacks);
        mp_mem_fail_nth(n);
        int lost = mp_stacks_init(&stacks) != MP_OK;
        if (!lost) {
            lost += !push_all(&stacks, frames, 3, NULL);
            mp_mem_fail_nth(0);
            assert_sound(&stacks);
            assert_int_not_equal(push_all(&stacks, others, 3, NULL), 0);
            assert_is(&stacks, push_all(&stacks, frames, 3, NULL), frames, 3);
            assert_sound(&stacks);
            mp_stacks_destroy(&stacks);
        }
        mp_mem_fail_nth(0);
        assert_int_equal(lost, n < 4); /* cells, nodes, branches */
        assert_int_equal(mp_mem_mapped(), before);
    }
}

static void
check_sees_what_is_broken(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    const uint32_t frames[] = {1, 2, 3};
    const char *why;
    make(&stacks);
    const uint32_t top = push_all(&stacks, frames, 3, NULL);
    mp_node *nodes = stacks.chunks[0];
    struct {
        uint32_t id;
        uint64_t node;
        const char *why;
    } cases[] = {{top, (uint64_t)top << 32 | 3, "a stack is older than its caller"},
                 {top - 1, 0, "the caller of a stack is a hole"},
                 {top - 2, (uint64_t)1 << 63 | 9, "no branch leads to a run"},
                 {top, (uint64_t)(top - 2) << 32 | 3, "a run is broken"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t right = nodes[cases[i].id];
        nodes[cases[i].id] = cases[i].node;
        assert_false(mp_stacks_check(&stacks, &why));
        assert_string_equal(why, cases[i].why);
        nodes[cases[i].id] = right;
        assert_sound(&stacks);
    }
    mp_stacks_destroy(&stacks);
}

/* ---- threads -------------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct mp_stacks *stacks;
    uint32_t ids[WALKS];
};

static void *
push_walks(void *data)
{
    struct worker *worker = data;
    pthread_barrier_wait(worker->start);
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        uint32_t frames[DEPTH];
        walk_of(walk, frames);
        worker->ids[walk] = push_all(worker->stacks, frames, DEPTH, NULL);
    }
    return NULL;
}

static void
threads_that_push_the_same_walks_get_the_same_ids(void **state)
{
    (void)state;
    static struct mp_stacks stacks;
    static struct worker workers[THREADS];
    pthread_barrier_t start;
    uint32_t frames[DEPTH];
    make(&stacks);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int t = 0; t < THREADS; t++) {
        workers[t].start = &start;
        workers[t].stacks = &stacks;
        assert_int_equal(pthread_create(&workers[t].thread, NULL, push_walks, &workers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(workers[t].thread, NULL);
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        walk_of(walk, frames);
        assert_is(&stacks, workers[0].ids[walk], frames, DEPTH);
        for (int t = 1; t < THREADS; t++)
            assert_int_equal(workers[t].ids[walk], workers[0].ids[walk]);
    }
    assert_sound(&stacks);
    pthread_barrier_destroy(&start);
    mp_stacks_destroy(&stacks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_stack_is_one_run_and_each_of_its_callers_has_an_id),
        cmocka_unit_test(what_differs_is_a_branch),
        cmocka_unit_test(ids_are_dense_and_no_others_are_stacks),
        cmocka_unit_test(long_stack_is_kept_whole),
        cmocka_unit_test(random_walks_come_back_as_they_went_in),
        cmocka_unit_test(runs_cross_from_chunk_to_chunk),
        cmocka_unit_test(full_tree_returns_none_and_still_finds),
        cmocka_unit_test(lack_of_memory_loses_what_is_new_and_no_more),
        cmocka_unit_test(check_sees_what_is_broken),
        cmocka_unit_test(threads_that_push_the_same_walks_get_the_same_ids),
    };
    return RUN_TESTS(tests);
}
