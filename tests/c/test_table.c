#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "base/table.h"

enum { THREADS = 4, KEYS = 20000 };

struct pair {
    struct mp_record record;
    uint32_t key, value;
};

static bool
pair_equal(const void *record, const void *key)
{
    const struct pair *a = record, *b = key;
    return a->key == b->key;
}

static uint64_t
good_hash(uint32_t key)
{
    return mp_hash_mix(0, key);
}

static uint32_t
value_of(uint32_t key)
{
    return key * 2654435761u + 1;
}

static uint32_t
intern(struct mp_table *table, uint32_t key)
{
    const struct pair pair = {.key = key, .value = value_of(key)};
    return mp_table_intern(table, good_hash(key), &pair);
}

static uint32_t
find(const struct mp_table *table, uint32_t key)
{
    const struct pair pair = {.key = key};
    return mp_table_find(table, good_hash(key), &pair);
}

static void
make(struct mp_table *table, unsigned bucket_bits)
{
    assert_int_equal(mp_table_init(table, sizeof(struct pair), bucket_bits, pair_equal), MP_OK);
}

static void
assert_sound(const struct mp_table *table)
{
    const char *why;
    if (!mp_table_check(table, &why))
        fail_msg("%s", why);
    assert_null(why);
}

/* ---- one thread ------------------------------------------------------------------ */

static void
ids_are_dense_from_one_and_equal_keys_share_them(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 4);
    assert_int_equal(mp_table_count(&table), 0);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 1; i <= 100; i++)
            assert_int_equal(intern(&table, UINT32_MAX + i), i);
    assert_int_equal(mp_table_count(&table), 100);
    assert_sound(&table);
    mp_table_destroy(&table);
}

static void
find_does_not_insert(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 4);
    assert_int_equal(find(&table, 5), 0);
    assert_int_equal(mp_table_count(&table), 0);
    const uint32_t id = intern(&table, 5);
    assert_int_equal(find(&table, 5), id);
    assert_int_equal(find(&table, 6), 0);
    mp_table_destroy(&table);
}

static void
records_with_equal_hashes_are_told_apart(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 1);
    for (uint32_t key = 0; key < 300; key++) {
        const struct pair pair = {.key = key, .value = key};
        assert_int_equal(mp_table_intern(&table, 0, &pair), key + 1);
    }
    for (uint32_t key = 0; key < 300; key++) {
        const struct pair pair = {.key = key};
        assert_int_equal(mp_table_find(&table, 0, &pair), key + 1);
    }
    assert_sound(&table);
    mp_table_destroy(&table);
}

static void
records_are_copied_whole_and_never_move(void **state)
{
    (void)state;
    struct mp_table table;
    const uint32_t count = 3 * MP_TABLE_CHUNK_RECORDS + 10;
    make(&table, 6);
    const struct pair *first = mp_table_at(&table, intern(&table, 77));
    for (uint32_t key = 1000; key < 1000 + count; key++)
        assert_int_not_equal(intern(&table, key), 0);
    assert_ptr_equal(mp_table_at(&table, find(&table, 77)), first);
    for (uint32_t key = 1000; key < 1000 + count; key++) {
        const struct pair *pair = mp_table_at(&table, find(&table, key));
        assert_true(pair->key == key && pair->value == value_of(key));
    }
    assert_sound(&table);
    mp_table_destroy(&table);
}

static void
peek_knows_only_ids_in_use(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 4);
    const uint32_t id = intern(&table, 5);
    assert_ptr_equal(mp_table_peek(&table, id), mp_table_at(&table, id));
    assert_null(mp_table_peek(&table, 0));
    assert_null(mp_table_peek(&table, id + 1));
    assert_null(mp_table_peek(&table, MP_TABLE_MAX));
    assert_null(mp_table_peek(&table, UINT32_MAX));
    mp_table_destroy(&table);
}

static void
full_table_returns_none_and_still_finds(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 4);
    const uint32_t first = intern(&table, 1);
    atomic_store(&table.used, MP_TABLE_MAX - 2); /* as if the ids between were taken */
    assert_int_equal(intern(&table, 2), MP_TABLE_MAX - 1);
    assert_int_equal(intern(&table, 3), MP_TABLE_MAX);
    assert_int_equal(intern(&table, 4), 0);
    assert_int_equal(intern(&table, 4), 0);
    assert_int_equal(mp_table_count(&table), MP_TABLE_MAX);
    assert_int_equal(find(&table, 1), first);
    assert_int_equal(intern(&table, 3), MP_TABLE_MAX);
    assert_sound(&table);
    mp_table_destroy(&table);
}

/* ---- growth ------------------------------------------------------------------------ */

