#define _GNU_SOURCE
#include "test.h"

#include "graph/dominators.h"
#include "make_graph.h"

static struct mp_dominators
dominators_of(const struct mp_graph *graph, const uint32_t *starts, uint32_t count)
{
    struct mp_dominators dominators;
    assert_int_equal(mp_dominators(graph, starts, count, &dominators), MP_OK);
    return dominators;
}

static void
diamond(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(5, {1, 2}, {1, 3}, {2, 4}, {3, 4}, {4, 5});
    struct mp_dominators dominators = dominators_of(&graph, (uint32_t[]){1}, 1);
    uint64_t retained[6];
    assert_int_equal(dominators.immediate[1], 0);
    assert_int_equal(dominators.immediate[2], 1);
    assert_int_equal(dominators.immediate[3], 1);
    assert_int_equal(dominators.immediate[4], 1);
    assert_int_equal(dominators.immediate[5], 4);
    mp_dominators_retained(&dominators, (uint64_t[]){0, 1, 10, 100, 1000, 10000}, retained);
    assert_int_equal(retained[1], 11111);
    assert_int_equal(retained[2], 10);
    assert_int_equal(retained[4], 11000);
    mp_dominators_free(&dominators);
    mp_graph_free(&graph);
}

static void
start_nodes_are_dominated_by_none(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(4, {1, 2}, {2, 3}, {4, 3});
    struct mp_dominators dominators = dominators_of(&graph, (uint32_t[]){1, 2, 4}, 3);
    for (uint32_t node = 1; node <= 4; node++)
        assert_int_equal(dominators.immediate[node], 0);
    mp_dominators_free(&dominators);
    mp_graph_free(&graph);
}

/* What cannot be reached from the starts when `without` is taken away is dominated by it. */
static bool
is_dominated(const struct mp_graph *graph, const uint32_t starts[2], uint32_t node,
             uint32_t without)
{
    uint8_t barred[64] = {0};
    struct mp_search search;
    barred[without] = 1;
    assert_int_equal(mp_search_init(&search, graph), MP_OK);
    mp_search_from(&search, starts, 2, barred);
    const bool reached = search.parent[node] != 0;
    mp_search_free(&search);
    return !reached;
}

static bool
is_above(const struct mp_dominators *dominators, uint32_t node, uint32_t above)
{
    while (node && node != above)
        node = dominators->immediate[node];
    return node == above;
}

static void
random_graphs_agree_with_the_definition(void **state)
{
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct mp_graph graph = random_graph(1 + next_random_number(14));
        const uint32_t starts[2] = {1, 1 + next_random_number(graph.nodes)};
        struct mp_dominators dominators = dominators_of(&graph, starts, 2);
        for (uint32_t i = 0; i < dominators.count; i++)
            for (uint32_t above = 1; above <= graph.nodes; above++)
                assert_int_equal(is_above(&dominators, dominators.order[i], above),
                                 is_dominated(&graph, starts, dominators.order[i], above));
        mp_dominators_free(&dominators);
        mp_graph_free(&graph);
    }
}

/* A chain of a million nodes, each of which refers back to the one before. */
static void
deep_chain_needs_no_stack(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct mp_graph graph = {.nodes = N, .edges = 2 * (N - 1)};
    graph.first = mp_mem_new((N + 2u) * sizeof *graph.first);
    graph.target = mp_mem_new((graph.edges + 1u) * sizeof *graph.target);
    uint64_t *size = mp_mem_new((N + 1u) * sizeof *size), *retained = mp_mem_new((N + 1u) * 8u);
    uint32_t at = 0;
    for (uint32_t node = 1; node <= N; node++) {
        graph.first[node] = at;
        if (node > 1)
            graph.target[at++] = node - 1;
        if (node < N)
            graph.target[at++] = node + 1;
        size[node] = 1;
    }
    graph.first[N + 1] = at;
    struct mp_dominators dominators = dominators_of(&graph, (uint32_t[]){1}, 1);
    mp_dominators_retained(&dominators, size, retained);
    for (uint32_t node = 1; node <= N; node++)
        assert_int_equal(retained[node], N - node + 1);
    mp_dominators_free(&dominators);
    mp_mem_free(size, (N + 1u) * 8u);
    mp_mem_free(retained, (N + 1u) * 8u);
    mp_graph_free(&graph);
}

static void
lack_of_memory_is_told(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(2, {1, 2});
    struct mp_dominators dominators;
    const size_t before = mp_mem_mapped();
    for (long n = 1; n <= 6; n++) {
        mp_mem_fail_nth(n);
        assert_int_equal(mp_dominators(&graph, (uint32_t[]){1}, 1, &dominators), MP_NO_MEMORY);
        mp_mem_fail_nth(0);
        assert_int_equal(mp_mem_mapped(), before);
    }
    mp_graph_free(&graph);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diamond),
        cmocka_unit_test(start_nodes_are_dominated_by_none),
        cmocka_unit_test(random_graphs_agree_with_the_definition),
        cmocka_unit_test(deep_chain_needs_no_stack),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return RUN_TESTS(tests);
}
