#define _GNU_SOURCE
#include "test.h"

#include "graph/paths.h"
#include "make_heap.h"
#include "make_paths.h"

static const struct root app = {1, MP_ROOT_MODULE, "app"};

enum { MANY = 100 };
static struct node many_nodes[2 + MANY];
static struct link many_links[1 + MANY];
static char many_texts[MANY][8];
static uint8_t many_wanted[3 + MANY];

/* A module, and a container with `count` children by one kind of step. */
static struct literal
many_children(enum mp_step step, size_t count, const struct root *root)
{
    many_nodes[0] = (struct node){"module"};
    many_nodes[1] = (struct node){"dict"};
    many_links[0] = (struct link){1, 2, MP_STEP_ATTRIBUTE, "kept"};
    memset(many_wanted, 0, sizeof many_wanted);
    for (size_t i = 0; i < count; i++) {
        snprintf(many_texts[i], sizeof many_texts[i], "k%zu", i);
        many_nodes[2 + i] = (struct node){"app.Item"};
        many_links[1 + i] = (struct link){2, (uint32_t)i + 3, step,
                                          step == MP_STEP_INDEX ? NULL : many_texts[i],
                                          .index = (int64_t)i};
        many_wanted[3 + i] = 1;
    }
    return (struct literal){many_nodes, 2 + count, many_links, 1 + count, root, 1};
}

static void
indices_are_one_group(void **state)
{
    (void)state;
    struct grouped grouped;
    const struct literal from = many_children(MP_STEP_INDEX, 10, &app);
    group(&grouped, &from, many_wanted);
    assert_int_equal(grouped.paths.count, 3);
    assert_true(group_of(&grouped, 3)->many);
    assert_int_equal(group_of(&grouped, 12)->nodes, 10);
    free_grouped(&grouped);
}

static void
keys_of_few_objects_each_are_joined(void **state)
{
    (void)state;
    for (size_t count = 2; count <= MANY; count += 7) {
        struct grouped grouped;
        const struct literal from = many_children(MP_STEP_KEY, count, &app);
        group(&grouped, &from, many_wanted);
        const struct mp_path_group *joined = group_of(&grouped, 3);
        for (uint32_t node = 3; node < 3 + count; node++)
            assert_ptr_equal(group_of(&grouped, node), joined);
        assert_int_equal(joined->name, 0);
        assert_int_equal(joined->step, MP_STEP_KEY);
        assert_int_equal(joined->below, count);
        free_grouped(&grouped);
    }
}

static void
single_key_keeps_its_name(void **state)
{
    (void)state;
    struct grouped grouped;
    const struct literal from = many_children(MP_STEP_KEY, 1, &app);
    group(&grouped, &from, many_wanted);
    assert_name(&grouped, group_of(&grouped, 3)->name, "k0");
    free_grouped(&grouped);
}

static void
few_attributes_keep_their_names(void **state)
{
    (void)state;
    struct grouped grouped;
    struct literal from = many_children(MP_STEP_ATTRIBUTE, 15, &app);
    group(&grouped, &from, many_wanted);
    assert_name(&grouped, group_of(&grouped, 3)->name, "k0");
    assert_name(&grouped, group_of(&grouped, 17)->name, "k14");
    free_grouped(&grouped);
    from = many_children(MP_STEP_ATTRIBUTE, 16, &app);
    group(&grouped, &from, many_wanted);
    assert_int_equal(group_of(&grouped, 3)->name, 0);
    assert_int_equal(group_of(&grouped, 3)->below, 16);
    free_grouped(&grouped);
}

static void
many_modules_are_one(void **state)
{
    (void)state;
    enum { N = 20 };
    struct node nodes[N];
    struct root roots[N];
    char names[N][8];
    uint8_t wanted[N + 1] = {0};
    for (uint32_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "m%u", i);
        nodes[i] = (struct node){"module"};
        roots[i] = (struct root){i + 1, MP_ROOT_MODULE, names[i]};
        wanted[i + 1] = 1;
    }
    struct grouped grouped;
    group(&grouped, &(struct literal){nodes, N, NULL, 0, roots, N}, wanted);
    assert_int_equal(group_of(&grouped, 1)->name, 0);
    assert_true(group_of(&grouped, 1)->many);
    assert_int_equal(group_of(&grouped, N)->below, N);
    free_grouped(&grouped);
    group(&grouped, &(struct literal){nodes, 15, NULL, 0, roots, 15}, wanted);
    assert_name(&grouped, group_of(&grouped, 1)->name, "m0");
    free_grouped(&grouped);
}

