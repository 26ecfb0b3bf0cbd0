#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "record/tracer.h"

enum { DOMAINS = 3, ADDRESSES = 300, KEYS = DOMAINS * ADDRESSES, THREADS = 4 };

static const uint64_t domains[DOMAINS] = {MP_SIDE_HOOK, 0, 7};
static uint64_t seed;

static uint32_t
next_random(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static struct mp_side_entry
put(struct mp_side *side, uint64_t domain, uintptr_t address, uint64_t size, uint32_t site)
{
    const struct mp_side_entry entry = {domain, address, size, site};
    struct mp_side_entry old = {.site = 12345};
    assert_int_equal(mp_side_put(side, &entry, &old), MP_OK);
    return old;
}

static bool
has(struct mp_side *side, uint64_t domain, uintptr_t address, uint64_t size, uint32_t site)
{
    struct mp_side_entry found;
    return mp_side_find(side, domain, address, &found) && found.domain == domain &&
           found.address == address && found.size == size && found.site == site;
}

static void
count_entry(const struct mp_side_entry *entry, void *data)
{
    struct mp_side_entry *sum = data;
    sum->domain++; /* the number of entries */
    sum->address += entry->address;
    sum->size += entry->size;
    sum->site += entry->site;
}

/* ---- ordinary behaviour ------------------------------------------------------------- */

static void
empty_table_has_nothing(void **state)
{
    (void)state;
    struct mp_side side = {0};
    struct mp_side_entry entry, sum = {0};
    assert_false(mp_side_any(&side));
    assert_false(mp_side_find(&side, MP_SIDE_HOOK, 0, &entry));
    assert_false(mp_side_take(&side, MP_SIDE_HOOK, 0, &entry));
    mp_side_each(&side, count_entry, &sum);
    assert_int_equal(sum.domain, 0);
    mp_side_clear(&side);
}

static void
entry_is_found_until_it_is_taken(void **state)
{
    (void)state;
    struct mp_side side = {0};
    struct mp_side_entry entry;
    assert_int_equal(put(&side, MP_SIDE_HOOK, 9, (uint64_t)5 << 30, 3 | 0x80000000u).site, 0);
    assert_true(mp_side_any(&side));
    assert_true(has(&side, MP_SIDE_HOOK, 9, (uint64_t)5 << 30, 3 | 0x80000000u));
    assert_true(mp_side_take(&side, MP_SIDE_HOOK, 9, &entry));
    assert_int_equal(entry.size, (uint64_t)5 << 30);
    assert_false(mp_side_take(&side, MP_SIDE_HOOK, 9, &entry));
    assert_false(mp_side_any(&side));
    mp_side_clear(&side);
}

static void
same_address_in_several_domains_is_several_entries(void **state)
{
    (void)state;
    struct mp_side side = {0};
    struct mp_side_entry entry;
    for (uint32_t d = 0; d < DOMAINS; d++)
        assert_int_equal(put(&side, domains[d], 64, d + 100, d + 1).site, 0);
    assert_true(mp_side_take(&side, 0, 64, &entry));
    assert_true(has(&side, MP_SIDE_HOOK, 64, 100, 1));
    assert_false(mp_side_find(&side, 0, 64, &entry));
    assert_true(has(&side, 7, 64, 102, 3));
    mp_side_clear(&side);
}

static void
replacing_returns_the_old_entry(void **state)
{
    (void)state;
    struct mp_side side = {0};
    put(&side, 7, 8, 100, 1);
    const struct mp_side_entry old = put(&side, 7, 8, 200, 2);
    assert_true(old.domain == 7 && old.address == 8 && old.size == 100 && old.site == 1);
    assert_true(has(&side, 7, 8, 200, 2));
    assert_int_equal(side.used, 1);
    mp_side_clear(&side);
}

static void
extreme_keys_and_sizes_are_kept(void **state)
{
    (void)state;
    struct mp_side side = {0};
    put(&side, 0, 0, 0, 1);
    put(&side, MP_SIDE_HOOK, UINTPTR_MAX, UINT64_MAX, UINT32_MAX);
    assert_true(has(&side, 0, 0, 0, 1));
    assert_true(has(&side, MP_SIDE_HOOK, UINTPTR_MAX, UINT64_MAX, UINT32_MAX));
    mp_side_clear(&side);
}

static void
table_grows_through_several_doublings(void **state)
{
    (void)state;
    struct mp_side side = {0};
    const size_t before = mp_mem_mapped();
    for (uint32_t i = 1; i <= 20000; i++) {
        assert_int_equal(put(&side, MP_SIDE_HOOK, (uintptr_t)i * 8, i, i).site, 0);
        assert_true(side.used == i && side.used <= side.capacity / 2);
        assert_int_equal(side.capacity & (side.capacity - 1), 0);
    }
    for (uint32_t i = 1; i <= 20000; i++)
        assert_true(has(&side, MP_SIDE_HOOK, (uintptr_t)i * 8, i, i));
    mp_side_clear(&side);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
cleared_table_is_empty_and_usable(void **state)
{
    (void)state;
    struct mp_side side = {0};
    put(&side, 7, 8, 100, 1);
    mp_side_clear(&side);
    assert_false(mp_side_any(&side));
    assert_false(has(&side, 7, 8, 100, 1));
    put(&side, 7, 8, 200, 2);
    assert_true(has(&side, 7, 8, 200, 2));
    mp_side_clear(&side);
}

/* ---- against a model ------------------------------------------------------------------- */

struct model {
    uint64_t size[KEYS];
    uint32_t site[KEYS]; /* 0: not there */
};

static uintptr_t
address_of(uint32_t key)
{
    return (uintptr_t)(key / DOMAINS) * 8 + 1;
}

static void
step(struct mp_side *side, struct model *model, uint32_t key, uint32_t puts_in_ten)
{
    const uint64_t domain = domains[key % DOMAINS];
    if (next_random(10) < puts_in_ten) {
        const uint32_t site = next_random(1000) + 1, size = next_random(UINT32_MAX);
        const struct mp_side_entry old = put(side, domain, address_of(key), size, site);
        assert_int_equal(old.site, model->site[key]);
        assert_true(!old.site || old.size == model->size[key]);
        model->site[key] = site;
        model->size[key] = size;
        return;
    }
    struct mp_side_entry entry;
    const bool take = next_random(4) != 0;
    assert_int_equal((take ? mp_side_take : mp_side_find)(side, domain, address_of(key), &entry),
                     model->site[key] != 0);
    if (model->site[key])
        assert_true(entry.site == model->site[key] && entry.size == model->size[key]);
    if (take)
        model->site[key] = 0;
}

static void
compare(struct mp_side *side, const struct model *model)
{
    struct mp_side_entry sum = {0}, wanted = {0};
    for (uint32_t key = 0; key < KEYS; key++) {
        struct mp_side_entry entry = {domains[key % DOMAINS], address_of(key), model->size[key],
                                      model->site[key]};
        if (entry.site)
            count_entry(&entry, &wanted);
        if (entry.site)
            assert_true(has(side, entry.domain, entry.address, entry.size, entry.site));
        else
            assert_false(mp_side_find(side, entry.domain, entry.address, &entry));
    }
    mp_side_each(side, count_entry, &sum);
    assert_true(sum.domain == wanted.domain && sum.address == wanted.address);
    assert_true(sum.size == wanted.size && sum.site == wanted.site);
    assert_int_equal(side->used, wanted.domain);
}

static void
random_inserts_and_removals_match_a_model(void **state)
{
    (void)state;
    for (uint32_t limit = 100; limit <= KEYS; limit += 400) { /* full clusters, then growth */
        struct mp_side side = {0};
        static struct model model;
        memset(&model, 0, sizeof model);
        seed = limit;
        for (int phase = 0; phase < 60; phase++) {
            for (int i = 0; i < 1000; i++)
                step(&side, &model, next_random(limit), phase % 3 ? 7 : 3);
            compare(&side, &model);
        }
        mp_side_clear(&side);
    }
}

/* ---- lack of memory ----------------------------------------------------------------------- */

static void
put_without_memory_changes_nothing(void **state)
{
    (void)state;
    struct mp_side side = {0};
    int failures = 0;
    for (uint32_t i = 1; i <= 3000; i++) {
        const struct mp_side_entry entry = {7, i, i, i};
        struct mp_side_entry old, sum = {0};
        mp_mem_fail_nth(1);
        if (mp_side_put(&side, &entry, &old) != MP_OK) {
            failures++;
            mp_side_each(&side, count_entry, &sum);
            assert_true(sum.domain == i - 1 && side.used == i - 1);
            assert_false(has(&side, 7, i, i, i));
            assert_int_equal(mp_side_put(&side, &entry, &old), MP_OK);
        }
        mp_mem_fail_nth(0);
    }
    assert_int_equal(failures, 6); /* 256, 512 ... 8192 slots */
    for (uint32_t i = 1; i <= 3000; i++)
        assert_true(has(&side, 7, i, i, i));
    mp_side_clear(&side);
}

static void
block_that_cannot_be_put_back_is_lost_and_counts_as_freed(void **state)
{
    (void)state;
    const struct mp_site key = {.kind = MP_OBJ};
    const char *why;
    struct mp_entry entry;
    assert_int_equal(mp_tracer_start(), MP_OK);
    const uint32_t site = mp_tracer_site(&key);
    for (uintptr_t i = 0; i < 128; i++) /* half of the first 256 slots */
        mp_tracer_record(true, i * 16 + 1, 100, site);
    mp_tracer_take(1, &entry);
    mp_tracer_record(true, 8, 100, site); /* another thread's block takes the place */
    mp_mem_fail_nth(1);
    mp_tracer_put_back(1, &entry);
    mp_mem_fail_nth(0);
    assert_int_equal(mp_tracer.lost, 1);
    assert_true(mp_tracer_check(&why));
    assert_int_equal(mp_clock_now(&mp_tracer.lanes.clock), 12800);
}

/* ---- threads -------------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct mp_side *side;
    uint32_t number;
    unsigned wrong;
};

static void *
use_own_and_common_keys(void *data)
{
    struct worker *worker = data;
    for (uint32_t i = 1; i <= 4000; i++) {
        const struct mp_side_entry own = {worker->number, i, i, i}, common = {99, i % 50, i, 1};
        struct mp_side_entry got;
        worker->wrong += mp_side_put(worker->side, &own, &got) != MP_OK || got.site;
        worker->wrong += mp_side_put(worker->side, &common, &got) != MP_OK;
        mp_side_take(worker->side, 99, (i + 7) % 50, &got);
        worker->wrong += !has(worker->side, worker->number, i, i, i);
        if (i % 2)
            worker->wrong += !mp_side_take(worker->side, worker->number, i, &got);
    }
    return NULL;
}

static void
threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct mp_side side = {0};
    struct mp_side_entry entry;
    for (uint32_t t = 0; t < THREADS; t++) {
        workers[t].side = &side;
        workers[t].number = t;
        assert_int_equal(
            pthread_create(&workers[t].thread, NULL, use_own_and_common_keys, &workers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        pthread_join(workers[t].thread, NULL);
        assert_int_equal(workers[t].wrong, 0);
    }
    for (uintptr_t i = 0; i < 50; i++)
        mp_side_take(&side, 99, i, &entry);
    assert_int_equal(side.used, THREADS * 2000);
    for (uint32_t t = 0; t < THREADS; t++)
        for (uint32_t i = 1; i <= 4000; i++)
            assert_int_equal(has(&side, t, i, i, i), i % 2 == 0);
    mp_side_clear(&side);
}

/* ---- check -------------------------------------------------------------------------------- */

static void
assert_broken(const struct mp_side *side, const char *word)
{
    const char *why = "";
    assert_false(mp_side_check(side, &why));
    assert_non_null(strstr(why, word));
}

static void
check_names_what_is_broken(void **state)
{
    (void)state;
    struct mp_side side = {0};
    const char *why = "";
    assert_true(mp_side_check(&side, &why));
    assert_null(why);
    for (uint32_t i = 1; i <= 100; i++)
        put(&side, MP_SIDE_HOOK, i * 16, 5, i);
    assert_true(mp_side_check(&side, &why));
    side.capacity -= 1;
    assert_broken(&side, "power of two");
    side.capacity += 1;
    side.used -= 1;
    assert_broken(&side, "number of entries");
    side.used += 1;
    size_t i = 0;
    while (!side.slots[i].site)
        i++;
    side.slots[i].address += 1; /* it would lie elsewhere */
    assert_broken(&side, "cannot be found");
    side.slots[i].address -= 1;
    assert_true(mp_side_check(&side, &why));
    mp_side_clear(&side);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_has_nothing),
        cmocka_unit_test(entry_is_found_until_it_is_taken),
        cmocka_unit_test(same_address_in_several_domains_is_several_entries),
        cmocka_unit_test(replacing_returns_the_old_entry),
        cmocka_unit_test(extreme_keys_and_sizes_are_kept),
        cmocka_unit_test(table_grows_through_several_doublings),
        cmocka_unit_test(cleared_table_is_empty_and_usable),
        cmocka_unit_test(random_inserts_and_removals_match_a_model),
        cmocka_unit_test(put_without_memory_changes_nothing),
        cmocka_unit_test(block_that_cannot_be_put_back_is_lost_and_counts_as_freed),
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(check_names_what_is_broken),
    };
    return RUN_TESTS(tests);
}
