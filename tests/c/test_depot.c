#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "tables/depot.h"

enum { THREADS = 4, ROUNDS = 3000 };

static void
make(struct mp_depot *depot)
{
    memset(depot, 0, sizeof *depot);
    assert_int_equal(mp_depot_init(depot), MP_OK);
}

static void
assert_sound(const struct mp_depot *depot)
{
    const char *why;
    if (!mp_depot_check(depot, &why))
        fail_msg("%s", why);
}

static uint32_t
location(struct mp_depot *depot, uint32_t file, uint32_t function, uint32_t first, uint32_t line)
{
    const struct mp_location key = {
        .file = file, .function = function, .first_line = first, .line = line};
    return mp_depot_location(depot, &key);
}

static uint32_t
site(struct mp_depot *depot, uint32_t stack, uint32_t domain, uint16_t kind, uint16_t small)
{
    const struct mp_site key = {.stack = stack, .domain = domain, .kind = kind, .small = small};
    return mp_depot_site(depot, &key);
}

/* No two records of the table are equal, whatever their hashes. */
static void
assert_all_differ(const struct mp_table *table)
{
    for (uint32_t a = 1; a <= mp_table_count(table); a++)
        for (uint32_t b = 1; b <= mp_table_count(table); b++)
            assert_int_equal(table->equal(mp_table_at(table, a), mp_table_at(table, b)), a == b);
}

/* ---- one thread ------------------------------------------------------------------- */

static void
location_is_told_by_each_of_its_fields(void **state)
{
    (void)state;
    struct mp_depot depot;
    make(&depot);
    const uint32_t keys[][4] = {{1, 2, 3, 4}, {9, 2, 3, 4}, {1, 9, 3, 4}, {1, 2, 9, 4},
                                {1, 2, 3, 0}, {2, 1, 3, 4}, {1, 2, 4, 3}};
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 7; i++)
            assert_int_equal(
                location(&depot, keys[i][0], keys[i][1], keys[i][2], keys[i][3]), i + 1);
    const struct mp_location *kept = mp_table_at(&depot.locations, 2);
    assert_true(kept->file == 9 && kept->function == 2 && kept->first_line == 3);
    assert_int_equal(kept->line, 4);
    assert_all_differ(&depot.locations);
    mp_depot_destroy(&depot);
}

static void
site_is_told_by_each_of_its_fields(void **state)
{
    (void)state;
    struct mp_depot depot;
    make(&depot);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(site(&depot, 0, 0, MP_RAW, 0), 1);
        assert_int_equal(site(&depot, 1, 0, MP_RAW, 0), 2);
        assert_int_equal(site(&depot, 0, 1, MP_RAW, 0), 3);
        assert_int_equal(site(&depot, 0, 0, MP_TRACKED, 0), 4);
        for (uint16_t size = 0; size <= 16; size++)
            assert_int_equal(site(&depot, 0, 0, MP_RAW, (uint16_t)(size + 1)), 5 + size);
    }
    const struct mp_site *kept = mp_depot_site_at(&depot, 21);
    assert_true(kept->small == 17 && kept->stack == 0 && kept->kind == MP_RAW);
    assert_all_differ(&depot.sites);
    assert_sound(&depot);
    mp_depot_destroy(&depot);
}

static void
destroy_returns_all_memory(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_depot depot;
    make(&depot);
    assert_int_not_equal(mp_names_intern(&depot.names, "name", 4), 0);
    assert_int_not_equal(location(&depot, 1, 0, 0, 0), 0);
    assert_int_not_equal(mp_depot_stack(&depot, 0, 1), 0);
    assert_int_not_equal(site(&depot, 1, 0, MP_OBJ, 0), 0);
    mp_depot_destroy(&depot);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- lack of memory ------------------------------------------------------------------ */

static void
init_without_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    int status = MP_NO_MEMORY;
    long n = 0;
    while (status != MP_OK) {
        struct mp_depot depot = {0};
        mp_mem_fail_nth(++n);
        status = mp_depot_init(&depot);
        mp_mem_fail_nth(0);
        assert_true(status == MP_OK || status == MP_NO_MEMORY);
        assert_int_equal(mp_mem_mapped(), before);
        if (status == MP_OK)
            mp_depot_destroy(&depot);
    }
    assert_int_equal(n, 5); /* each of four tables failed once */
}

