#define _GNU_SOURCE
#include "test.h"

#include "graph/dominators.h"
#include "graph/leaks.h"
#include "graph/retained.h"
#include "graph/search.h"
#include "make_graph.h"
#include "make_heap.h"

/* ---- asking: leak i is site i + 1 --------------------------------------------------------- */

enum { SITES = 64 };

struct explained {
    struct made made;
    struct mp_leaks leaks;
};

static void
explain(struct explained *explained, const struct literal *from, size_t count)
{
    uint32_t leak_of[SITES + 1] = {0};
    for (uint32_t site = 1; site <= count; site++)
        leak_of[site] = site;
    make_heap(&explained->made, from);
    const struct mp_leak_sites sites = {leak_of, SITES, count};
    assert_int_equal(mp_heap_explain(&explained->made.inspector, &sites, &explained->leaks),
                     MP_OK);
}

static void
free_explained(struct explained *explained)
{
    mp_leaks_free(&explained->leaks);
    free_heap(&explained->made);
}

static const struct root app[] = {{1, MP_ROOT_MODULE, "app"}};

/* ---- sizes -------------------------------------------------------------------------------- */

static void
what_is_reached_in_another_way_is_not_retained(void **state)
{
    (void)state;
    const struct node nodes[] = {{"dict", 1}, {"app.Item", 10, 1}, {"list", 100}, {"str", 1000}};
    const struct link links[] = {{1, 2}, {2, 3}, {3, 4}, {1, 4}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 1);
    assert_int_equal(explained.leaks.leaks[0].retained, 110);
    free_explained(&explained);
}

static void
objects_of_one_leak_retain_together_what_they_share(void **state)
{
    (void)state;
    const struct node nodes[] = {{"dict", 1}, {"app.Item", 10, 1}, {"app.Item", 10, 1},
                                 {"app.Shared", 1000}};
    const struct link links[] = {{1, 2}, {1, 3}, {2, 4}, {3, 4}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 1);
    assert_int_equal(explained.leaks.leaks[0].retained, 1020);
    free_explained(&explained);
}

static void
leak_that_is_a_root_retains_what_hangs_on_it(void **state)
{
    (void)state;
    const struct node nodes[] = {{"dict", 1, 1}, {"app.Item", 10}};
    const struct link links[] = {{1, 2}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 1);
    assert_int_equal(explained.leaks.leaks[0].retained, 11);
    free_explained(&explained);
}

/* A leak of one object retains what the dominators say. */
static void
random_heaps_agree_with_the_dominators(void **state)
{
    (void)state;
    enum { N = 12, LINKS = 24 };
    for (int round = 0; round < 100; round++) {
        struct node nodes[N];
        struct link links[LINKS];
        for (uint32_t i = 0; i < N; i++)
            nodes[i] = (struct node){"object", 1u << i, i + 1};
        for (uint32_t i = 0; i < LINKS; i++)
            links[i] = (struct link){1 + next_random_number(N), 1 + next_random_number(N)};
        struct explained explained;
        explain(&explained, LITERAL(nodes, links, app), N);

        struct mp_dominators dominators;
        const struct mp_heap *heap = &explained.made.heap;
        uint32_t starts[N + 1], count = 0;
        uint64_t retained[N + 1];
        for (uint32_t i = 0; i < heap->root_count; i++)
            starts[count++] = heap->roots[i].node;
        assert_int_equal(mp_dominators(&heap->graph, starts, count, &dominators), MP_OK);
        mp_dominators_retained(&dominators, heap->size, retained);
        for (uint32_t node = 1; node <= N; node++)
            assert_int_equal(explained.leaks.leaks[node - 1].retained, retained[node]);
        mp_dominators_free(&dominators);
        free_explained(&explained);
    }
}

static void
leaks_beyond_the_first_32_have_the_size_of_their_objects(void **state)
{
    (void)state;
    enum { N = 40 };
    struct node nodes[2 * N + 1] = {{"list", 1}};
    struct link links[2 * N];
    for (uint32_t i = 0; i < N; i++) {
        nodes[1 + i] = (struct node){"app.Item", 10, i + 1};
        nodes[1 + N + i] = (struct node){"list", 100};
        links[i] = (struct link){1, i + 2};
        links[N + i] = (struct link){i + 2, i + 2 + N};
    }
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), N);
    assert_int_equal(explained.leaks.leaks[0].retained, 110);
    assert_int_equal(explained.leaks.leaks[31].retained, 110);
    assert_int_equal(explained.leaks.leaks[32].retained, 10);
    assert_int_equal(explained.leaks.leaks[N - 1].retained, 10);
    free_explained(&explained);
}

