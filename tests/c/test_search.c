#define _GNU_SOURCE
#include "test.h"

#include "graph/search.h"
#include "make_heap.h"

static struct mp_search
search_of(struct made *made)
{
    struct mp_search search;
    assert_int_equal(mp_heap_search(&made->inspector, &search), MP_OK);
    assert_int_equal(search.count, made->heap.graph.nodes);
    assert_heap(&made->heap);
    return search;
}

/* The root of a kind that a node is; NULL when it is none. */
static const struct mp_root *
root_at(const struct made *made, uint32_t node, enum mp_root_kind kind)
{
    for (uint32_t i = 0; i < made->heap.root_count; i++)
        if (made->heap.roots[i].node == node && made->heap.roots[i].kind == kind)
            return &made->heap.roots[i];
    return NULL;
}

/* ---- in which order ----------------------------------------------------------------------- */

static void
paths_from_a_module_are_the_shortest(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"dict"}, {"list"}, {"app.Item"}};
    const struct link links[] = {{1, 2}, {2, 3}, {3, 4}, {2, 4}};
    const struct root roots[] = {{1, MP_ROOT_MODULE}};
    struct made made;
    make_heap(&made, LITERAL(nodes, links, roots));
    struct mp_search search = search_of(&made);
    assert_int_equal(search.parent[1], 1);
    assert_int_equal(search.parent[2], 1);
    assert_int_equal(search.parent[4], 2); /* not by way of the list */
    mp_search_free(&search);
    free_heap(&made);
}

static void
module_comes_before_nearer_roots_of_later_kinds(void **state)
{
    (void)state;
    static const enum mp_root_kind later[] = {MP_ROOT_EXIT,  MP_ROOT_THREAD, MP_ROOT_CONTEXT,
                                              MP_ROOT_FRAME, MP_ROOT_STACK,  MP_ROOT_OWN,
                                              MP_ROOT_INTERPRETER};
    for (size_t i = 0; i < COUNT(later); i++) {
        const struct node nodes[] = {{"module"}, {"dict"}, {"list"},
                                     {"app.Item", .more_references = 1}};
        const struct link links[] = {{1, 2}, {2, 3}, {3, 4}};
        const struct root roots[] = {{4, later[i], "name", "function"}, {1, MP_ROOT_MODULE}};
        struct made made;
        make_heap(&made, LITERAL(nodes, links, roots));
        struct mp_search search = search_of(&made);
        assert_int_equal(search.parent[4], 3);
        mp_search_free(&search);
        free_heap(&made);
    }
}

static void
kinds_come_in_their_order(void **state)
{
    (void)state;
    for (uint32_t kind = MP_ROOT_MODULE; kind < MP_ROOT_INTERPRETER; kind++) {
        const struct node nodes[] = {{"list", .more_references = 1},
                                     {"list", .more_references = 1},
                                     {"app.Item"}};
        const struct link links[] = {{1, 3}, {2, 3}};
        const struct root roots[] = {{2, (enum mp_root_kind)(kind + 1), NULL, "f"},
                                     {1, (enum mp_root_kind)kind, NULL, "f"}};
        struct made made;
        make_heap(&made, LITERAL(nodes, links, roots));
        struct mp_search search = search_of(&made);
        assert_int_equal(search.parent[3], 1);
        mp_search_free(&search);
        free_heap(&made);
    }
}

/* ---- memprof itself ----------------------------------------------------------------------- */

static void
nothing_is_held_through_memprof_by_other_roots(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"module"}, {"dict"}, {"app.Item"}, {"list"}};
    const struct link links[] = {{1, 2}, {2, 3}, {3, 4}, {5, 4}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"},
                                 {2, MP_ROOT_OWN, "memprof"},
                                 {5, MP_ROOT_FRAME, "kept", "main"}};
    struct made made;
    make_heap(&made, LITERAL(nodes, links, roots));
    struct mp_search search = search_of(&made);
    assert_int_equal(search.parent[2], 2); /* not through the module app */
    assert_int_equal(search.parent[4], 5); /* though the frame is not better than a module */
    mp_search_free(&search);
    free_heap(&made);
}

