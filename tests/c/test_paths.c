#define _GNU_SOURCE
#include "test.h"

#include "graph/paths.h"
#include "graph/search.h"
#include "make_heap.h"
#include "make_paths.h"

/* ---- one path ----------------------------------------------------------------------------- */

static void
steps_are_groups_by_name_and_type(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"dict"}, {"list"}, {"app.Item"}, {"str"}};
    const struct link links[] = {{1, 2, MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE},
                                 {2, 3, MP_STEP_ATTRIBUTE, "kept"},
                                 {3, 4, MP_STEP_INDEX, .index = 7},
                                 {2, 5, MP_STEP_AS_KEY}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 0, 0, 0, 1, 0});
    assert_int_equal(grouped.paths.count, 4);
    assert_null(group_of(&grouped, 5)); /* not wanted */
    const struct mp_path_group *item = group_of(&grouped, 4), *list = group_of(&grouped, 3);
    assert_int_equal(item->parent, grouped.paths.group[3]);
    assert_int_equal(item->step, MP_STEP_INDEX);
    assert_int_equal(item->index, 7);
    assert_false(item->many);
    assert_int_equal(item->nodes, 1);
    assert_int_equal(item->below, 1);
    assert_int_equal(list->step, MP_STEP_ATTRIBUTE);
    assert_name(&grouped, list->name, "kept");
    assert_int_equal(group_of(&grouped, 2)->role, MP_ROLE_NAMESPACE);
    assert_int_equal(group_of(&grouped, 1)->parent, 0);
    assert_int_equal(group_of(&grouped, 1)->kind, MP_ROOT_MODULE);
    assert_name(&grouped, group_of(&grouped, 1)->name, "app");
    free_grouped(&grouped);
}

static void
best_name_of_a_step_is_the_first(void **state)
{
    (void)state;
    const struct node nodes[] = {{"app.Box"}, {"app.Item"}};
    const struct link links[] = {{1, 2, MP_STEP_ATTRIBUTE, "first"},
                                 {1, 2, MP_STEP_ATTRIBUTE, "second"},
                                 {1, 1, MP_STEP_ATTRIBUTE, "me"},
                                 {2, 1, MP_STEP_ATTRIBUTE, "back"}};
    const struct root roots[] = {{1, MP_ROOT_FRAME, "box", "main"}};
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 1, 1});
    assert_int_equal(grouped.paths.count, 2);
    assert_name(&grouped, group_of(&grouped, 2)->name, "first");
    assert_int_equal(group_of(&grouped, 1)->below, 2);
    free_grouped(&grouped);
}

static void
edge_without_a_name_is_a_field(void **state)
{
    (void)state;
    const struct node nodes[] = {{"partial"}, {"app.Item"}};
    const struct link links[] = {{1, 2}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 0, 1});
    assert_int_equal(group_of(&grouped, 2)->step, MP_STEP_FIELD);
    assert_int_equal(group_of(&grouped, 2)->name, 0);
    free_grouped(&grouped);
}

/* ---- how it is held ----------------------------------------------------------------------- */

static void
role_and_parent_are_told_to_the_inspector(void **state)
{
    (void)state;
    const struct node nodes[] = {{"function"}, {"tuple"}, {"cell"}};
    const struct link links[] = {{1, 2, MP_STEP_HIDDEN, .role = MP_ROLE_CLOSURE},
                                 {2, 3, MP_STEP_CLOSURE, "kept"}};
    const struct root roots[] = {{1, MP_ROOT_EXIT, "atexit"}};
    struct grouped grouped;
    group_watching(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 0, 0, 1}, 2);
    assert_int_equal(grouped.made.watched.role, MP_ROLE_CLOSURE);
    assert_int_equal(grouped.made.watched.parent, 1);
    free_grouped(&grouped);
}

static void
dict_of_a_thread_has_its_role(void **state)
{
    (void)state;
    for (uint32_t kind = MP_ROOT_MODULE; kind <= MP_ROOT_INTERPRETER; kind++) {
        const struct node nodes[] = {{"dict", .more_references = 1}, {"app.Item"}};
        const struct link links[] = {{1, 2, MP_STEP_KEY, "'x'"}};
        const struct root roots[] = {{1, (enum mp_root_kind)kind, "root", "f"}};
        struct grouped grouped;
        group_watching(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 0, 1}, 1);
        assert_int_equal(grouped.made.watched.role,
                         kind == MP_ROOT_THREAD ? MP_ROLE_THREAD : MP_ROLE_PLAIN);
        assert_int_equal(grouped.made.watched.parent, 0);
        free_grouped(&grouped);
    }
}

