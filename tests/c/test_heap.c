#define _GNU_SOURCE
#include "test.h"

#include "graph/inspector.h"
#include "make_graph.h"
#include "make_heap.h"

static const struct node small_nodes[] = {{"module", 100}, {"dict", 200}, {"app.Item", 48}};
static const struct link small_links[] = {{1, 2}, {2, 3}, {2, 1}};
static const struct root small_roots[] = {{1, MP_ROOT_MODULE, "app"}};
#define SMALL LITERAL(small_nodes, small_links, small_roots)

static void
add_buffer(struct mp_heap *heap, uintptr_t address, uint64_t size, uint32_t owner)
{
    mp_heap_add_buffer(heap, &(struct mp_buffer){address, size, owner, 0});
    if (owner)
        heap->size[owner] += size;
}

/* ---- what was added is found -------------------------------------------------------------- */

static void
objects_are_found_by_address(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    for (uint32_t node = 1; node <= 3; node++)
        assert_int_equal(mp_heap_find(&made.heap, address_of(node)), node);
    assert_int_equal(mp_heap_find(&made.heap, address_of(2) + 8), 0); /* in its granule */
    assert_int_equal(mp_heap_find(&made.heap, address_of(2) + 16), 0);
    assert_int_equal(mp_heap_find(&made.heap, 0), 0);
    assert_null(mp_heap_find_buffer(&made.heap, address_of(2)));
    free_heap(&made);
}

static void
buffers_are_found_by_address(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    add_buffer(&made.heap, 0x7000, 64, 2);
    add_buffer(&made.heap, 0x7040, 32, 0);
    assert_int_equal(mp_heap_find_buffer(&made.heap, 0x7000)->owner, 2);
    assert_int_equal(mp_heap_find_buffer(&made.heap, 0x7040)->size, 32);
    assert_null(mp_heap_find_buffer(&made.heap, 0x7008));
    assert_int_equal(mp_heap_find(&made.heap, 0x7000), 0);
    assert_heap(&made.heap);
    free_heap(&made);
}

static void
object_keeps_the_granule_that_a_buffer_shares(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    add_buffer(&made.heap, address_of(2), 16, 0);
    assert_int_equal(mp_heap_find(&made.heap, address_of(2)), 2);
    assert_null(mp_heap_find_buffer(&made.heap, address_of(2)));
    assert_heap(&made.heap);
    free_heap(&made);
}

static void
types_are_found_by_identity(void **state)
{
    (void)state;
    struct mp_heap heap;
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    assert_int_equal(mp_heap_find_type(&heap, 8), 0);
    for (uintptr_t i = 1; i <= 5000; i++)
        assert_int_equal(mp_heap_add_type(&heap, &(struct mp_heap_type){.identity = i * 8}), i);
    for (uintptr_t i = 1; i <= 5000; i++)
        assert_int_equal(mp_heap_find_type(&heap, i * 8), i);
    assert_int_equal(mp_heap_find_type(&heap, 5001 * 8), 0);
    assert_heap(&heap);
    mp_heap_free(&heap);
}

static uint32_t
add_type(struct mp_heap *heap, uintptr_t identity, const char *name, uint32_t flags)
{
    return mp_heap_add_type(heap, &(struct mp_heap_type){.identity = identity,
                                                         .name = intern(heap, name),
                                                         .flags = flags});
}

static void
types_of_one_name_and_kind_are_alike(void **state)
{
    (void)state;
    struct mp_heap heap;
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    const uint32_t first = add_type(&heap, 8, "app.Local", 0);
    const uint32_t other = add_type(&heap, 16, "app.Other", 0);
    const uint32_t second = add_type(&heap, 24, "app.Local", 0);
    const uint32_t module = add_type(&heap, 32, "app.Local", MP_TYPE_IS_MODULE);
    assert_int_equal(heap.types[first].alike, first);
    assert_int_equal(heap.types[other].alike, other);
    assert_int_equal(heap.types[second].alike, first);
    assert_int_equal(heap.types[module].alike, module);
    assert_heap(&heap);
    mp_heap_free(&heap);
}

static void
nodes_that_are_none_are_no_roots(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    mp_heap_add_root(&made.heap, &(struct mp_root){.node = 0});
    assert_int_equal(made.heap.root_count, 1);
    free_heap(&made);
}

/* ---- edges -------------------------------------------------------------------------------- */

static void
rows_are_the_links(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    const struct mp_graph *graph = &made.heap.graph;
    assert_int_equal(graph->edges, 3);
    assert_int_equal(graph->first[2] - graph->first[1], 1);
    assert_int_equal(graph->first[3] - graph->first[2], 2);
    assert_int_equal(graph->first[4] - graph->first[3], 0);
    assert_memory_equal(graph->target, ((uint32_t[]){2, 3, 1}), 3 * sizeof(uint32_t));
    free_heap(&made);
}