/* Ids that are handed out one after the other, in pairs as of a code generator's locations. */
static uint64_t
pair_hash(uint32_t i, int way)
{
    const uint64_t low = way == 0 ? i : way == 1 ? i ^ (i + 1) : i % 7;
    const uint64_t high = way == 2 ? i / 7 : i;
    return mp_hash_mix(mp_hash_mix(0, high << 32 | low), way == 0 ? (uint64_t)i << 32 : i % 3);
}

static void
records_stay_spread_however_many_there_are(void **state)
{
    (void)state;
    static struct mp_table table;
    for (int way = 0; way < 3; way++) {
        uint32_t i = 0;
        make(&table, 4);
        for (uint32_t size = 1000; size <= 1000000; size *= 10) {
            for (; i < size; i++) {
                const struct pair pair = {.key = i, .value = value_of(i)};
                assert_int_equal(mp_table_intern(&table, pair_hash(i, way), &pair), i + 1);
            }
            const struct mp_table_spread spread = mp_table_spread(&table);
            assert_int_equal(spread.records, size);
            assert_in_range(spread.cells, size / 2, 4 * size);
            assert_true(spread.steps < 3 * spread.records);
            assert_in_range(spread.longest, 2, 20);
        }
        for (i = 0; i < 1000000; i += 997) {
            const struct pair pair = {.key = i};
            assert_int_equal(mp_table_find(&table, pair_hash(i, way), &pair), i + 1);
        }
        assert_sound(&table);
        mp_table_destroy(&table);
    }
}

static void
table_without_memory_for_cells_goes_on_and_grows_later(void **state)
{
    (void)state;
    static struct mp_table table;
    make(&table, 4);
    for (uint32_t key = 0; key < 20000; key++) {
        mp_mem_fail_nth(key && key < 10000 ? 1 : 0); /* what is asked for now are cells only */
        assert_int_equal(intern(&table, key), key + 1);
    }
    const struct mp_table_spread spread = mp_table_spread(&table);
    assert_true(spread.cells >= 8192 && spread.steps < 4 * spread.records);
    assert_sound(&table);
    mp_table_destroy(&table);
}

/* ---- lack of memory ---------------------------------------------------------------- */

static void
lack_of_memory_leaves_a_hole_and_no_more(void **state)
{
    (void)state;
    struct mp_table table;
    mp_mem_fail_nth(1);
    assert_int_equal(mp_table_init(&table, sizeof(struct pair), 4, pair_equal), MP_NO_MEMORY);
    uint32_t all_failures = 0;
    for (long n = 1; n <= 20; n++) { /* chunks of records, and cells */
        uint32_t failures = 0;
        make(&table, 6);
        mp_mem_fail_nth(n);
        for (uint32_t key = 0; key < 2 * MP_TABLE_CHUNK_RECORDS + 5; key++)
            if (!intern(&table, key)) {
                failures++;
                assert_null(mp_table_peek(&table, mp_table_count(&table)));
                assert_sound(&table);
                assert_int_equal(find(&table, key), 0);
                assert_int_not_equal(intern(&table, key), 0);
            }
        mp_mem_fail_nth(0);
        assert_in_range(failures, 0, 1);
        all_failures += failures;
        for (uint32_t key = 0; key < 2 * MP_TABLE_CHUNK_RECORDS + 5; key++)
            assert_int_not_equal(find(&table, key), 0);
        assert_sound(&table);
        mp_table_destroy(&table);
    }
    assert_int_equal(all_failures, 3); /* there are three chunks; without new cells it goes on */
}

