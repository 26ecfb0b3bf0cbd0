#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>

#include "record/tracer.h"

enum { THREADS = 4, MAX_SEEN = 64 };

static const uintptr_t CHUNK = (uintptr_t)1 << MP_CHUNK_SHIFT;
static const uintptr_t GROUP = (uintptr_t)MP_CHUNK_GROUP << MP_CHUNK_SHIFT;
static const uintptr_t TOP = (uintptr_t)1 << MP_ADDRESS_BITS;

static struct mp_shadow shadow;

static int
tear_down(void **state)
{
    (void)state;
    mp_mem_fail_nth(0);
    mp_shadow_destroy(&shadow);
    return 0;
}

/* Write an entry as the header describes it: two words, or one when size is 0. */
static void
put(uintptr_t address, uint32_t site, uint32_t size)
{
    mp_word *words = mp_shadow_reach(&shadow, address);
    assert_non_null(words);
    mp_word_store(words, site);
    if (size)
        mp_word_store(words + 1, size);
}

struct seen {
    size_t count;
    uintptr_t address[MAX_SEEN];
    uint32_t site[MAX_SEEN], size[MAX_SEEN];
};

static void
see(uintptr_t address, uint32_t site, uint32_t size, void *data)
{
    struct seen *seen = data;
    if (seen->count < MAX_SEEN) {
        seen->address[seen->count] = address;
        seen->site[seen->count] = site;
        seen->size[seen->count] = size;
    }
    seen->count++;
}

static struct seen
walk(void)
{
    struct seen seen = {0};
    mp_shadow_each(&shadow, see, &seen);
    return seen;
}

static void
assert_seen(const struct seen *seen, size_t i, uintptr_t address, uint32_t site, uint32_t size)
{
    assert_true(i < seen->count);
    assert_int_equal(seen->address[i], address);
    assert_true(seen->site[i] == site && seen->size[i] == size);
}

/* ---- addresses --------------------------------------------------------------------- */

static void
only_aligned_addresses_of_users_are_covered(void **state)
{
    (void)state;
    assert_true(mp_shadow_covers(0));
    assert_true(mp_shadow_covers(16));
    assert_true(mp_shadow_covers(TOP - 16));
    for (uintptr_t low = 1; low < 16; low++)
        assert_false(mp_shadow_covers(0x1000 + low));
    assert_false(mp_shadow_covers(TOP));
    assert_false(mp_shadow_covers(TOP * 2));
    assert_false(mp_shadow_covers(UINTPTR_MAX - 15));
}

static void
nothing_is_found_before_it_is_reached(void **state)
{
    (void)state;
    const uintptr_t address = 5 * GROUP + 3 * CHUNK;
    assert_null(mp_shadow_find(&shadow, address));
    mp_word *words = mp_shadow_reach(&shadow, address);
    assert_non_null(words);
    assert_int_equal(mp_word_load(words), 0);
    assert_ptr_equal(mp_shadow_find(&shadow, address), words);
    assert_null(mp_shadow_find(&shadow, address + CHUNK));
    assert_null(mp_shadow_find(&shadow, address - 16));
    assert_ptr_equal(mp_shadow_reach(&shadow, address + CHUNK - 16), words + MP_CHUNK_WORDS - 1);
}

static void
lowest_and_highest_address_have_words(void **state)
{
    (void)state;
    put(0, 1 | MP_SMALL, 0);
    put(TOP - 16, 2, 77);
    const struct seen seen = walk();
    assert_int_equal(seen.count, 2);
    assert_seen(&seen, 0, 0, 1 | MP_SMALL, 0);
    assert_seen(&seen, 1, TOP - 16, 2, 77);
}

/* ---- the walk ------------------------------------------------------------------------- */