static void
inserted_edges_come_behind_those_of_their_node(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    const struct mp_edge edges[] = {{3, 1}, {1, 3}, {2, 2}, {1, 1}, {3, 2}, {3, 1}};
    mp_heap_insert_edges(&made.heap, edges, COUNT(edges));
    const uint32_t expected[] = {2, 3, 1, /* of 1 */ 3, 1, 2, /* of 2 */ 1, 2, 1};
    assert_int_equal(made.heap.graph.edges, COUNT(expected));
    assert_memory_equal(made.heap.graph.target, expected, sizeof expected);
    assert_int_equal(made.heap.graph.first[2], 3);
    assert_int_equal(made.heap.graph.first[3], 6);
    assert_heap(&made.heap);
    mp_heap_insert_edges(&made.heap, NULL, 0);
    assert_int_equal(made.heap.graph.edges, COUNT(expected));
    free_heap(&made);
}

static void
inserted_edges_are_those_of_a_heap_made_with_them(void **state)
{
    (void)state;
    enum { N = 40, OLD = 60, NEW = 50 };
    struct node nodes[N];
    struct link links[OLD + NEW];
    struct mp_edge edges[NEW];
    for (int i = 0; i < N; i++)
        nodes[i] = (struct node){.type = "object"};
    for (int round = 0; round < 100; round++) {
        struct made all, later;
        for (int i = 0; i < OLD + NEW; i++)
            links[i] = (struct link){.from = 1 + next_random_number(N),
                                     .to = 1 + next_random_number(N)};
        for (int i = 0; i < NEW; i++)
            edges[i] = (struct mp_edge){links[OLD + i].from, links[OLD + i].to};
        make_heap(&all, &(struct literal){nodes, N, links, OLD + NEW, NULL, 0});
        make_heap(&later, &(struct literal){nodes, N, links, OLD, NULL, 0});
        mp_heap_insert_edges(&later.heap, edges, NEW);
        assert_heap(&later.heap);
        assert_int_equal(later.heap.graph.edges, OLD + NEW);
        assert_memory_equal(later.heap.graph.target, all.heap.graph.target,
                            (OLD + NEW) * sizeof(uint32_t));
        assert_memory_equal(later.heap.graph.first + 1, all.heap.graph.first + 1,
                            (N + 1) * sizeof(uint32_t));
        free_heap(&all);
        free_heap(&later);
    }
}

/* ---- many --------------------------------------------------------------------------------- */

/* A chain: every object has an edge to the next, a buffer, and is a root. */
static void
make_chain(struct mp_heap *heap, uint32_t length)
{
    const uint32_t type = add_type(heap, 8, "link", 0);
    for (uint32_t node = 1; node <= length && !heap->failed; node++)
        mp_heap_add_node(heap, address_of(node), type);
    while (heap->rows < heap->graph.nodes && !heap->failed) {
        const uint32_t node = mp_heap_open_row(heap);
        if (node < length)
            mp_heap_add_edge(heap, node + 1);
        mp_heap_close_row(heap);
    }
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++) {
        add_buffer(heap, 0x200000000u + (uintptr_t)node * 16, 16, node);
        mp_heap_add_root(heap, &(struct mp_root){.node = node, .kind = MP_ROOT_C});
    }
}

