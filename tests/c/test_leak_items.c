#define _GNU_SOURCE
#include "test.h"

#include "graph/leak_items.h"
#include "make_heap.h"

/* Sites 1 and 3 are of the first leak, 2 is of the second; 4 is of none. */
static const uint32_t leak_of[] = {0, 1, 2, 1, 0};
static const struct mp_leak_sites sites = {leak_of, 4, 2};

static const struct node nodes[] = {{"list", 1, 3}, {"list", 1, 2}, {"list", 1, 1},
                                    {"list", 1, 4}, {"list", 1, 0}, {"list", 1, 99}};
static const struct literal objects = {nodes, COUNT(nodes), NULL, 0, NULL, 0};

static struct mp_leaks
open_leaks(size_t count)
{
    struct mp_leaks leaks = {.count = count};
    leaks.leaks = mp_mem_new((count + 1) * sizeof *leaks.leaks);
    assert_non_null(leaks.leaks);
    return leaks;
}

static void
assert_items(const struct mp_leaks *leaks, size_t leak, const uint32_t *expected, uint32_t count)
{
    const struct mp_leak *of = &leaks->leaks[leak];
    assert_int_equal(of->item_end - of->item_begin, count);
    assert_memory_equal(leaks->items + of->item_begin, expected, count * sizeof *expected);
}

static void
sites_are_of_leaks(void **state)
{
    (void)state;
    assert_int_equal(mp_leak_of_site(&sites, 0), 0);
    assert_int_equal(mp_leak_of_site(&sites, 3), 1);
    assert_int_equal(mp_leak_of_site(&sites, 4), 0);
    assert_int_equal(mp_leak_of_site(&sites, 5), 0); /* born after the leaks were asked for */
}

static void
objects_are_items_of_their_site(void **state)
{
    (void)state;
    struct made made;
    struct mp_leaks leaks = open_leaks(2);
    make_heap(&made, &objects);
    assert_int_equal(mp_leaks_collect(&made.heap, &sites, &leaks), MP_OK);
    assert_int_equal(leaks.leaks[0].objects, 2);
    assert_items(&leaks, 0, (const uint32_t[]){1, 3}, 2);
    assert_items(&leaks, 1, (const uint32_t[]){2}, 1);
    mp_leaks_free(&leaks);
    free_heap(&made);
}

static void
owners_are_items_once_and_in_order(void **state)
{
    (void)state;
    static const uint32_t owners[] = {6, 5, 6, 0, 4, 5};
    static const uint32_t of_buffers[] = {0, 0, 0, 0, 0, 0, 0, 1};
    const struct mp_leak_sites only_buffers = {of_buffers, 7, 1};
    struct made made;
    struct mp_leaks leaks = open_leaks(1);
    make_heap(&made, &objects);
    for (size_t i = 0; i < COUNT(owners); i++)
        mp_heap_add_buffer(&made.heap, &(struct mp_buffer){0x40000000 + i * 16, 1, owners[i], 7});
    assert_int_equal(mp_leaks_collect(&made.heap, &only_buffers, &leaks), MP_OK);
    assert_int_equal(leaks.leaks[0].buffers, 5);
    assert_int_equal(leaks.leaks[0].loose, 1);
    assert_int_equal(leaks.leaks[0].buffer_bytes, 6);
    assert_int_equal(leaks.leaks[0].owners, 3);
    assert_items(&leaks, 0, (const uint32_t[]){4, 5, 6}, 3);
    mp_leaks_free(&leaks);
    free_heap(&made);
}

static void
wanted_nodes_are_items(void **state)
{
    (void)state;
    struct made made;
    struct mp_leaks leaks = open_leaks(1);
    make_heap(&made, &objects);
    assert_int_equal(
        mp_leaks_collect_nodes(&made.heap, (const uint8_t[]){1, 0, 1, 0, 0, 7, 0}, &leaks), MP_OK);
    assert_items(&leaks, 0, (const uint32_t[]){2, 5}, 2);
    mp_leaks_free(&leaks);
    free_heap(&made);
}

static void
lack_of_memory_is_told(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, &objects);
    const size_t before = mp_mem_mapped();
    struct mp_leaks leaks = open_leaks(2);
    mp_mem_fail_nth(1);
    assert_int_equal(mp_leaks_collect(&made.heap, &sites, &leaks), MP_NO_MEMORY);
    mp_mem_fail_nth(0);
    mp_leaks_free(&leaks);
    leaks = open_leaks(1);
    mp_mem_fail_nth(1);
    assert_int_equal(mp_leaks_collect_nodes(&made.heap, (const uint8_t[7]){0}, &leaks),
                     MP_NO_MEMORY);
    mp_mem_fail_nth(0);
    mp_leaks_free(&leaks);
    assert_int_equal(mp_mem_mapped(), before);
    free_heap(&made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_of_leaks),
        cmocka_unit_test(objects_are_items_of_their_site),
        cmocka_unit_test(owners_are_items_once_and_in_order),
        cmocka_unit_test(wanted_nodes_are_items),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return RUN_TESTS(tests);
}
