#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "record/tracer.h"

#define CASE(name) static void name(void **state __attribute__((unused)))
#define TEST(name) cmocka_unit_test_setup(name, start_afresh)

enum { STACKS = 20, SLOTS = 300, SITES = 1000, THREADS = 4, CHUNK = 1 << MP_CHUNK_SHIFT };

/* Made-up addresses: in the shadow table, and two kinds that only the side table holds. */
static const uintptr_t BASE = (uintptr_t)0x7f12 << 32, ODD = ((uintptr_t)0x7f13 << 32) + 8;
static const uintptr_t HIGH = (uintptr_t)3 << 50;
static const size_t HUGE_SIZE = (size_t)5 << 30;

/* As if nothing was ever recorded: tables that are added when needed are gone, too. */
static int
start_afresh(void **state __attribute__((unused)))
{
    mp_mem_fail_nth(0);
    mp_tracer_stop();
    mp_shadow_destroy(&mp_tracer.shadow);
    mp_lane_destroy(&mp_tracer.lanes.main);
    mp_lane_destroy(&mp_tracer.lanes.reserve);
    for (struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        if (thread->lane)
            mp_lane_destroy(thread->lane);
    return mp_tracer_start();
}

static uint32_t
site_of(uint32_t stack, size_t size)
{
    const struct mp_site key = {.stack = stack, .kind = MP_OBJ, .small = mp_site_small(size)};
    return mp_tracer_site(&key);
}

static void
record(bool main, uintptr_t address, size_t size)
{
    mp_tracer_record(main, address, size, site_of(1, size));
}

static void
assert_entry(uintptr_t address, uint32_t site, size_t size)
{
    struct mp_entry entry;
    assert_int_equal(mp_tracer_look_up(address, &entry), site != 0);
    if (site)
        assert_true(entry.size == size && (entry.word & MP_SITE_MASK) == site);
}

/* All entries and numbers agree, and this is live in all. */
static void
assert_live(uint64_t bytes)
{
    const char *why;
    if (!mp_tracer_check(&why))
        fail_msg("%s", why);
    assert_int_equal(mp_clock_now(&mp_tracer.lanes.clock), bytes);
}

CASE(start_without_memory_fails_and_works_later)
{
    for (long n = 1; n <= 5; n++) { /* each table of the depot fails once */
        mp_mem_fail_nth(n);
        assert_int_equal(mp_tracer_start(), n < 5 ? MP_NO_MEMORY : MP_OK);
        assert_int_equal(mp_tracer.ready, n == 5);
    }
    mp_mem_fail_nth(0);
    assert_live(0);
}

CASE(stop_and_clear_forget_live_entries)
{
    for (int stop = 0; stop < 2; stop++) {
        record(true, BASE, HUGE_SIZE);
        record(false, ODD, 100);
        mp_tracer_activate();
        stop ? mp_tracer_stop() : mp_tracer_clear();
        assert_live(0);
        assert_int_equal(mp_tracer.lanes.clock.peak, 0);
        assert_int_equal(mp_tracer_enter(mp_thread_self(), MP_GUARD_QUIET), !stop);
        assert_int_equal(mp_thread_self()->guard, stop ? MP_GUARD_QUIET : MP_GUARD_RECORDING);
    }
}

static uint32_t died; /* birth of what a thread was told of last */

/* A thread with a cache of two instructions. */
struct caching {
    struct mp_thread thread;
    uintptr_t first, second;
};

static void
flush(struct mp_thread *self)
{
    ((struct caching *)self)->first = ((struct caching *)self)->second = 0;
}

static void
forget(struct mp_thread *self, const struct mp_death *death)
{
    const uintptr_t begin = death->begin, end = death->end;
    died = death->birth;
    struct caching *caching = (struct caching *)self;
    if (caching->first >= begin && caching->first < end)
        caching->first = 0;
    if (caching->second >= begin && caching->second < end)
        caching->second = 0;
}

static const struct mp_thread_extension extension = {
    .size = sizeof(struct caching),
    .flush = flush,
    .forget = forget,
    .end = flush,
};

/* Does a hook find what it has cached of the first instruction void? Fills both. */
static bool
caches_are_void(bool *second_too)
{
    struct caching *self = (struct caching *)mp_thread_self();
    assert_true(mp_tracer_enter(&self->thread, MP_GUARD_FREE));
    const bool is_void = self->first == 0;
    *second_too = self->second == 0;
    self->first = BASE + 50; /* in the first of the code objects below */
    self->second = ODD;
    mp_tracer_leave(&self->thread, MP_GUARD_FREE);
    return is_void;
}

CASE(marked_code_object_outlives_a_failed_realloc_and_then_voids_the_caches)
{
    const size_t code_sizes[] = {200, HUGE_SIZE, 0}; /* 0: it was not traced */
    bool second_too = false;
    mp_tracer_activate();
    assert_true(caches_are_void(&second_too) && second_too); /* a new trace */
    for (int i = 0; i < 3; i++) {
        if (code_sizes[i])
            record(true, BASE, code_sizes[i]);
        mp_tracer_mark_code(BASE);
        struct mp_entry entry = {.size = UINT64_MAX}; /* what the stack happens to hold */
        mp_tracer_take(BASE, &entry);
        mp_tracer_put_back(BASE, &entry);
        assert_int_equal(mp_side_any(&mp_tracer.side), code_sizes[i] == HUGE_SIZE);
        assert_false(caches_are_void(&second_too) || second_too);
        mp_tracer_free(true, BASE);
        assert_true(caches_are_void(&second_too));
        /* the other code is forgotten only where it is not known what has died */
        assert_int_equal(second_too, i > 0);
    }
    assert_live(0);
}

CASE(births_of_code_objects_rise_and_are_told_when_they_die)
{
    bool second_too;
    mp_tracer_activate();
    caches_are_void(&second_too);
    record(true, BASE, 200);
    record(true, BASE + 4096, 200);
    const uint32_t first = mp_tracer_mark_code(BASE);
    const uint32_t second = mp_tracer_mark_code(BASE + 4096);
    assert_true(first > MP_BIRTH_NEVER_DIES && second > first && second < MP_BIRTH_UNKNOWN);
    assert_int_equal(mp_tracer_mark_code(BASE), first); /* met again */
    assert_int_equal(mp_tracer_mark_code(ODD), MP_BIRTH_NEVER_DIES);
    mp_tracer_free(true, BASE);
    caches_are_void(&second_too);
    assert_int_equal(died, first);
    record(true, BASE, 200);
    const uint32_t third = mp_tracer_mark_code(BASE); /* another one at its address */
    assert_true(third > second);
    mp_tracer_free(true, BASE + 4096);
    caches_are_void(&second_too);
    assert_int_equal(died, second);
    mp_mem_fail_nth(1);
    for (uintptr_t i = 2; i < 1000; i++)
        mp_tracer_mark_code(BASE + i * 256);
    mp_mem_fail_nth(0);
    mp_tracer_free(true, BASE);
    caches_are_void(&second_too);
    assert_int_equal(died, third);
}

CASE(birth_that_had_no_memory_is_unknown_for_ever)
{
    bool second_too;
    mp_tracer_activate();
    caches_are_void(&second_too);
    uint32_t birth = 0;
    for (uintptr_t i = 0; i < 1000 && birth != MP_BIRTH_UNKNOWN; i++) {
        record(true, BASE + i * 256, 200);
        mp_mem_fail_nth(1); /* what is asked for now is for births only */
        birth = mp_tracer_mark_code(BASE + i * 256);
        mp_mem_fail_nth(0);
        if (birth != MP_BIRTH_UNKNOWN)
            continue;
        assert_int_equal(mp_tracer_mark_code(BASE + i * 256), MP_BIRTH_UNKNOWN);
        died = 1;
        mp_tracer_free(true, BASE + i * 256);
        caches_are_void(&second_too);
        assert_int_equal(died, 0); /* all that is cached may be of it */
    }
    assert_int_equal(birth, MP_BIRTH_UNKNOWN);
}

CASE(thread_that_is_far_behind_forgets_all)
{
    bool second_too;
    mp_tracer_activate();
    for (int deaths = 1; deaths < 50; deaths += 6) {
        caches_are_void(&second_too);
        for (int i = 0; i < deaths; i++) {
            record(true, BASE, 200);
            mp_tracer_mark_code(BASE);
            mp_tracer_free(true, BASE);
        }
        assert_true(caches_are_void(&second_too));
        assert_int_equal(second_too, deaths > MP_FEW_DEATHS);
    }
}

/* Stale: the block was freed, but the free was hidden from us. */
CASE(stale_entry_is_replaced_and_does_not_raise_the_peak)
{
    const uintptr_t addresses[] = {BASE, ODD, HIGH};
    const size_t stale[] = {10, 100, HUGE_SIZE, 100, 16, HUGE_SIZE};
    for (int i = 0; i < 15; i++) {
        const size_t old = stale[i % 5], fresh = stale[i % 5 + 1];
        mp_tracer_clear();
        record(true, addresses[i / 5], old);
        record(true, addresses[i / 5], fresh);
        assert_entry(addresses[i / 5], site_of(1, fresh), fresh);
        assert_live(fresh);
        assert_int_equal(mp_tracer.lanes.clock.peak, old > fresh ? old : fresh);
    }
}

CASE(block_that_is_lost_takes_a_stale_entry_with_it)
{
    const uintptr_t addresses[] = {BASE, BASE + 64, ODD};
    for (int i = 0; i < 3; i++) {
        record(true, addresses[i], i == 1 ? HUGE_SIZE : 100);
        mp_tracer_record(true, addresses[i], i == 1 ? HUGE_SIZE : 100, 0);
        assert_int_equal(mp_tracer.lost, i + 1);
        assert_entry(addresses[i], 0, 0);
    }
    assert_live(0);
}

CASE(stale_entry_that_overlaps_a_new_block_goes)
{
    for (int i = 0; i < 2; i++) {
        mp_tracer_clear();
        record(true, BASE + i * 16, i ? 8 : 32); /* the size of the larger one ... */
        record(true, BASE + !i * 16, i ? 32 : 8); /* ... and the other share a word */
        assert_live(i ? 32 : 8);
    }
}

CASE(record_without_memory_is_lost_and_leaves_no_trace)
{
    for (int i = 0; i < 8; i++) {
        const uintptr_t address = i < 4 ? BASE : i < 6 ? ODD : HIGH;
        const size_t size = i / 2 % 2 ? HUGE_SIZE : 100;
        int n = 0;
        do {
            start_afresh(NULL);
            const uint32_t site = site_of(1, size);
            mp_mem_fail_nth(++n);
            mp_tracer_record(i % 2, address, size, site);
            mp_mem_fail_nth(0);
            assert_live(mp_tracer.lost ? 0 : size);
            assert_int_equal(mp_tracer.lanes.clock.peak, mp_tracer.lost ? 0 : size);
        } while (mp_tracer.lost);
        /* shadow and side failed; the thread's own lane, too, but there is the reserve */
        assert_true(n > (i < 4) + (i >= 2));
    }
}

CASE(site_without_memory_for_its_tallies_is_none)
{
    site_of(1, 100);
    start_afresh(NULL);
    mp_mem_fail_nth(1); /* the main lane */
    assert_int_equal(site_of(1, 100), 0);
    mp_mem_fail_nth(2); /* the reserve lane */
    assert_int_equal(site_of(1, 100), 0);
    mp_mem_fail_nth(0);
    assert_true(site_of(1, 100));
    record(true, BASE, 100);
    assert_live(100);
}

CASE(free_in_a_lane_without_memory_keeps_the_numbers_right)
{
    for (int main = 0; main < 2; main++) {
        start_afresh(NULL);
        record(!main, BASE, 100);
        mp_mem_fail_nth(1);
        mp_tracer_free(main, BASE);
        mp_mem_fail_nth(0);
        assert_live(0);
    }
}

/* Brute force: everything is copied whenever the total exceeds the last maximum. */
static struct model {
    uint64_t seed, now, most, live[SITES], peak[SITES];
    size_t size[SLOTS];
    uint32_t site[SLOTS]; /* 0: no block there */
} model;

static uint32_t
next_random(uint32_t below)
{
    model.seed = model.seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((model.seed >> 33) % below);
}

static uintptr_t
address_of(uint32_t slot)
{
    if (slot >= 200)
        return slot >= 250 ? HIGH + slot * 16 : ODD + slot * 64 + slot % 8;
    return BASE + slot / 10 * CHUNK + (slot % 10 ? slot % 10 * 4096 : CHUNK - 16);
}

static void
model_set(uint32_t slot, uint32_t site, size_t size)
{
    model.live[model.site[slot]] -= model.size[slot];
    model.live[site] += size;
    model.now += size - model.size[slot];
    model.site[slot] = site;
    model.size[slot] = size;
    if (model.now > model.most) {
        model.most = model.now;
        memcpy(model.peak, model.live, sizeof model.peak);
    }
}

static void
record_both(bool main, uint32_t slot)
{
    const size_t sizes[] = {0, 1, 16, 17, 4096, 1 << 30, UINT32_MAX - 1, UINT32_MAX, HUGE_SIZE};
    const size_t size = sizes[next_random(sizeof sizes / sizeof *sizes)];
    const uint32_t site = site_of(next_random(STACKS), size);
    mp_tracer_record(main, address_of(slot), size, site); /* perhaps over a stale one */
    model_set(slot, site, size);
}

static void
random_event(bool main)
{
    const uint32_t slot = next_random(SLOTS), kind = next_random(10);
    struct mp_entry entry;
    mp_tracer_take(address_of(slot), &entry);
    assert_int_equal(entry.word & MP_SITE_MASK, model.site[slot]);
    mp_tracer_put_back(address_of(slot), &entry); /* a realloc that fails */
    if (kind < 5) {
        record_both(main, slot);
    } else if (kind < 9) {
        mp_tracer_free(main, address_of(slot));
        model_set(slot, 0, 0);
        if (kind == 8) /* the block moves */
            record_both(main, next_random(SLOTS));
    } else if (model.site[slot]) {
        mp_tracer_mark_code(address_of(slot));
    }
}

static void
compare(void)
{
    struct mp_totals totals;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_entry(address_of(slot), model.site[slot], model.size[slot]);
    for (uint32_t site = 1; site <= mp_table_count(&mp_tracer.depot.sites); site++) {
        mp_lanes_totals(&mp_tracer.lanes, site, &totals);
        assert_int_equal(totals.live.bytes, model.live[site]);
        assert_int_equal(totals.peak.bytes, model.peak[site]);
    }
    assert_true(mp_tracer.lanes.clock.peak == (int64_t)model.most && mp_tracer.lost == 0);
    assert_live(model.now);
}

CASE(random_events_match_a_model)
{
    for (int mode = 0; mode < 3; mode++) { /* the thread's lane, the main lane, both */
        start_afresh(NULL);
        model = (struct model){.seed = (uint64_t)mode};
        for (int i = 1; i <= 20000; i++) {
            random_event(mode == 1 || (mode == 2 && next_random(2)));
            if (i % 400 == 0)
                compare();
        }
    }
}

/* Fork; the child records and, when no other thread is about, checks. Its exit status. */
static int
record_in_child(bool alone)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        alarm(100); /* it waits for ever for a lock that another thread held */
        record(false, HIGH, HUGE_SIZE);
        mp_tracer_free(true, HIGH);
        mp_tracer_free(false, BASE);
        _exit(alone && !mp_tracer_check(&(const char *){NULL}));
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static _Atomic bool ended;

static void *
record_and_free(void *own)
{
    for (uintptr_t i = 1; i < 3000 || !atomic_load(&ended); i++) {
        const uintptr_t address = (i % 2 ? BASE : ODD) + ((uintptr_t)own + 1) * 4096;
        record(false, address + i % 32 * 64, 100);
        mp_tracer_free(false, address + (i + 2) % 32 * 64);
    }
    return NULL;
}

CASE(forked_child_goes_on_recording_alone_and_beside_threads)
{
    pthread_t threads[THREADS];
    record(true, BASE, 100);
    record(false, ODD, HUGE_SIZE);
    assert_int_equal(record_in_child(true), 0);
    assert_live(HUGE_SIZE + 100); /* the parent does not notice */
    for (uintptr_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, record_and_free, (void *)t), 0);
    for (int i = 0; i < 20; i++) {
        record(true, BASE, 100);
        assert_int_equal(record_in_child(false), 0);
        mp_tracer_free(true, BASE);
    }
    atomic_store(&ended, true);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_live(mp_tracer.lost + (uint64_t)mp_clock_now(&mp_tracer.lanes.clock)); /* none is lost */
}