static void
hundred_thousand_objects(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct mp_heap heap;
    const size_t before = mp_mem_mapped();
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    make_chain(&heap, N);
    assert_false(heap.failed);
    assert_heap(&heap);
    assert_int_equal(heap.graph.nodes, N);
    assert_int_equal(heap.graph.edges, N - 1);
    assert_int_equal(mp_heap_find(&heap, address_of(77777)), 77777);
    assert_int_equal(mp_heap_find_buffer(&heap, 0x200000000u + 77777 * 16)->owner, 77777);
    assert_true(mp_heap_memory(&heap) >= N * (8 + 8 + 4 + 4 + 4 + 4 + sizeof(struct mp_buffer)));
    mp_heap_free(&heap);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- broken ones -------------------------------------------------------------------------- */

enum fault {
    MISSING_ROW,
    WRONG_TARGET,
    WRONG_TYPE,
    WRONG_ADDRESS,
    WRONG_ROOT,
    WRONG_KIND,
    WRONG_ROOT_NAME,
    WRONG_OWNER,
    WRONG_BUFFER_SIZE,
    WRONG_BUFFER_PLACE,
    WRONG_IDENTITY,
    WRONG_TYPE_NAME,
    WRONG_ALIKE,
    LATER_ALIKE,
    TOO_MANY_ROOTS,
    FAILED,
    FAULTS
};

static void
break_heap(struct mp_heap *heap, enum fault fault)
{
    switch (fault) {
    case MISSING_ROW: heap->rows--; break;
    case WRONG_TARGET: heap->graph.target[1] = 4; break;
    case WRONG_TYPE: heap->type[2] = heap->type_count + 1; break;
    case WRONG_ADDRESS: heap->address[2] += 4096; break;
    case WRONG_ROOT: heap->roots[0].node = 4; break;
    case WRONG_KIND: heap->roots[0].kind = MP_ROOTS; break;
    case WRONG_ROOT_NAME: heap->roots[0].name2 = 99; break;
    case WRONG_OWNER: heap->buffers[0].owner = 4; break;
    case WRONG_BUFFER_SIZE: heap->buffers[0].size = 1 << 20; break;
    case WRONG_BUFFER_PLACE: heap->buffers[1].address = 0x9000; break;
    case WRONG_IDENTITY: heap->types[1].identity += 4096; break;
    case WRONG_TYPE_NAME: heap->types[1].short_name = 99; break;
    case WRONG_ALIKE: heap->types[2].alike = 1; break;
    case LATER_ALIKE: heap->types[1].alike = 2; break;
    case TOO_MANY_ROOTS: heap->root_count = heap->root_capacity + 1; break;
    case FAILED: heap->failed = true; break;
    case FAULTS: break;
    }
}

static void
broken_heap_is_noticed(void **state)
{
    (void)state;
    static const char *const expected[FAULTS] = {
        "an object has no row of edges",
        "an edge leads nowhere",
        "an object has a type that is none",
        "an object is not found by its address",
        "a root is no object",
        "a root is of no kind",
        "a root has a name that is none",
        "a buffer is owned by no object",
        "a buffer is larger than the object with its buffers",
        "a buffer is not found by its address",
        "a type is not found by its identity",
        "a type has a name that is none",
        "types are alike that differ",
        "a type is like none before it",
        "there is more than there is room for",
        "it was made without memory",
    };
    for (enum fault fault = 0; fault < FAULTS; fault++) {
        struct made made;
        const char *why = NULL;
        make_heap(&made, SMALL);
        add_buffer(&made.heap, 0x7000, 64, 2);
        add_buffer(&made.heap, 0x7040, 64, 0);
        assert_heap(&made.heap);
        break_heap(&made.heap, fault);
        if (mp_heap_check(&made.heap, &why))
            fail_msg("not noticed: %s", expected[fault]);
        assert_string_equal(why, expected[fault]);
        free_heap(&made);
    }
}

static void
empty_heap_is_sound(void **state)
{
    (void)state;
    struct mp_heap heap;
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    assert_heap(&heap);
    mp_heap_free(&heap);
    mp_heap_free(&heap); /* nothing is left to be freed twice */
}

/* ---- lack of memory ----------------------------------------------------------------------- */

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    const struct mp_edge edges[] = {{1, 1}, {2, 1}};
    const size_t before = mp_mem_mapped();
    int failures = 0, successes = 0;
    for (long n = 1; n <= 60; n++) {
        struct mp_heap heap;
        mp_mem_fail_nth(n);
        if (mp_heap_init(&heap) == MP_OK) {
            make_chain(&heap, 40000); /* all arrays grow */
            if (!heap.failed)
                mp_heap_insert_edges(&heap, edges, COUNT(edges));
            mp_mem_fail_nth(0);
            failures += heap.failed;
            successes += !heap.failed;
            if (!heap.failed)
                assert_heap(&heap);
            mp_heap_free(&heap);
        } else {
            mp_mem_fail_nth(0);
            failures++;
        }
        assert_int_equal(mp_mem_mapped(), before);
    }
    assert_true(failures > 35 && successes > 2);
}

static void
nothing_is_added_without_memory(void **state)
{
    (void)state;
    struct made made;
    make_heap(&made, SMALL);
    made.heap.failed = true;
    assert_int_equal(mp_heap_add_node(&made.heap, 0x5000, 1), 0);
    assert_int_equal(add_type(&made.heap, 0x6000, "another", 0), 0);
    assert_false(mp_heap_grow_edges(&made.heap));
    mp_heap_insert_edges(&made.heap, (const struct mp_edge[]){{1, 1}}, 1);
    assert_int_equal(made.heap.graph.nodes, 3);
    assert_int_equal(made.heap.graph.edges, 3);
    free_heap(&made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_found_by_address),
        cmocka_unit_test(buffers_are_found_by_address),
        cmocka_unit_test(object_keeps_the_granule_that_a_buffer_shares),
        cmocka_unit_test(types_are_found_by_identity),
        cmocka_unit_test(types_of_one_name_and_kind_are_alike),
        cmocka_unit_test(nodes_that_are_none_are_no_roots),
        cmocka_unit_test(rows_are_the_links),
        cmocka_unit_test(inserted_edges_come_behind_those_of_their_node),
        cmocka_unit_test(inserted_edges_are_those_of_a_heap_made_with_them),
        cmocka_unit_test(hundred_thousand_objects),
        cmocka_unit_test(broken_heap_is_noticed),
        cmocka_unit_test(empty_heap_is_sound),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
        cmocka_unit_test(nothing_is_added_without_memory),
    };
    return RUN_TESTS(tests);
}