static void
root_is_the_first_of_the_best_kind(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module"}, {"list"}};
    const struct root roots[] = {{2, MP_ROOT_FRAME, "x", "f"},  {1, MP_ROOT_FRAME, "local", "f"},
                                 {1, MP_ROOT_MODULE, "first"},  {1, MP_ROOT_MODULE, "second"},
                                 {1, MP_ROOT_CONTEXT, "third"}, {2, MP_ROOT_FRAME, "y", "f"}};
    struct grouped grouped;
    group(&grouped, &(struct literal){nodes, 2, NULL, 0, roots, COUNT(roots)},
          (const uint8_t[]){0, 1, 1});
    assert_name(&grouped, group_of(&grouped, 1)->name, "first");
    assert_name(&grouped, group_of(&grouped, 2)->name, "x");
    assert_name(&grouped, group_of(&grouped, 2)->name2, "f");
    free_grouped(&grouped);
}

static void
references_of_c_code_are_summed(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", .more_references = 2}, {"list", .more_references = 5},
                                 {"dict", .more_references = 1}};
    struct grouped grouped;
    group(&grouped, &(struct literal){nodes, 3, NULL, 0, NULL, 0}, (const uint8_t[]){0, 1, 1, 1});
    assert_int_equal(grouped.paths.count, 2);
    assert_int_equal(group_of(&grouped, 1)->kind, MP_ROOT_C);
    assert_int_equal(group_of(&grouped, 1)->unaccounted, 7);
    assert_int_equal(group_of(&grouped, 1)->nodes, 2);
    assert_int_equal(group_of(&grouped, 3)->unaccounted, 1);
    free_grouped(&grouped);
}

/* ---- repetitions, depth ------------------------------------------------------------------- */

static const struct root app = {1, MP_ROOT_MODULE, "app"};

/* A module and a chain of so many nodes by one step. */
static void
make_chain(struct grouped *grouped, uint32_t length, enum mp_step step, const char *text)
{
    struct node *nodes = calloc(length + 1, sizeof *nodes);
    struct link *links = calloc(length, sizeof *links);
    uint8_t *wanted = calloc(length + 2, 1);
    nodes[0] = (struct node){"module"};
    for (uint32_t i = 0; i < length; i++) {
        nodes[i + 1] = (struct node){"app.Node"};
        links[i] = (struct link){i + 1, i + 2, step, text};
        wanted[i + 2] = 1;
    }
    group(grouped, &(struct literal){nodes, length + 1, links, length, &app, 1}, wanted);
    free(nodes);
    free(links);
    free(wanted);
}

static void
step_that_repeats_itself_is_followed_twice(void **state)
{
    (void)state;
    struct grouped grouped;
    make_chain(&grouped, 300, MP_STEP_ATTRIBUTE, "next");
    assert_int_equal(grouped.paths.count, 3);
    const struct mp_path_group *first = group_of(&grouped, 2), *second = group_of(&grouped, 3);
    assert_false(first->folded && second->folded);
    assert_true(first->folded || second->folded);
    assert_int_equal(first->nodes + second->nodes, 300);
    assert_int_equal(first->parent, grouped.paths.group[1]);
    assert_int_equal(second->parent, grouped.paths.group[2]);
    free_grouped(&grouped);
}

static void
hidden_steps_are_not_folded(void **state)
{
    (void)state;
    struct grouped grouped;
    make_chain(&grouped, 30, MP_STEP_HIDDEN, NULL);
    assert_int_equal(grouped.paths.count, 31);
    free_grouped(&grouped);
}

static void
cycle_is_walked_once(void **state)
{
    (void)state;
    const struct node nodes[] = {{"app.Ring"}, {"app.Ring"}, {"app.Ring"}};
    const struct link links[] = {{1, 2, MP_STEP_ATTRIBUTE, "next"},
                                 {2, 3, MP_STEP_ATTRIBUTE, "next"},
                                 {3, 1, MP_STEP_ATTRIBUTE, "next"}};
    struct grouped grouped;
    group(&grouped, &(struct literal){nodes, 3, links, 3, NULL, 0}, (const uint8_t[]){0, 1, 1, 1});
    assert_int_equal(group_of(&grouped, 1)->kind, MP_ROOT_NOTHING);
    assert_int_equal(group_of(&grouped, 1)->below, 3);
    assert_int_equal(group_of(&grouped, 3)->parent, grouped.paths.group[2]);
    free_grouped(&grouped);
}