/* ---- part of another ---------------------------------------------------------------------- */

static void
leak_that_hangs_on_another_is_part_of_it(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 1}, {"app.Outer", 10, 2}, {"app.Inner", 10, 1},
                                 {"app.Other", 10, 3}};
    const struct link links[] = {{1, 2}, {2, 3}, {1, 4}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 3);
    assert_int_equal(explained.leaks.leaks[0].part_of, 2);
    assert_int_equal(explained.leaks.leaks[1].part_of, 0);
    assert_int_equal(explained.leaks.leaks[2].part_of, 0);
    free_explained(&explained);
}

static void
part_of_a_part_is_part_of_the_outermost(void **state)
{
    (void)state;
    enum { N = 10 };
    struct node nodes[N + 1] = {{"list", 1}};
    struct link links[N];
    for (uint32_t i = 0; i < N; i++) {
        nodes[i + 1] = (struct node){"app.Nested", 10, i + 1};
        links[i] = (struct link){i + 1, i + 2};
    }
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), N);
    assert_int_equal(explained.leaks.leaks[0].part_of, 0);
    for (uint32_t i = 1; i < N; i++)
        assert_int_equal(explained.leaks.leaks[i].part_of, 1);
    assert_int_equal(explained.leaks.leaks[0].retained, 100);
    free_explained(&explained);
}

static void
nine_tenths_are_enough(void **state)
{
    (void)state;
    for (uint32_t free_ones = 1; free_ones <= 2; free_ones++) {
        enum { N = 10 };
        struct node nodes[N + 2] = {{"list", 1}, {"app.Outer", 10, 2}};
        struct link links[N + 1] = {{1, 2}};
        for (uint32_t i = 0; i < N; i++) {
            nodes[i + 2] = (struct node){"app.Inner", 10, 1};
            links[i + 1] = (struct link){i < free_ones ? 1 : 2, i + 3};
        }
        struct explained explained;
        explain(&explained, LITERAL(nodes, links, app), 2);
        assert_int_equal(explained.leaks.leaks[0].part_of, free_ones == 1 ? 2 : 0);
        free_explained(&explained);
    }
}

/* Each of two leaks is only reached through the other, but for the very first object. */
static void
of_two_that_hold_each_other_the_first_is_outside(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 1}, {"app.Pair", 10, 1}, {"app.Twin", 10, 2},
                                 {"app.Pair", 10, 1}};
    const struct link links[] = {{1, 2}, {2, 3}, {3, 4}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 2);
    assert_int_equal(explained.leaks.leaks[1].part_of, 1);
    assert_int_equal(explained.leaks.leaks[0].part_of, 0);
    free_explained(&explained);
}

static void
cycle_through_garbage_ends(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 1}, {"app.A", 10, 1}, {"app.B", 10, 2}, {"app.C", 10, 3}};
    const struct link links[] = {{2, 3}, {3, 4}, {4, 2}};
    struct explained explained;
    explain(&explained, LITERAL(nodes, links, app), 3);
    assert_int_equal(explained.leaks.leaks[0].retained, 30);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_not_equal(explained.leaks.leaks[i].part_of, i + 1);
    free_explained(&explained);
}

static void
buffers_of_a_container_are_part_of_what_it_holds(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module", 1}, {"dict", 500}, {"app.Item", 10, 2},
                                 {"app.Item", 10, 2}, {"dict", 500}};
    const struct link links[] = {{1, 2}, {2, 3}, {2, 4}, {1, 5}};
    static const uint32_t leak_of[SITES + 1] = {0, 1, 2, 3};
    const struct mp_leak_sites sites = {leak_of, SITES, 3};
    struct explained explained;
    make_heap(&explained.made, LITERAL(nodes, links, app));
    mp_heap_add_buffer(&explained.made.heap, &(struct mp_buffer){0x40000000, 400, 2, 1});
    mp_heap_add_buffer(&explained.made.heap, &(struct mp_buffer){0x40000400, 400, 5, 3});
    assert_int_equal(mp_heap_explain(&explained.made.inspector, &sites, &explained.leaks), MP_OK);
    assert_int_equal(explained.leaks.leaks[0].owners, 1);
    assert_int_equal(explained.leaks.leaks[0].part_of, 2); /* the table of the items' dict */
    assert_int_equal(explained.leaks.leaks[2].part_of, 0); /* that of another one */
    free_explained(&explained);
}