static void
walk_visits_in_order_of_address(void **state)
{
    (void)state;
    const uintptr_t addresses[] = {32, CHUNK - 16, CHUNK, 7 * CHUNK + 48, GROUP, 100 * GROUP,
                                   TOP - CHUNK};
    for (size_t i = 7; i-- > 0;)
        put(addresses[i], (uint32_t)i + 1, 100 + (uint32_t)i);
    const struct seen seen = walk();
    assert_int_equal(seen.count, 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_seen(&seen, i, addresses[i], i + 1, 100 + i);
}

static void
walk_does_not_take_a_size_for_an_entry(void **state)
{
    (void)state;
    put(CHUNK, 1, 17);                  /* granules 0, 1 */
    put(CHUNK + 32, 2, UINT32_MAX - 1); /* granules 2, 3 */
    put(CHUNK + 64, 3 | MP_SMALL, 0);   /* granule 4 */
    put(CHUNK + 80, 4 | MP_CODE, MP_SIZE_IN_SIDE);
    put(CHUNK + 112, 5 | MP_SMALL | MP_CODE, 0);
    put(CHUNK + 128, MP_CODE, 0); /* a code object that was not traced */
    put(CHUNK + 144, 6 | MP_SMALL, 0);
    const struct seen seen = walk();
    assert_int_equal(seen.count, 7);
    assert_seen(&seen, 0, CHUNK, 1, 17);
    assert_seen(&seen, 1, CHUNK + 32, 2, UINT32_MAX - 1);
    assert_seen(&seen, 2, CHUNK + 64, 3 | MP_SMALL, 0);
    assert_seen(&seen, 3, CHUNK + 80, 4 | MP_CODE, MP_SIZE_IN_SIDE);
    assert_seen(&seen, 4, CHUNK + 112, 5 | MP_SMALL | MP_CODE, 0);
    assert_seen(&seen, 5, CHUNK + 128, MP_CODE, 0);
    assert_seen(&seen, 6, CHUNK + 144, 6 | MP_SMALL, 0);
}

static void
block_in_the_last_granule_of_a_chunk_or_page_keeps_its_size(void **state)
{
    (void)state;
    put(2 * CHUNK - 16, 9, 4096);
    put(2 * CHUNK, 8 | MP_SMALL, 0); /* the next chunk's first word is another one */
    put(4 * CHUNK - 16, 7, 31);      /* and here there was no next chunk */
    const uintptr_t page = 4 * CHUNK + mp_mem_page() / sizeof(mp_word) * 16;
    put(page - 16, 6, 32); /* entries may lie in two pages, too */
    put(page + 16, 5, 33);
    const struct seen seen = walk();
    assert_int_equal(seen.count, 5);
    assert_seen(&seen, 3, page - 16, 6, 32);
    assert_seen(&seen, 4, page + 16, 5, 33);
    assert_seen(&seen, 0, 2 * CHUNK - 16, 9, 4096);
    assert_seen(&seen, 1, 2 * CHUNK, 8 | MP_SMALL, 0);
    assert_seen(&seen, 2, 4 * CHUNK - 16, 7, 31);
}

static void
traced_block_has_two_words_beyond_16_bytes_and_one_up_to_16(void **state)
{
    (void)state;
    assert_int_equal(mp_tracer_start(), MP_OK);
    for (size_t size = 0; size <= 33; size++) {
        const struct mp_site key = {.small = mp_site_small(size)};
        const uint32_t site = mp_tracer_site(&key);
        mp_tracer_record(true, CHUNK - 16, size, site); /* in the last granule */
        const mp_word *words = mp_shadow_find(&mp_tracer.shadow, CHUNK - 16);
        assert_int_equal(mp_word_load(words), size <= 16 ? site | MP_SMALL : site);
        assert_int_equal(mp_word_load(words + 1), size <= 16 ? 0 : size);
        mp_tracer_free(true, CHUNK - 16);
        assert_int_equal(mp_word_load(words) | mp_word_load(words + 1), 0);
    }
    mp_tracer_stop();
}

/* ---- clear, memory ------------------------------------------------------------------------ */

static void
cleared_table_has_no_entries_and_keeps_its_chunks(void **state)
{
    (void)state;
    mp_word *words = mp_shadow_reach(&shadow, 2 * CHUNK - 16);
    put(2 * CHUNK - 16, 1, 500);
    put(GROUP, 2 | MP_SMALL, 0);
    mp_shadow_clear(&shadow);
    assert_int_equal(walk().count, 0);
    assert_int_equal(mp_word_load(words + 1), 0);
    assert_ptr_equal(mp_shadow_find(&shadow, 2 * CHUNK - 16), words);
}

static void
walk_and_clear_leave_no_more_resident_than_was_written(void **state)
{
    (void)state;
    for (uintptr_t i = 0; i < 10; i++)
        assert_non_null(mp_shadow_reach(&shadow, i * CHUNK));
    assert_int_equal(walk().count, 0);
    const size_t empty = mp_mem_resident();
    for (uintptr_t i = 0; i < 10; i++)
        put(i * CHUNK, 1, 100);
    assert_int_equal(walk().count, 10);
    assert_int_equal(mp_mem_resident(), empty + 10 * mp_mem_page());
    mp_shadow_clear(&shadow);
    assert_int_equal(mp_mem_resident(), empty);
}

/* The kernel does not call a page in swap resident; its entries are live all the same. */
static void
walk_visits_entries_that_were_swapped_out(void **state)
{
    (void)state;
    uint64_t touched[MP_MEM_PAGES];
    put(CHUNK, 1, 100);
    void *page = (void *)mp_shadow_find(&shadow, CHUNK);
    (void)!madvise(page, mp_mem_page(), MADV_PAGEOUT);
    if (!mp_mem_touched(page, mp_mem_page(), touched) || (touched[0] & 2))
        skip(); /* no swap here */
    assert_int_equal(walk().count, 1);
}

static void
destroyed_table_is_empty_and_usable(void **state)
{
    (void)state;
    put(CHUNK, 1, 100);
    mp_shadow_destroy(&shadow);
    assert_null(mp_shadow_find(&shadow, CHUNK));
    put(CHUNK, 2, 200);
    assert_int_equal(walk().count, 1);
}

static void
reach_without_memory_returns_null_and_works_later(void **state)
{
    (void)state;
    mp_word *words = NULL;
    long n = 0;
    put(GROUP - 16, 1, 100);
    while (!words) {
        const uintptr_t address = (uintptr_t)(n + 1) * GROUP;
        mp_mem_fail_nth(++n);
        words = mp_shadow_reach(&shadow, address);
        mp_mem_fail_nth(0);
        assert_ptr_equal(mp_shadow_find(&shadow, address), words);
        assert_non_null(mp_shadow_reach(&shadow, address));
        put(address, 2, 100);
        assert_int_equal(walk().count, n + 1);
    }
    assert_int_equal(n, 2); /* the chunk failed */
}

/* ---- threads -------------------------------------------------------------------------------- */

enum { CHUNKS = 200 };

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    uint32_t number;
    mp_word *words[CHUNKS];
};

