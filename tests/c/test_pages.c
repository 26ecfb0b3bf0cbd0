#define _GNU_SOURCE
#include "test.h"

#include <unistd.h>

#include "os/pages.h"

enum { COUNT = 64 };

static size_t
page_size(void)
{
    assert_int_equal(mp_pages_size(), sysconf(_SC_PAGESIZE));
    return mp_pages_size();
}

/* How many of the pages have one of these bits. */
static size_t
count_pages(const void *pages, size_t size, uint64_t bits)
{
    uint64_t states[4 * COUNT] = {0};
    size_t count = 0;
    const int file = mp_pages_open_states();
    assert_true(mp_pages_read_states(file, (uintptr_t)pages, size, states));
    mp_pages_close_states(file);
    for (size_t i = 0; i < size / page_size(); i++)
        count += (states[i] & bits) != 0;
    return count;
}

static bool
is_filled(const char *memory, size_t size, char byte)
{
    for (size_t i = 0; i < size; i++)
        if (memory[i] != byte)
            return false;
    return true;
}

/* ---- mapping ------------------------------------------------------------------------------ */

static void
pages_come_zeroed_aligned_and_untouched(void **state)
{
    (void)state;
    const size_t size = COUNT * page_size();
    void *(*const ways[])(size_t) = {mp_pages_map, mp_pages_map_sparse};
    for (int i = 0; i < 2; i++) {
        char *pages = ways[i](size);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % page_size(), 0);
        assert_int_equal(count_pages(pages, size, MP_PAGE_RESIDENT | MP_PAGE_SWAPPED), 0);
        assert_true(is_filled(pages, size, 0));
        mp_pages_unmap(pages, size);
    }
}

static void
more_than_there_is_gives_null(void **state)
{
    (void)state;
    const size_t size = SIZE_MAX / 2 & ~(page_size() - 1);
    char *pages = mp_pages_map(page_size());
    pages[0] = 5;
    assert_null(mp_pages_map(size));
    assert_null(mp_pages_map_sparse(size));
    assert_null(mp_pages_resize(pages, page_size(), size));
    assert_int_equal(pages[0], 5);
    mp_pages_unmap(pages, page_size());
}

static void
resizing_keeps_the_contents(void **state)
{
    (void)state;
    const size_t page = page_size();
    char *pages = mp_pages_map(2 * page);
    memset(pages, 3, 2 * page);
    pages = mp_pages_resize(pages, 2 * page, COUNT * page);
    assert_true(is_filled(pages, 2 * page, 3));
    assert_true(is_filled(pages + 2 * page, (COUNT - 2) * page, 0));
    pages = mp_pages_resize(pages, COUNT * page, page);
    assert_true(is_filled(pages, page, 3));
    mp_pages_unmap(pages, page);
}

/* ---- states --------------------------------------------------------------------------------- */

static void
only_pages_that_were_written_have_a_state(void **state)
{
    (void)state;
    const size_t page = page_size(), size = COUNT * page;
    char *pages = mp_pages_map_sparse(size);
    for (size_t i = 0; i < COUNT; i += 5)
        pages[i * page + i] = 1;
    uint64_t states[COUNT];
    const int file = mp_pages_open_states();
    assert_true(mp_pages_read_states(file, (uintptr_t)pages, size, states));
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(states[i], i % 5 == 0 ? MP_PAGE_RESIDENT : 0);
    /* from a page in the middle on, and the last one by a part of it */
    assert_true(mp_pages_read_states(file, (uintptr_t)pages + 5 * page, 5 * page + 1, states));
    assert_true(states[0] && !states[1] && states[5]);
    mp_pages_close_states(file);
    mp_pages_unmap(pages, size);
}

static void
discarded_pages_are_zero_and_untouched(void **state)
{
    (void)state;
    const size_t size = COUNT * page_size();
    char *pages = mp_pages_map_sparse(size);
    memset(pages, 1, size);
    assert_int_equal(count_pages(pages, size, MP_PAGE_RESIDENT), COUNT);
    mp_pages_discard(pages, size);
    assert_int_equal(count_pages(pages, size, MP_PAGE_RESIDENT | MP_PAGE_SWAPPED), 0);
    assert_true(is_filled(pages, size, 0));
    mp_pages_unmap(pages, size);
}

static void
states_are_not_known_without_the_file(void **state)
{
    (void)state;
    uint64_t states[1];
    assert_false(mp_pages_read_states(-1, 0, page_size(), states));
    mp_pages_close_states(-1); /* nothing */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_zeroed_aligned_and_untouched),
        cmocka_unit_test(more_than_there_is_gives_null),
        cmocka_unit_test(resizing_keeps_the_contents),
        cmocka_unit_test(only_pages_that_were_written_have_a_state),
        cmocka_unit_test(discarded_pages_are_zero_and_untouched),
        cmocka_unit_test(states_are_not_known_without_the_file),
    };
    return RUN_TESTS(tests);
}