/* ---- many, and no memory ------------------------------------------------------------------ */

static int64_t
no_references(const struct mp_inspector *inspector, uint32_t node)
{
    (void)inspector, (void)node;
    return 0;
}

/* What mp_leaks_find_retained is given: one leak of the second node of a chain. */
struct chain {
    struct mp_heap heap;
    struct mp_search search;
    struct mp_leak leak;
    struct mp_leaks leaks;
    uint32_t item;
};

static void
make_chain(struct chain *chain, uint32_t length)
{
    const struct mp_inspector inspector = {.heap = &chain->heap, .references = no_references};
    assert_int_equal(mp_heap_init(&chain->heap), MP_OK);
    const uint32_t type = type_named(&chain->heap, "app.Node");
    for (uint32_t node = 1; node <= length; node++) {
        assert_int_equal(mp_heap_add_node(&chain->heap, address_of(node), type), node);
        chain->heap.size[node] = 1;
    }
    for (uint32_t node = 1; node <= length; node++) {
        mp_heap_open_row(&chain->heap);
        if (node < length)
            mp_heap_add_edge(&chain->heap, node + 1);
        mp_heap_close_row(&chain->heap);
    }
    mp_heap_add_root(&chain->heap, &(struct mp_root){.node = 1, .kind = MP_ROOT_MODULE});
    assert_int_equal(mp_heap_search(&inspector, &chain->search), MP_OK);
    chain->item = 2;
    chain->leak = (struct mp_leak){.objects = 1, .item_end = 1};
    chain->leaks = (struct mp_leaks){.count = 1, .leaks = &chain->leak, .items = &chain->item};
}

static void
free_chain(struct chain *chain)
{
    mp_search_free(&chain->search);
    mp_heap_free(&chain->heap);
}

static void
chain_of_a_hundred_thousand(void **state)
{
    (void)state;
    static struct chain chain;
    make_chain(&chain, 100000);
    assert_int_equal(mp_leaks_find_retained(&chain.heap, &chain.search, &chain.leaks), MP_OK);
    assert_int_equal(chain.leak.retained, 99999);
    free_chain(&chain);
}

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    static struct chain chain;
    make_chain(&chain, 10);
    const size_t before = mp_mem_mapped();
    for (long n = 1; n <= 7; n++) {
        mp_mem_fail_nth(n);
        const int status = mp_leaks_find_retained(&chain.heap, &chain.search, &chain.leaks);
        mp_mem_fail_nth(0);
        assert_int_equal(status, n <= 5 ? MP_NO_MEMORY : MP_OK); /* five arrays */
        assert_int_equal(mp_mem_mapped(), before);
    }
    free_chain(&chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_reached_in_another_way_is_not_retained),
        cmocka_unit_test(objects_of_one_leak_retain_together_what_they_share),
        cmocka_unit_test(leak_that_is_a_root_retains_what_hangs_on_it),
        cmocka_unit_test(random_heaps_agree_with_the_dominators),
        cmocka_unit_test(leaks_beyond_the_first_32_have_the_size_of_their_objects),
        cmocka_unit_test(leak_that_hangs_on_another_is_part_of_it),
        cmocka_unit_test(part_of_a_part_is_part_of_the_outermost),
        cmocka_unit_test(nine_tenths_are_enough),
        cmocka_unit_test(of_two_that_hold_each_other_the_first_is_outside),
        cmocka_unit_test(cycle_through_garbage_ends),
        cmocka_unit_test(buffers_of_a_container_are_part_of_what_it_holds),
        cmocka_unit_test(chain_of_a_hundred_thousand),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
    };
    return RUN_TESTS(tests);
}
