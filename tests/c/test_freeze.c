#define _GNU_SOURCE
#include "test.h"

#include <memprof/memprof.h>
#include <pthread.h>
#include <time.h>

#include "freeze.h"
#include "make_snapshot.h"
#include "profile/profile_file.h"
#include "record/timeline.h"
#include "record/tracer.h"

enum { THREADS = 4, BLOCKS = 200, ROUNDS = 50 };

static const uintptr_t BASE = (uintptr_t)0x7f12 << 32;

/* A trace without events, and nothing kept from the test before. */
static int
start_afresh(void **state)
{
    (void)state;
    mp_mem_fail_nth(0);
    mp_timeline_stop();
    if (mp_tracer_start() != MP_OK)
        return -1;
    mp_freeze_start_clock();
    mp_timeline_reset();
    return 0;
}

/* The stack of one frame, on line `line` of the test's file. */
static uint32_t
stack_of(uint32_t line)
{
    struct mp_depot *depot = &mp_tracer.depot;
    const struct mp_location location = {.file = mp_names_intern(&depot->names, "freeze.py", 9),
                                         .line = line};
    const uint32_t stack = mp_depot_stack(depot, 0, mp_depot_location(depot, &location));
    assert_int_not_equal(stack, 0);
    return stack;
}

static uint32_t
site_of(uint32_t stack, enum mp_kind kind, size_t size)
{
    const struct mp_site key = {.stack = stack, .kind = (uint16_t)kind,
                                .small = kind == MP_TRACKED ? 0 : mp_site_small(size)};
    const uint32_t site = mp_tracer_site(&key);
    assert_int_not_equal(site, 0);
    return site;
}

static void
record(uintptr_t block, uint32_t stack, enum mp_kind kind, size_t size)
{
    mp_tracer_record(true, BASE + block * 4096, size, site_of(stack, kind, size));
}

static void
release(uintptr_t block)
{
    mp_tracer_free(true, BASE + block * 4096);
}

static struct mp_snapshot *
freeze(bool series)
{
    const char *why;
    struct mp_snapshot *snapshot = mp_freeze(series);
    assert_non_null(snapshot);
    if (!mp_snapshot_check(snapshot, &why))
        fail_msg("%s", why);
    return snapshot;
}