static void *
reach_chunks(void *data)
{
    struct worker *worker = data;
    for (uintptr_t i = 0; i < CHUNKS; i++) {
        pthread_barrier_wait(worker->start); /* all at once */
        const uintptr_t address = i * 1536 * CHUNK + worker->number * 32; /* in every third group */
        mp_word *words = mp_shadow_reach(&shadow, address);
        worker->words[i] = words ? words - worker->number * 2 : NULL;
        if (words) {
            mp_word_store(words, worker->number + 1);
            mp_word_store(words + 1, 17 + worker->number);
        }
    }
    return NULL;
}

static void
count_own(uintptr_t address, uint32_t site, uint32_t size, void *data)
{
    size_t *counts = data;
    const bool good = address % CHUNK == (site - 1) * 32 && size == 16 + site && site <= THREADS;
    counts[good ? site : 0]++;
}

static void
threads_that_add_the_same_chunks_share_them(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    for (uint32_t t = 0; t < THREADS; t++) {
        workers[t].start = &start;
        workers[t].number = t;
        assert_int_equal(pthread_create(&workers[t].thread, NULL, reach_chunks, &workers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(workers[t].thread, NULL);
    for (int i = 0; i < CHUNKS; i++)
        for (int t = 0; t < THREADS; t++) {
            assert_non_null(workers[t].words[i]);
            assert_ptr_equal(workers[t].words[i], workers[0].words[i]);
        }
    size_t counts[THREADS + 1] = {0};
    mp_shadow_each(&shadow, count_own, counts);
    assert_int_equal(counts[0], 0);
    for (int t = 1; t <= THREADS; t++)
        assert_int_equal(counts[t], CHUNKS);
    pthread_barrier_destroy(&start);
}

/* ---- check ---------------------------------------------------------------------------- */

static void
assert_broken(const char *word)
{
    const char *why = "";
    assert_false(mp_shadow_check(&shadow, &why));
    assert_non_null(strstr(why, word));
}

static void
check_names_what_is_broken(void **state)
{
    (void)state;
    const char *why = "";
    assert_true(mp_shadow_check(&shadow, &why));
    put(CHUNK, 5, 100);
    put(CHUNK + 32, 6 | MP_CODE, 0x80000000u); /* a size may be any number */
    put(CHUNK + 64, 7 | MP_SMALL, 0);
    put(CHUNK + 80, MP_CODE, 0); /* it was not traced */
    assert_true(mp_shadow_check(&shadow, &why));
    assert_null(why);
    put(CHUNK + 112, 0x20000000u | 5, 100);
    assert_broken("flags");
    put(CHUNK + 112, MP_SMALL, 0);
    assert_broken("no site");
    put(CHUNK + 112, 8, 100);
    assert_true(mp_shadow_check(&shadow, &why));
    shadow.used[0] = false; /* walks would pass it over */
    assert_broken("group");
    shadow.used[0] = true;
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_aligned_addresses_of_users_are_covered),
        TEST(nothing_is_found_before_it_is_reached),
        TEST(lowest_and_highest_address_have_words),
        TEST(walk_visits_in_order_of_address),
        TEST(walk_does_not_take_a_size_for_an_entry),
        TEST(block_in_the_last_granule_of_a_chunk_or_page_keeps_its_size),
        TEST(traced_block_has_two_words_beyond_16_bytes_and_one_up_to_16),
        TEST(cleared_table_has_no_entries_and_keeps_its_chunks),
        TEST(walk_and_clear_leave_no_more_resident_than_was_written),
        TEST(walk_visits_entries_that_were_swapped_out),
        TEST(destroyed_table_is_empty_and_usable),
        TEST(reach_without_memory_returns_null_and_works_later),
        TEST(threads_that_add_the_same_chunks_share_them),
        TEST(check_names_what_is_broken),
    };
    return RUN_TESTS(tests);
}