static void
destroy_returns_all_memory_and_may_be_repeated(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_table table;
    make(&table, 10);
    for (uint32_t key = 0; key < 10000; key++)
        assert_int_not_equal(intern(&table, key), 0);
    assert_true(mp_mem_mapped() > before);
    mp_table_destroy(&table);
    assert_int_equal(mp_mem_mapped(), before);
    mp_table_destroy(&table);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- the check itself --------------------------------------------------------------- */

static void
check_sees_broken_chains(void **state)
{
    (void)state;
    struct mp_table table;
    const char *why;
    make(&table, 1);
    const uint32_t one = intern(&table, 1), two = intern(&table, 2);
    struct mp_record *record = mp_table_at(&table, one);
    struct mp_record *other = mp_table_at(&table, two);
    const uint32_t next = record->next, hash = other->hash;

    record->next = one;
    assert_false(mp_table_check(&table, &why));
    assert_string_equal(why, "the list has a cycle");
    record->next = next;
    other->hash = 0;
    assert_false(mp_table_check(&table, &why));
    assert_string_equal(why, "the list leads to a hole");
    other->hash = hash;
    const uint32_t first = atomic_exchange(&table.segments[0][0], 0x80000000u); /* the end */
    assert_false(mp_table_check(&table, &why));
    assert_string_equal(why, "a record is not in the list");
    atomic_store(&table.segments[0][0], first);
    assert_true(mp_table_check(&table, &why));
    mp_table_destroy(&table);
}

static void
check_sees_hashes_that_are_badly_spread(void **state)
{
    (void)state;
    struct mp_table table;
    const char *why;
    make(&table, 4);
    for (uint32_t key = 0; key < 999; key++) {
        const struct pair pair = {.key = key};
        assert_int_not_equal(mp_table_intern(&table, key % 16, &pair), 0);
    }
    assert_sound(&table);
    const struct pair last = {.key = 999};
    assert_int_not_equal(mp_table_intern(&table, 7, &last), 0);
    assert_false(mp_table_check(&table, &why));
    assert_string_equal(why, "the hashes are badly spread");
    table.used = 0;
    atomic_store(&table.segments[0][0], 0x80000000u); /* the end: sound for destroy */
    mp_table_destroy(&table);
}

/* ---- threads --------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct mp_table *table;
    uint32_t first, step;
    uint32_t ids[KEYS];
    unsigned wrong;
};

static void *
intern_keys(void *data)
{
    struct worker *worker = data;
    pthread_barrier_wait(worker->start);
    for (uint32_t key = worker->first; key < KEYS; key += worker->step) {
        worker->ids[key] = intern(worker->table, key);
        const struct pair *pair = mp_table_at(worker->table, worker->ids[key]);
        worker->wrong += pair->key != key || pair->value != value_of(key);
    }
    return NULL;
}

static void *
find_keys(void *data)
{
    struct worker *worker = data;
    pthread_barrier_wait(worker->start);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t key = 0; key < KEYS; key++) {
            const uint32_t id = find(worker->table, key);
            const struct pair *pair = id ? mp_table_at(worker->table, id) : NULL;
            worker->wrong += pair && (pair->key != key || pair->value != value_of(key));
            pair = mp_table_peek(worker->table, key);
            worker->wrong += pair && pair->value != value_of(pair->key);
        }
    return NULL;
}

/* Intern in THREADS threads, with a finder beside them; the workers stay readable. */
static struct worker *
run(struct mp_table *table, bool apart)
{
    static struct worker workers[THREADS + 1];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS + 1);
    for (uint32_t t = 0; t <= THREADS; t++) {
        workers[t] = (struct worker){.start = &start, .table = table,
                                     .first = apart ? t : 0, .step = apart ? THREADS : 1};
        assert_int_equal(pthread_create(&workers[t].thread, NULL,
                                        t < THREADS ? intern_keys : find_keys, &workers[t]), 0);
    }
    for (uint32_t t = 0; t <= THREADS; t++) {
        pthread_join(workers[t].thread, NULL);
        assert_int_equal(workers[t].wrong, 0);
    }
    pthread_barrier_destroy(&start);
    return workers;
}

static void
threads_that_intern_the_same_keys_get_the_same_ids(void **state)
{
    (void)state;
    struct mp_table table;
    make(&table, 8);
    const struct worker *workers = run(&table, false);
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_int_not_equal(workers[0].ids[key], 0);
        for (uint32_t t = 1; t < THREADS; t++)
            assert_int_equal(workers[t].ids[key], workers[0].ids[key]);
    }
    assert_sound(&table);
    mp_table_destroy(&table);
}

static void
threads_that_intern_other_keys_leave_no_hole(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct mp_table table;
        make(&table, 8);
        run(&table, true);
        assert_int_equal(mp_table_count(&table), KEYS);
        for (uint32_t id = 1; id <= KEYS; id++)
            assert_non_null(mp_table_peek(&table, id));
        assert_sound(&table);
        mp_table_destroy(&table);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_dense_from_one_and_equal_keys_share_them),
        cmocka_unit_test(find_does_not_insert),
        cmocka_unit_test(records_with_equal_hashes_are_told_apart),
        cmocka_unit_test(records_are_copied_whole_and_never_move),
        cmocka_unit_test(peek_knows_only_ids_in_use),
        cmocka_unit_test(full_table_returns_none_and_still_finds),
        cmocka_unit_test(records_stay_spread_however_many_there_are),
        cmocka_unit_test(table_without_memory_for_cells_goes_on_and_grows_later),
        cmocka_unit_test(lack_of_memory_leaves_a_hole_and_no_more),
        cmocka_unit_test(destroy_returns_all_memory_and_may_be_repeated),
        cmocka_unit_test(check_sees_broken_chains),
        cmocka_unit_test(check_sees_hashes_that_are_badly_spread),
        cmocka_unit_test(threads_that_intern_the_same_keys_get_the_same_ids),
        cmocka_unit_test(threads_that_intern_other_keys_leave_no_hole),
    };
    return RUN_TESTS(tests);
}