/* A hundred thousand nodes: the literals' own search of links would take too long. */
static void
next_of_chain(const struct mp_inspector *inspector, const struct mp_held *held,
              mp_child_visit *visit, void *data)
{
    const struct mp_graph *graph = &inspector->heap->graph;
    for (uint32_t edge = graph->first[held->node]; edge < graph->first[held->node + 1]; edge++)
        visit(graph->target[edge], &(struct mp_label){.step = MP_STEP_ATTRIBUTE, .word = "next"},
              data);
}

static void
chain_of_a_hundred_thousand(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct mp_heap heap;
    const struct mp_inspector inspector = {.heap = &heap, .children = next_of_chain};
    struct mp_search search;
    struct mp_paths paths;
    uint8_t *wanted = calloc(N + 1, 1);
    assert_int_equal(mp_heap_init(&heap), MP_OK);
    const uint32_t type = type_named(&heap, "app.Node");
    for (uint32_t node = 1; node <= N; node++)
        mp_heap_add_node(&heap, address_of(node), type);
    for (uint32_t node = 1; node <= N; node++) {
        mp_heap_open_row(&heap);
        if (node < N)
            mp_heap_add_edge(&heap, node + 1);
        mp_heap_close_row(&heap);
    }
    mp_heap_add_root(&heap, &(struct mp_root){.node = 1, .kind = MP_ROOT_MODULE});
    wanted[N] = 1;
    assert_int_equal(mp_heap_search(&inspector, &search), MP_OK);
    assert_int_equal(mp_heap_group_paths(&inspector, &search, wanted, &paths), MP_OK);
    assert_int_equal(paths.count, 3);
    assert_true(paths.group[N] == 2 || paths.group[N] == 3);
    mp_paths_free(&paths);
    mp_search_free(&search);
    mp_heap_free(&heap);
    free(wanted);
}

/* ---- lack of memory ----------------------------------------------------------------------- */

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    enum { N = 300 }; /* more groups than there is room for at first */
    static struct node nodes[N];
    static struct root roots[N];
    static char names[N][8];
    static uint8_t wanted[N + 1];
    for (uint32_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "v%u", i);
        nodes[i] = (struct node){"list"};
        roots[i] = (struct root){i + 1, MP_ROOT_FRAME, names[i], "main"};
        wanted[i + 1] = 1;
    }
    struct made made;
    struct mp_search search;
    struct mp_paths paths;
    int failures = 0, successes = 0;
    make_heap(&made, &(struct literal){nodes, N, NULL, 0, roots, N});
    assert_int_equal(mp_heap_search(&made.inspector, &search), MP_OK);
    const size_t before = mp_mem_mapped();
    for (long n = 1; n <= 24; n++) {
        mp_mem_fail_nth(n);
        const int status = mp_heap_group_paths(&made.inspector, &search, wanted, &paths);
        mp_mem_fail_nth(0);
        assert_true(status == MP_OK || status == MP_NO_MEMORY);
        if (status == MP_OK)
            assert_int_equal(paths.count, N);
        failures += status != MP_OK;
        successes += status == MP_OK;
        mp_paths_free(&paths);
        assert_int_equal(mp_mem_mapped(), before);
    }
    assert_true(failures >= 4 + 2 + 2 + 1); /* arrays; groups, slots; one to join them */
    assert_true(successes > 2);
    mp_search_free(&search);
    free_heap(&made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_groups_by_name_and_type),
        cmocka_unit_test(best_name_of_a_step_is_the_first),
        cmocka_unit_test(edge_without_a_name_is_a_field),
        cmocka_unit_test(role_and_parent_are_told_to_the_inspector),
        cmocka_unit_test(dict_of_a_thread_has_its_role),
        cmocka_unit_test(root_is_the_first_of_the_best_kind),
        cmocka_unit_test(references_of_c_code_are_summed),
        cmocka_unit_test(step_that_repeats_itself_is_followed_twice),
        cmocka_unit_test(hidden_steps_are_not_folded),
        cmocka_unit_test(cycle_is_walked_once),
        cmocka_unit_test(chain_of_a_hundred_thousand),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
    };
    return RUN_TESTS(tests);
}