/* All rows of a stack and kind added up. */
static struct mp_totals
totals_of(const struct mp_snapshot *snapshot, uint32_t stack, enum mp_kind kind)
{
    struct mp_totals sum = {0};
    for (size_t i = 0; i < snapshot->count; i++)
        if (snapshot->rows[i].stack == stack && snapshot->rows[i].kind == kind)
            mp_totals_add(&sum, &snapshot->rows[i].totals);
    return sum;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void
rows_have_the_numbers_of_now(void **state)
{
    (void)state;
    const uint32_t stack = stack_of(1);
    record(1, stack, MP_OBJ, 100);
    record(2, stack, MP_OBJ, 200);
    record(3, stack, MP_RAW, 7);
    release(2);
    record(4, stack, MP_OBJ, 50);
    struct mp_snapshot *snapshot = freeze(false);
    const struct mp_totals objects = totals_of(snapshot, stack, MP_OBJ);
    const struct mp_totals raw = totals_of(snapshot, stack, MP_RAW);
    const struct mp_totals expected = {{150, 2}, {300, 2}, {350, 3}};
    const struct mp_totals other = {{7, 1}, {7, 1}, {7, 1}};
    assert_memory_equal(&objects, &expected, sizeof objects);
    assert_memory_equal(&raw, &other, sizeof raw);
    assert_int_equal(snapshot->count, 2);
    mp_snapshot_free(snapshot);
}

static void
sites_of_one_stack_have_rows_of_their_own(void **state)
{
    (void)state;
    const uint32_t stack = stack_of(1);
    for (size_t size = 0; size <= 20; size++)
        record(size, stack, MP_MEM, size);
    struct mp_snapshot *snapshot = freeze(false);
    assert_int_equal(snapshot->count, 18); /* 0 to 16, and all that are larger */
    const struct mp_totals sum = totals_of(snapshot, stack, MP_MEM);
    assert_true(sum.live.bytes == 210 && sum.live.blocks == 21);
    mp_snapshot_free(snapshot);
}

static void
sites_without_events_have_no_row(void **state)
{
    (void)state;
    site_of(stack_of(1), MP_OBJ, 99);
    record(1, stack_of(2), MP_OBJ, 0); /* a block without bytes is an event */
    record(2, stack_of(3), MP_OBJ, 9);
    release(2); /* and one that is gone was one */
    struct mp_snapshot *snapshot = freeze(false);
    assert_int_equal(snapshot->count, 2);
    assert_int_equal(totals_of(snapshot, stack_of(2), MP_OBJ).live.blocks, 1);
    assert_int_equal(totals_of(snapshot, stack_of(3), MP_OBJ).total.bytes, 9);
    mp_snapshot_free(snapshot);
}

static void
tracked_blocks_keep_their_domain(void **state)
{
    (void)state;
    const struct mp_site key = {.stack = stack_of(1), .kind = MP_TRACKED, .domain = UINT32_MAX};
    const uint32_t site = mp_tracer_site(&key);
    assert_true(mp_tracer_record_side(false, &(struct mp_side_entry){5, BASE, 1000, site}));
    struct mp_snapshot *snapshot = freeze(false);
    assert_int_equal(snapshot->count, 1);
    assert_int_equal(snapshot->rows[0].domain, UINT32_MAX);
    assert_int_equal(snapshot->rows[0].kind, MP_TRACKED);
    assert_int_equal(snapshot->rows[0].totals.live.bytes, 1000);
    mp_snapshot_free(snapshot);
}

static void
snapshot_does_not_change_any_more(void **state)
{
    (void)state;
    const uint32_t stack = stack_of(1);
    record(1, stack, MP_OBJ, 100);
    struct mp_snapshot *snapshot = freeze(false);
    record(2, stack, MP_OBJ, 100);
    record(3, stack_of(4711), MP_OBJ, 100);
    mp_tracer_clear();
    assert_int_equal(snapshot->count, 1);
    assert_int_equal(snapshot->rows[0].totals.live.bytes, 100);
    assert_int_equal(snapshot->facts.traced, 100);
    assert_true(text_is(snapshot->symbols,
                        snapshot->symbols->location[mp_symbols_top(snapshot->symbols, stack)].file,
                        "freeze.py"));
    mp_snapshot_free(snapshot);
}

/* ---- facts --------------------------------------------------------------------------------- */

static void
facts_are_those_of_the_process_and_the_trace(void **state)
{
    (void)state;
    const int64_t now = (int64_t)time(NULL) * 1000000000;
    record(1, stack_of(1), MP_OBJ, 1000);
    record(2, stack_of(2), MP_RAW, 500);
    release(1);
    mp_tracer_lose();
    struct mp_snapshot *snapshot = freeze(false);
    const struct mp_facts *facts = &snapshot->facts;
    assert_int_equal(facts->pid, getpid());
    assert_true(facts->started_ns > now - 10000000000 && facts->started_ns < now + 10000000000);
    assert_in_range(facts->duration_ns, 0, 10000000000);
    assert_true(facts->traced == 500 && facts->peak == 1500);
    assert_true(facts->total_bytes == 1500 && facts->total_blocks == 2);
    assert_int_equal(facts->lost, 1);
    assert_true(facts->own > 0 && facts->rss > 0 && facts->rss_files > 0 && facts->stack > 0);
    assert_int_equal(facts->arenas, -1); /* for those who know Python */
    assert_int_equal(facts->traced_small, -1);
    mp_snapshot_free(snapshot);
}

static void
heap_is_split_by_kind_and_size(void **state)
{
    (void)state;
    struct mp_facts facts;
    record(1, stack_of(1), MP_OBJ, 1);
    record(2, stack_of(1), MP_MEM, 512);
    record(3, stack_of(1), MP_OBJ, 513);
    record(4, stack_of(1), MP_MEM, (size_t)5 << 30);
    record(5, stack_of(1), MP_RAW, 10);
    record(6, stack_of(1), MP_OBJ, 100);
    release(6);
    const uint32_t tracked = site_of(0, MP_TRACKED, 7777);
    mp_tracer_record_side(true, &(struct mp_side_entry){5, BASE, 7777, tracked});
    assert_int_equal(mp_freeze_split_heap(&facts), 10);
    assert_int_equal(facts.traced_small, 513);
    assert_int_equal(facts.traced_c_heap, 513 + ((int64_t)5 << 30) + 10);
}

/* ---- symbols ------------------------------------------------------------------------------- */

static void
symbols_are_shared_while_nothing_is_new(void **state)
{
    (void)state;
    record(1, stack_of(1), MP_OBJ, 1);
    struct mp_snapshot *one = freeze(false);
    record(2, stack_of(1), MP_OBJ, 200); /* an event, a site, but no symbol */
    struct mp_snapshot *two = freeze(false);
    assert_ptr_equal(one->symbols, two->symbols);
    stack_of(1000000 + (uint32_t)mp_stacks_count(&mp_tracer.depot.stacks)); /* a new line */
    struct mp_snapshot *three = freeze(false);
    assert_int_equal(three->symbols->stacks, one->symbols->stacks + 1);
    assert_int_equal(one->symbols->references, 2); /* of the snapshots: no longer kept */
    mp_snapshot_free(one);
    mp_snapshot_free(three);
    assert_true(two->symbols->stacks > 0 && text_is(two->symbols, 1, "freeze.py"));
    mp_snapshot_free(two);
}

/* ---- lack of memory ------------------------------------------------------------------------ */

static int
freeze_once(void *series)
{
    struct mp_snapshot *snapshot = mp_freeze(series != NULL);
    mp_snapshot_free(snapshot);
    return snapshot ? MP_OK : MP_NO_MEMORY;
}

static void
freeze_without_memory_leaves_nothing(void **state)
{
    (void)state;
    bool yes = true;
    record(1, stack_of(1), MP_OBJ, 100);
    mp_timeline_take();
    mp_snapshot_free(freeze(true)); /* symbols are kept from now on */
    fail_each_request(freeze_once, NULL);
    fail_each_request(freeze_once, &yes);
}

static void
symbols_without_memory_are_none_and_come_later(void **state)
{
    (void)state;
    stack_of(2000000 + (uint32_t)mp_stacks_count(&mp_tracer.depot.stacks));
    mp_mem_fail_nth(1);
    assert_null(mp_freeze_symbols());
    mp_mem_fail_nth(0);
    struct mp_symbols *symbols = mp_freeze_symbols();
    assert_int_equal(symbols->stacks, mp_stacks_count(&mp_tracer.depot.stacks));
    mp_symbols_release(symbols);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *
track_many(void *data)
{
    const unsigned domain = *(unsigned *)data;
    intptr_t failed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (uintptr_t i = 1; i <= BLOCKS; i++)
            failed += memprof_track(domain, i * 16, i) != MEMPROF_OK;
        for (uintptr_t i = 1; i <= BLOCKS; i += 2)
            failed += memprof_move(domain, i * 16, i * 16 + 8, i + 1) != MEMPROF_OK;
        for (uintptr_t i = 1; i <= BLOCKS && round < ROUNDS - 1; i++)
            failed += memprof_untrack(domain, i * 16 + i % 2 * 8) != MEMPROF_OK;
    }
    return (void *)failed;
}

static void
snapshots_are_sound_while_threads_track(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned domains[THREADS];
    void *failed;
    const char *why;
    assert_int_equal(memprof_start(), MEMPROF_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        domains[i] = i * 5;
        assert_int_equal(pthread_create(&threads[i], NULL, track_many, &domains[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        mp_snapshot_free(freeze(false)); /* freeze() looks at them */
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    if (!mp_tracer_check(&why))
        fail_msg("%s", why);
    struct mp_snapshot *snapshot = freeze(false);
    const struct mp_totals sum = totals_of(snapshot, 0, MP_TRACKED);
    const uint64_t blocks = THREADS * BLOCKS;
    assert_int_equal(snapshot->count, THREADS); /* a site for each domain */
    assert_int_equal(sum.live.blocks, blocks);
    assert_int_equal(sum.live.bytes, blocks * (BLOCKS + 1) / 2 + blocks / 2);
    assert_int_equal(sum.total.blocks, blocks / 2 * 3 * ROUNDS);
    assert_int_equal(snapshot->facts.lost, 0);
    mp_snapshot_free(snapshot);
    memprof_stop();
}

/* ---- a profile that is written again and again --------------------------------------------- */

static _Atomic int writers;
static char profile[512];

static void *
write_many_times(void *snapshot)
{
    intptr_t failed = 0;
    for (int i = 0; i < 100; i++)
        failed += mp_profile_write(snapshot, profile) != MP_OK;
    atomic_fetch_sub(&writers, 1);
    return (void *)failed;
}

/* A reader meets the profile of one of the threads, whole, at any time. */
static void
assert_always_whole(int count)
{
    pthread_t threads[2];
    void *failed = NULL;
    struct mp_snapshot *read, *snapshots[2] = {make_random(9, 0), make_random(400, 60)};
    const char *why;
    intptr_t broken = 0;
    snprintf(profile, sizeof profile, "%s", scratch("profile"));
    assert_int_equal(mp_profile_write(snapshots[0], profile), MP_OK);
    atomic_store(&writers, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many_times, snapshots[i]), 0);
    while (atomic_load(&writers)) {
        broken += mp_profile_read(profile, &read, &why) != MP_OK;
        mp_snapshot_free(read);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], &failed);
        broken += (intptr_t)failed;
        mp_snapshot_free(snapshots[i]);
    }
    assert_int_equal(broken, 0);
    assert_int_equal(each_scratch_file(NULL), 1);
}

static void
profile_is_always_whole_for_a_reader(void **state)
{
    (void)state;
    assert_always_whole(1);
}

static void
profile_of_two_threads_is_that_of_one_of_them(void **state)
{
    (void)state;
    assert_always_whole(2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_have_the_numbers_of_now, start_afresh),
        cmocka_unit_test_setup(sites_of_one_stack_have_rows_of_their_own, start_afresh),
        cmocka_unit_test_setup(sites_without_events_have_no_row, start_afresh),
        cmocka_unit_test_setup(tracked_blocks_keep_their_domain, start_afresh),
        cmocka_unit_test_setup(snapshot_does_not_change_any_more, start_afresh),
        cmocka_unit_test_setup(facts_are_those_of_the_process_and_the_trace, start_afresh),
        cmocka_unit_test_setup(heap_is_split_by_kind_and_size, start_afresh),
        cmocka_unit_test_setup(symbols_are_shared_while_nothing_is_new, start_afresh),
        cmocka_unit_test_setup(freeze_without_memory_leaves_nothing, start_afresh),
        cmocka_unit_test_setup(symbols_without_memory_are_none_and_come_later, start_afresh),
        cmocka_unit_test_setup(snapshots_are_sound_while_threads_track, start_afresh),
        cmocka_unit_test(profile_is_always_whole_for_a_reader),
        cmocka_unit_test(profile_of_two_threads_is_that_of_one_of_them),
    };
    return RUN_TESTS(tests);
}