static void
local_variables_of_memprof_bar_nothing(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"dict"}, {"app.Item"}};
    const struct link links[] = {{1, 2}, {2, 3}};
    const struct root roots[] = {{2, MP_ROOT_OWN, "objects", "who_holds"},
                                 {1, MP_ROOT_MODULE, "app"}};
    struct made made;
    make_heap(&made, LITERAL(nodes, links, roots));
    struct mp_search search = search_of(&made);
    assert_int_equal(search.parent[2], 1);
    assert_int_equal(search.parent[3], 2);
    mp_search_free(&search);
    free_heap(&made);
}

/* ---- doubtful roots ----------------------------------------------------------------------- */

static void
left_over_on_a_stack_is_no_root(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list"}, {"app.Item"}, {"app.Item", .more_references = 1}};
    const struct link links[] = {{1, 2}};
    const struct root roots[] = {{2, MP_ROOT_STACK, NULL, "f"}, {3, MP_ROOT_STACK, NULL, "f"}};
    struct made made;
    make_heap(&made, LITERAL(nodes, links, roots));
    struct mp_search search = search_of(&made);
    assert_null(root_at(&made, 2, MP_ROOT_STACK)); /* the list accounts for its reference */
    assert_int_equal(search.parent[2], 1);
    assert_non_null(root_at(&made, 3, MP_ROOT_STACK));
    assert_null(root_at(&made, 3, MP_ROOT_C));
    mp_search_free(&search);
    free_heap(&made);
}

static void
what_a_field_accounts_for_is_not_on_a_stack(void **state)
{
    (void)state;
    const struct node nodes[] = {{"function", .more_references = 1},
                                 {"function", .more_references = 2}};
    const struct root roots[] = {{1, MP_ROOT_STACK, NULL, "f"},
                                 {1, MP_ROOT_INTERPRETER, "sys.settrace()"},
                                 {2, MP_ROOT_STACK, NULL, "f"},
                                 {2, MP_ROOT_INTERPRETER, "sys.settrace()"}};
    struct made made;
    make_heap(&made, &(struct literal){nodes, COUNT(nodes), NULL, 0, roots, COUNT(roots)});
    struct mp_search search = search_of(&made);
    assert_null(root_at(&made, 1, MP_ROOT_STACK));
    assert_non_null(root_at(&made, 1, MP_ROOT_INTERPRETER));
    assert_non_null(root_at(&made, 2, MP_ROOT_STACK));
    mp_search_free(&search);
    free_heap(&made);
}

static void
roots_whose_references_are_not_counted_are_believed(void **state)
{
    (void)state;
    const struct node nodes[] = {{"function", .uncounted = true}};
    const struct root roots[] = {{1, MP_ROOT_STACK, NULL, "f"}};
    struct made made;
    make_heap(&made, &(struct literal){nodes, 1, NULL, 0, roots, 1});
    struct mp_search search = search_of(&made);
    assert_non_null(root_at(&made, 1, MP_ROOT_STACK));
    mp_search_free(&search);
    free_heap(&made);
}

/* ---- what no root leads to ---------------------------------------------------------------- */

static void
references_of_c_code_make_roots(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", .more_references = 3}, {"app.Item"},
                                 {"str", .uncounted = true}};
    const struct link links[] = {{1, 2}};
    struct made made;
    make_heap(&made, &(struct literal){nodes, COUNT(nodes), links, COUNT(links), NULL, 0});
    struct mp_search search = search_of(&made);
    assert_int_equal(root_at(&made, 1, MP_ROOT_C)->references, 3);
    assert_int_equal(root_at(&made, 3, MP_ROOT_C)->references, 1);
    assert_null(root_at(&made, 2, MP_ROOT_C));
    assert_int_equal(search.parent[2], 1);
    mp_search_free(&search);
    free_heap(&made);
}

static void
cycle_is_held_by_c_code_where_it_has_a_reference(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list"}, {"list"}, {"list", .more_references = 1}, {"list"}};
    const struct link links[] = {{1, 2}, {2, 3}, {3, 4}, {4, 1}};
    struct made made;
    make_heap(&made, &(struct literal){nodes, COUNT(nodes), links, COUNT(links), NULL, 0});
    struct mp_search search = search_of(&made);
    assert_int_equal(made.heap.root_count, 1);
    assert_int_equal(root_at(&made, 3, MP_ROOT_C)->references, 1);
    assert_int_equal(search.parent[2], 1);
    mp_search_free(&search);
    free_heap(&made);
}