static void
failed_init_does_not_trust_what_the_memory_held(void **state)
{
    (void)state;
    for (long n = 1; n <= 4; n++) {
        const size_t before = mp_mem_mapped();
        struct mp_depot depot;
        memset(&depot, 0xaa, sizeof depot);
        mp_mem_fail_nth(n);
        assert_int_equal(mp_depot_init(&depot), MP_NO_MEMORY);
        assert_int_equal(mp_mem_mapped(), before);
    }
}

/* One of everything, each depending on the one before; how many of the ids are 0. */
static int
fill(struct mp_depot *depot)
{
    const uint32_t name = mp_names_intern(&depot->names, "file.py", 7);
    const uint32_t place = location(depot, name, name, 1, 2);
    const uint32_t stack = place ? mp_depot_stack(depot, 0, place) : 1;
    const uint32_t last = site(depot, stack, 0, MP_MEM, 3);
    return !name + !place + !stack + !last;
}

static void
each_insertion_without_memory_returns_none_and_stays_sound(void **state)
{
    (void)state;
    int failed = 1;
    long n = 0;
    while (failed) {
        struct mp_depot depot;
        make(&depot);
        mp_mem_fail_nth(++n);
        failed = fill(&depot);
        mp_mem_fail_nth(0);
        assert_true(failed <= 1);
        assert_sound(&depot);
        assert_int_equal(fill(&depot), 0);
        assert_sound(&depot);
        mp_depot_destroy(&depot);
    }
    assert_int_equal(n, 7); /* arena, names, locations, stacks, their branches, sites */
}

/* ---- the check itself ----------------------------------------------------------------- */

static void
check_looks_into_every_table(void **state)
{
    (void)state;
    struct mp_depot depot;
    const char *why;
    make(&depot);
    assert_int_equal(fill(&depot), 0);
    struct mp_table *tables[] = {&depot.names.table, &depot.locations, &depot.stacks.branches,
                                 &depot.sites};
    for (int i = 0; i < 4; i++) {
        struct mp_record *record = mp_table_at(tables[i], 1);
        const uint32_t hash = record->hash;
        record->hash = 0;
        assert_false(mp_depot_check(&depot, &why));
        record->hash = hash;
        assert_sound(&depot);
    }
    mp_depot_destroy(&depot);
}

/* ---- threads ----------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct mp_depot *depot;
    uint32_t ids[ROUNDS];
};

static void *
capture(void *data)
{
    struct worker *worker = data;
    pthread_barrier_wait(worker->start);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t stack = 0;
        for (uint32_t frame = 0; frame < 6; frame++) {
            const uint32_t line = i >> (5 - frame) * 2 & 3;
            stack = mp_depot_stack(worker->depot, stack,
                                   location(worker->depot, frame + 1, 1, 1, line));
        }
        worker->ids[i] = site(worker->depot, stack, 0, MP_OBJ, (uint16_t)(i % 18));
    }
    return NULL;
}

static void
threads_that_capture_the_same_stacks_get_the_same_sites(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct mp_depot depot;
    pthread_barrier_t start;
    make(&depot);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int t = 0; t < THREADS; t++) {
        workers[t].start = &start;
        workers[t].depot = &depot;
        assert_int_equal(pthread_create(&workers[t].thread, NULL, capture, &workers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(workers[t].thread, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_not_equal(workers[0].ids[i], 0);
        for (int t = 1; t < THREADS; t++)
            assert_int_equal(workers[t].ids[i], workers[0].ids[i]);
    }
    assert_sound(&depot);
    pthread_barrier_destroy(&start);
    mp_depot_destroy(&depot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(location_is_told_by_each_of_its_fields),
        cmocka_unit_test(site_is_told_by_each_of_its_fields),
        cmocka_unit_test(destroy_returns_all_memory),
        cmocka_unit_test(init_without_memory_leaves_nothing_behind),
        cmocka_unit_test(failed_init_does_not_trust_what_the_memory_held),
        cmocka_unit_test(each_insertion_without_memory_returns_none_and_stays_sound),
        cmocka_unit_test(check_looks_into_every_table),
        cmocka_unit_test(threads_that_capture_the_same_stacks_get_the_same_sites),
    };
    return RUN_TESTS(tests);
}