/* dict -> a set under each key; under `heavy` hang three items, under each of the others one. */
static void
heavy_key_keeps_its_name(void **state)
{
    (void)state;
    const struct node nodes[] = {{"dict"},     {"set"},      {"set"},      {"set"},
                                 {"set"},      {"app.Item"}, {"app.Item"}, {"app.Item"},
                                 {"app.Item"}, {"app.Item"}, {"app.Item"}};
    const struct link links[] = {
        {1, 2, MP_STEP_KEY, "'heavy'"}, {1, 3, MP_STEP_KEY, "'a'"},     {1, 4, MP_STEP_KEY, "'b'"},
        {1, 5, MP_STEP_KEY, "'c'"},     {2, 6, MP_STEP_MEMBER},         {2, 7, MP_STEP_MEMBER},
        {2, 8, MP_STEP_MEMBER},         {3, 9, MP_STEP_MEMBER},         {4, 10, MP_STEP_MEMBER},
        {5, 11, MP_STEP_MEMBER}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, roots),
          (const uint8_t[]){0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1});
    assert_name(&grouped, group_of(&grouped, 2)->name, "'heavy'");
    assert_int_equal(group_of(&grouped, 2)->below, 3);
    assert_int_equal(group_of(&grouped, 3)->name, 0);
    assert_ptr_equal(group_of(&grouped, 3), group_of(&grouped, 5));
    assert_int_equal(group_of(&grouped, 3)->below, 3);
    assert_ptr_equal(group_of(&grouped, 9), group_of(&grouped, 11)); /* what is below goes along */
    assert_int_equal(group_of(&grouped, 9)->nodes, 3);
    free_grouped(&grouped);
}

static void
keys_of_other_types_are_not_joined(void **state)
{
    (void)state;
    const struct node nodes[] = {{"dict"}, {"list"}, {"set"}, {"list"}};
    const struct link links[] = {{1, 2, MP_STEP_KEY, "1"}, {1, 3, MP_STEP_KEY, "2"},
                                 {1, 4, MP_STEP_KEY, "3"}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, roots), (const uint8_t[]){0, 0, 1, 1, 1});
    assert_ptr_equal(group_of(&grouped, 2), group_of(&grouped, 4));
    assert_name(&grouped, group_of(&grouped, 3)->name, "2");
    free_grouped(&grouped);
}

/* Groups that were joined in a level with a whole page of them. */
static void
thousand_keys_of_two_containers(void **state)
{
    (void)state;
    enum { N = 1024 };
    static struct node nodes[2 * N + 1];
    static struct link links[2 * N];
    static char texts[N][8];
    static uint8_t wanted[2 * N + 2];
    nodes[0] = (struct node){"module"};
    for (uint32_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "a%u", i);
        nodes[1 + i] = (struct node){i % 2 ? "list" : "dict"};
        nodes[1 + N + i] = (struct node){"app.Item"};
        links[i] = (struct link){1, i + 2, MP_STEP_ATTRIBUTE, texts[i]};
        links[N + i] = (struct link){i + 2, i + 2 + N, MP_STEP_KEY, texts[i]};
        wanted[i + 2 + N] = 1;
    }
    struct grouped grouped;
    group(&grouped, LITERAL(nodes, links, ((struct root[]){app})), wanted);
    assert_true(group_of(&grouped, 2)->many && group_of(&grouped, 3)->many);
    assert_int_equal(group_of(&grouped, 2)->below, N / 2);
    assert_int_equal(group_of(&grouped, 3)->below, N / 2);
    assert_int_equal(group_of(&grouped, 2 + N)->parent, grouped.paths.group[2]);
    assert_int_equal(group_of(&grouped, 2 + N)->below, N / 2);
    free_grouped(&grouped);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_are_one_group),
        cmocka_unit_test(keys_of_few_objects_each_are_joined),
        cmocka_unit_test(single_key_keeps_its_name),
        cmocka_unit_test(few_attributes_keep_their_names),
        cmocka_unit_test(many_modules_are_one),
        cmocka_unit_test(heavy_key_keeps_its_name),
        cmocka_unit_test(keys_of_other_types_are_not_joined),
        cmocka_unit_test(thousand_keys_of_two_containers),
    };
    return RUN_TESTS(tests);
}