static void
garbage_is_held_by_nothing(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"list"}, {"list"}, {"list"}};
    const struct link links[] = {{2, 3}, {3, 2}, {3, 1}, {4, 4}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct made made;
    make_heap(&made, LITERAL(nodes, links, roots));
    struct mp_search search = search_of(&made);
    assert_non_null(root_at(&made, 2, MP_ROOT_NOTHING)); /* one for each cycle */
    assert_null(root_at(&made, 3, MP_ROOT_NOTHING));
    assert_non_null(root_at(&made, 4, MP_ROOT_NOTHING));
    assert_int_equal(search.parent[3], 2);
    assert_int_equal(search.parent[1], 1);
    mp_search_free(&search);
    free_heap(&made);
}

static void
empty_heap_is_searched(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, &(struct literal){NULL, 0, NULL, 0, NULL, 0});
    struct mp_search search = search_of(&made);
    assert_int_equal(made.heap.root_count, 0);
    mp_search_free(&search);
    free_heap(&made);
}

/* ---- many, and no memory ------------------------------------------------------------------ */

static int64_t
no_references(const struct mp_inspector *inspector, uint32_t node)
{
    (void)inspector, (void)node;
    return 0;
}

static void
chain_of_a_hundred_thousand(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct mp_heap heap;
    struct mp_search search;
    const struct mp_inspector inspector = {.heap = &heap, .references = no_references};
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    const uint32_t type = type_named(&heap, "app.Link");
    for (uint32_t node = 1; node <= N; node++)
        mp_heap_add_node(&heap, address_of(node), type);
    for (uint32_t node = 1; node <= N; node++) { /* there and back again */
        mp_heap_open_row(&heap);
        if (node > 1)
            mp_heap_add_edge(&heap, node - 1);
        if (node < N)
            mp_heap_add_edge(&heap, node + 1);
        mp_heap_close_row(&heap);
    }
    mp_heap_add_root(&heap, &(struct mp_root){.node = N / 2, .kind = MP_ROOT_MODULE});
    assert_int_equal(mp_heap_search(&inspector, &search), MP_OK);
    assert_int_equal(search.count, N);
    assert_int_equal(search.parent[1], 2);
    assert_int_equal(search.parent[N], N - 1);
    mp_search_free(&search);
    mp_heap_free(&heap);
}

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    enum { N = 3000 }; /* more than the first roots that there is room for */
    static struct node nodes[N];
    for (int i = 0; i < N; i++)
        nodes[i] = (struct node){.type = "list", .more_references = 1};
    const struct literal from = {nodes, N, NULL, 0, NULL, 0};
    int failures = 0, successes = 0;
    for (long n = 1; n <= 24; n++) {
        struct made made;
        struct mp_search search;
        make_heap(&made, &from);
        const size_t before = mp_mem_mapped();
        mp_mem_fail_nth(n);
        const int status = mp_heap_search(&made.inspector, &search);
        mp_mem_fail_nth(0);
        if (status == MP_OK) {
            assert_int_equal(search.count, N);
            successes++;
        } else {
            assert_int_equal(status, MP_NO_MEMORY);
            failures++;
        }
        mp_search_free(&search);
        if (status != MP_OK && !made.heap.root_capacity)
            assert_int_equal(mp_mem_mapped(), before);
        free_heap(&made);
    }
    assert_true(failures >= 5 + 2); /* five arrays, sizes of that of the roots */
    assert_true(successes > 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_from_a_module_are_the_shortest),
        cmocka_unit_test(module_comes_before_nearer_roots_of_later_kinds),
        cmocka_unit_test(kinds_come_in_their_order),
        cmocka_unit_test(nothing_is_held_through_memprof_by_other_roots),
        cmocka_unit_test(local_variables_of_memprof_bar_nothing),
        cmocka_unit_test(left_over_on_a_stack_is_no_root),
        cmocka_unit_test(what_a_field_accounts_for_is_not_on_a_stack),
        cmocka_unit_test(roots_whose_references_are_not_counted_are_believed),
        cmocka_unit_test(references_of_c_code_make_roots),
        cmocka_unit_test(cycle_is_held_by_c_code_where_it_has_a_reference),
        cmocka_unit_test(garbage_is_held_by_nothing),
        cmocka_unit_test(empty_heap_is_searched),
        cmocka_unit_test(chain_of_a_hundred_thousand),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
    };
    return RUN_TESTS(tests);
}