/* The last test: no site can be added after it. */
CASE(highest_site_has_entries_and_numbers_and_the_next_has_no_room)
{
    atomic_store(&mp_tracer.depot.sites.used, MP_TABLE_MAX - 1); /* as if the others were taken */
    const uint32_t site = site_of(STACKS + 1, 100);
    assert_int_equal(site, MP_TABLE_MAX);
    mp_tracer_record(true, BASE, 100, site);
    mp_tracer_record(false, BASE + 4096, 100, site);
    assert_entry(BASE, site, 100);
    assert_live(200);
    mp_tracer_free(false, BASE);
    assert_live(100);
    assert_int_equal(site_of(STACKS + 2, 100), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_without_memory_fails_and_works_later),
        TEST(stop_and_clear_forget_live_entries),
        TEST(marked_code_object_outlives_a_failed_realloc_and_then_voids_the_caches),
        TEST(births_of_code_objects_rise_and_are_told_when_they_die),
        TEST(birth_that_had_no_memory_is_unknown_for_ever),
        TEST(thread_that_is_far_behind_forgets_all),
        TEST(stale_entry_is_replaced_and_does_not_raise_the_peak),
        TEST(block_that_is_lost_takes_a_stale_entry_with_it),
        TEST(stale_entry_that_overlaps_a_new_block_goes),
        TEST(record_without_memory_is_lost_and_leaves_no_trace),
        TEST(site_without_memory_for_its_tallies_is_none),
        TEST(free_in_a_lane_without_memory_keeps_the_numbers_right),
        TEST(random_events_match_a_model),
        TEST(forked_child_goes_on_recording_alone_and_beside_threads),
        TEST(highest_site_has_entries_and_numbers_and_the_next_has_no_room),
    };
    return mp_thread_extend(&extension) || RUN_TESTS(tests);
}
