#define _GNU_SOURCE
#include "test.h"

#include "graph/graph.h"
#include "make_graph.h"

/* ---- search ------------------------------------------------------------------------------- */

static struct mp_search
search_of(const struct mp_graph *graph)
{
    struct mp_search search;
    assert_int_equal(mp_search_init(&search, graph), MP_OK);
    return search;
}

static void
shortest_paths_are_found(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(5, {1, 2}, {2, 3}, {3, 4}, {1, 4}, {4, 5}, {5, 1});
    struct mp_search search = search_of(&graph);
    mp_search_from(&search, (uint32_t[]){1}, 1, NULL);
    assert_int_equal(search.count, 5);
    assert_int_equal(search.parent[1], 1);
    assert_int_equal(search.parent[4], 1); /* not by way of 2 and 3 */
    assert_int_equal(search.parent[5], 4);
    mp_search_free(&search);
    mp_graph_free(&graph);
}

static void
later_starts_get_what_is_left(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(4, {1, 2}, {3, 2}, {3, 4});
    struct mp_search search = search_of(&graph);
    mp_search_from(&search, (uint32_t[]){1}, 1, NULL);
    assert_int_equal(search.count, 2);
    mp_search_from(&search, (uint32_t[]){3, 1}, 2, NULL);
    assert_int_equal(search.count, 4);
    assert_int_equal(search.parent[2], 1);
    assert_int_equal(search.parent[4], 3);
    mp_search_clear(&search);
    mp_search_from(&search, (uint32_t[]){3}, 1, NULL);
    assert_int_equal(search.parent[2], 3);
    assert_int_equal(search.parent[1], 0);
    mp_search_free(&search);
    mp_graph_free(&graph);
}

static void
nothing_is_reached_through_a_bar(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(4, {1, 2}, {2, 3}, {1, 4});
    struct mp_search search = search_of(&graph);
    const uint8_t barred[] = {0, 0, 1, 0, 0};
    mp_search_from(&search, (uint32_t[]){1}, 1, barred);
    assert_int_equal(search.parent[2], 0);
    assert_int_equal(search.parent[3], 0);
    assert_int_equal(search.parent[4], 1);
    mp_search_free(&search);
    mp_graph_free(&graph);
}

/* ---- degrees, reversal -------------------------------------------------------------------- */

static void
reversed_edges_are_the_same_ones(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct mp_graph graph = random_graph(1 + next_random_number(30)), reversed;
        uint32_t degree[64];
        const char *why;
        mp_graph_in_degrees(&graph, degree);
        assert_int_equal(mp_graph_reverse(&graph, &reversed), MP_OK);
        assert_true(mp_graph_check(&graph, &why));
        assert_true(mp_graph_check(&reversed, &why));
        for (uint32_t n = 1; n <= graph.nodes; n++) {
            assert_int_equal(reversed.first[n + 1] - reversed.first[n], degree[n]);
            for (uint32_t m = 1; m <= graph.nodes; m++)
                assert_int_equal(count_edges(&graph, n, m), count_edges(&reversed, m, n));
        }
        mp_graph_free(&reversed);
        mp_graph_free(&graph);
    }
}

static void
broken_graph_is_noticed(void **state)
{
    (void)state;
    const char *why;
    struct mp_graph graph = GRAPH(3, {1, 2}, {2, 3});
    assert_true(mp_graph_check(&graph, &why));
    graph.target[1] = 9;
    assert_false(mp_graph_check(&graph, &why));
    graph.target[1] = 3;
    graph.first[2] = 3;
    assert_false(mp_graph_check(&graph, &why));
    mp_graph_free(&graph);
}

/* ---- lack of memory ----------------------------------------------------------------------- */

static void
lack_of_memory_is_told(void **state)
{
    (void)state;
    struct mp_graph graph = GRAPH(2, {1, 2}), reversed;
    struct mp_search search;
    const size_t before = mp_mem_mapped();
    for (long n = 1; n <= 2; n++) {
        mp_mem_fail_nth(n);
        assert_int_equal(mp_search_init(&search, &graph), MP_NO_MEMORY);
        mp_mem_fail_nth(n);
        assert_int_equal(mp_graph_reverse(&graph, &reversed), MP_NO_MEMORY);
        mp_mem_fail_nth(0);
        assert_int_equal(mp_mem_mapped(), before);
    }
    mp_graph_free(&graph);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_paths_are_found),
        cmocka_unit_test(later_starts_get_what_is_left),
        cmocka_unit_test(nothing_is_reached_through_a_bar),
        cmocka_unit_test(reversed_edges_are_the_same_ones),
        cmocka_unit_test(broken_graph_is_noticed),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return RUN_TESTS(tests);
}
