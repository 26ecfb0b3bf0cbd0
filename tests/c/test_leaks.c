#define _GNU_SOURCE
#include "test.h"

#include "graph/leaks.h"
#include "graph/path_text.h"
#include "make_heap.h"

/* ---- asking ------------------------------------------------------------------------------- */

enum { SITES = 64 };

/* Sites 1 to SITES; leak_of[site] is 1 + the index of its leak. */
static int
explain(struct made *made, const uint32_t *leak_of, size_t count, struct mp_leaks *leaks)
{
    const struct mp_leak_sites sites = {leak_of, SITES, count};
    return mp_heap_explain(&made->inspector, &sites, leaks);
}

struct explained {
    struct made made;
    struct mp_leaks leaks;
};

/* Each site is a leak of its own: leak i is site i + 1. */
static void
explain_sites(struct explained *explained, const struct literal *from, size_t count)
{
    uint32_t leak_of[SITES + 1] = {0};
    for (uint32_t site = 1; site <= count; site++)
        leak_of[site] = site;
    make_heap(&explained->made, from);
    assert_int_equal(explain(&explained->made, leak_of, count, &explained->leaks), MP_OK);
    assert_int_equal(explained->leaks.count, count);
}

static void
free_explained(struct explained *explained)
{
    mp_leaks_free(&explained->leaks);
    free_heap(&explained->made);
}

static void
assert_type(const struct explained *explained, const struct mp_leak_type *type, const char *name)
{
    const uint32_t id = explained->made.heap.types[type->type].name;
    const struct mp_name *found = mp_table_peek(&explained->made.heap.names.table, id);
    assert_non_null(found);
    assert_int_equal(found->length, strlen(name));
    assert_memory_equal(found->text, name, found->length);
}

static void
assert_holder(const struct explained *explained, const struct mp_leak *leak, uint32_t i,
              const char *path)
{
    char out[256];
    assert_true(i < leak->holder_count);
    mp_path_text(&(struct mp_group_path){&explained->leaks.paths, leak->holders[i].group, false},
                 out, sizeof out);
    assert_string_equal(out, path);
}

/* ---- objects, types, holders -------------------------------------------------------------- */

static void
objects_types_and_holders_of_a_site(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module", 10},         {"list", 100, 9},     {"app.Item", 48, 1},
                                 {"app.Item", 50, 1},    {"str", 60, 1},       {"app.Item", 70, 2},
                                 {"dict", 200},          {"app.Item", 52, 1}};
    const struct link links[] = {{1, 2, MP_STEP_ATTRIBUTE, "kept"},
                                 {1, 7, MP_STEP_ATTRIBUTE, "other"},
                                 {2, 3, MP_STEP_INDEX},
                                 {2, 4, MP_STEP_INDEX, .index = 1},
                                 {3, 5, MP_STEP_ATTRIBUTE, "name"},
                                 {7, 6, MP_STEP_KEY, "1"},
                                 {7, 8, MP_STEP_MEMBER}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct explained explained;
    explain_sites(&explained, LITERAL(nodes, links, roots), 2);
    const struct mp_leak *leak = &explained.leaks.leaks[0], *other = &explained.leaks.leaks[1];
    assert_int_equal(leak->objects, 4);
    assert_int_equal(leak->type_count, 2);
    assert_type(&explained, &leak->types[0], "app.Item");
    assert_int_equal(leak->types[0].objects, 3);
    assert_int_equal(leak->types[0].bytes, 48 + 50 + 52);
    assert_int_equal(leak->types[0].depth, 3);
    assert_false(leak->types[0].plain);
    assert_type(&explained, &leak->types[1], "str");
    assert_true(leak->types[1].plain);
    assert_int_equal(leak->holder_count, 3);
    assert_int_equal(leak->holders[0].objects, 2);
    assert_holder(&explained, leak, 0, "app.kept[..] -> Item");
    assert_int_equal(leak->retained, 48 + 50 + 60 + 52);
    assert_int_equal(other->objects, 1);
    assert_holder(&explained, other, 0, "app.other[1] -> Item");
    assert_int_equal(other->part_of, 0);
    free_explained(&explained);
}

static void
site_of_nothing_is_a_leak_of_nothing(void **state)
{
    (void)state;
    const struct node nodes[] = {{"module", 10}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct explained explained;
    explain_sites(&explained, &(struct literal){nodes, 1, NULL, 0, roots, 1}, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(explained.leaks.leaks[i].objects, 0);
        assert_int_equal(explained.leaks.leaks[i].type_count, 0);
        assert_int_equal(explained.leaks.leaks[i].holder_count, 0);
        assert_int_equal(explained.leaks.leaks[i].retained, 0);
    }
    free_explained(&explained);
}

/* Objects under one list, as many of each type as `of` says. */
static void
explain_mixture(struct explained *explained, const struct node of[2], const uint32_t counts[2])
{
    struct node nodes[64] = {{"list", 100}};
    struct link links[64];
    uint32_t count = 0;
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < counts[kind]; i++) {
            nodes[count + 1] = of[kind];
            links[count] = (struct link){1, count + 2, MP_STEP_INDEX, .index = count};
            count++;
        }
    const struct root root = {1, MP_ROOT_MODULE, "app"};
    explain_sites(explained, &(struct literal){nodes, count + 1, links, count, &root, 1}, 1);
}

static void
classes_of_the_program_come_first_of_about_as_many(void **state)
{
    (void)state;
    const struct node of[2] = {{"str", 60, 1}, {"app.Item", 48, 1}};
    struct explained explained;
    explain_mixture(&explained, of, (const uint32_t[]){20, 19});
    assert_type(&explained, &explained.leaks.leaks[0].types[0], "app.Item");
    free_explained(&explained);
    explain_mixture(&explained, of, (const uint32_t[]){20, 17});
    assert_type(&explained, &explained.leaks.leaks[0].types[0], "str");
    free_explained(&explained);
}

static void
of_as_many_the_nearer_and_then_the_larger_come_first(void **state)
{
    (void)state;
    const struct node of[2] = {{"app.Small", 10, 1}, {"app.Large", 20, 1}};
    struct explained explained;
    explain_mixture(&explained, of, (const uint32_t[]){5, 5});
    assert_type(&explained, &explained.leaks.leaks[0].types[0], "app.Large");
    free_explained(&explained);
    const struct node nodes[] = {{"list", 1}, {"app.Near", 1, 1}, {"app.Far", 100, 1}};
    const struct link links[] = {{1, 2, MP_STEP_INDEX}, {2, 3, MP_STEP_ATTRIBUTE, "far"}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    explain_sites(&explained, LITERAL(nodes, links, roots), 1);
    assert_type(&explained, &explained.leaks.leaks[0].types[0], "app.Near");
    free_explained(&explained);
}

static void
inner_objects_are_told_with_what_holds_them(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 1}, {"app.Item", 48, 1}, {"dict", 100, 1},
                                 {"app.Item", 48, 2}, {"dict", 100, 1}};
    const struct link links[] = {{1, 2, MP_STEP_INDEX},
                                 {1, 4, MP_STEP_INDEX, .index = 1},
                                 {2, 3, MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE},
                                 {4, 5, MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE}};
    const struct root roots[] = {{1, MP_ROOT_MODULE, "app"}};
    struct explained explained;
    explain_sites(&explained, LITERAL(nodes, links, roots), 2);
    assert_int_equal(explained.leaks.leaks[0].objects, 2); /* not the dict of the first */
    assert_int_equal(explained.leaks.leaks[0].type_count, 2);
    free_explained(&explained);
}

/* ---- buffers ------------------------------------------------------------------------------ */

static void
add_buffers(struct mp_heap *heap, uint32_t site, uint32_t owner, int count)
{
    for (int i = 0; i < count; i++) {
        const uintptr_t address = 0x40000000u + heap->buffer_count * 32;
        mp_heap_add_buffer(heap, &(struct mp_buffer){address, 100, owner, site});
        heap->size[owner] += owner ? 100 : 0;
    }
}

static const struct node owner_nodes[] = {{"list", 10}, {"bytearray", 60}, {"bytearray", 60}};
static const struct link owner_links[] = {{1, 2, MP_STEP_INDEX}, {1, 3, MP_STEP_INDEX, .index = 1}};
static const struct root app[] = {{1, MP_ROOT_MODULE, "app"}};

static void
explain_buffers(struct explained *explained, const int counts[3])
{
    make_heap(&explained->made, LITERAL(owner_nodes, owner_links, app));
    add_buffers(&explained->made.heap, 1, 2, counts[0]);
    add_buffers(&explained->made.heap, 1, 3, counts[1]);
    add_buffers(&explained->made.heap, 1, 0, counts[2]);
    assert_heap(&explained->made.heap);
    assert_int_equal(explain(&explained->made, (const uint32_t[SITES + 1]){0, 1}, 1,
                             &explained->leaks),
                     MP_OK);
}

static void
owners_of_buffers_stand_for_them(void **state)
{
    (void)state;
    struct explained explained;
    explain_buffers(&explained, (const int[]){3, 2, 1});
    const struct mp_leak *leak = &explained.leaks.leaks[0];
    assert_int_equal(leak->objects, 0);
    assert_int_equal(leak->owners, 2); /* each once */
    assert_int_equal(leak->buffers, 5);
    assert_int_equal(leak->loose, 1);
    assert_int_equal(leak->buffer_bytes, 600);
    assert_int_equal(leak->retained, 600);
    assert_int_equal(leak->item_end - leak->item_begin, 2);
    assert_type(&explained, &leak->types[0], "bytearray");
    assert_int_equal(leak->holders[0].objects, 2);
    free_explained(&explained);
}

static void
stray_owner_tells_nothing_of_many_blocks(void **state)
{
    (void)state;
    struct explained explained;
    explain_buffers(&explained, (const int[]){1, 0, 51});
    assert_int_equal(explained.leaks.leaks[0].owners, 0);
    assert_int_equal(explained.leaks.leaks[0].buffers, 0);
    assert_int_equal(explained.leaks.leaks[0].loose, 51);
    assert_int_equal(explained.leaks.leaks[0].retained, 5200);
    free_explained(&explained);
    explain_buffers(&explained, (const int[]){1, 0, 50});
    assert_int_equal(explained.leaks.leaks[0].owners, 1);
    free_explained(&explained);
}

static void
objects_come_before_owners(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 10}, {"bytearray", 60}, {"app.Item", 48, 1}};
    struct explained explained;
    make_heap(&explained.made, LITERAL(nodes, owner_links, app));
    add_buffers(&explained.made.heap, 1, 2, 4);
    assert_int_equal(
        explain(&explained.made, (const uint32_t[SITES + 1]){0, 1}, 1, &explained.leaks), MP_OK);
    assert_int_equal(explained.leaks.leaks[0].objects, 1);
    assert_int_equal(explained.leaks.leaks[0].owners, 0);
    assert_int_equal(explained.leaks.items[explained.leaks.leaks[0].item_begin], 3);
    free_explained(&explained);
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void
wanted_nodes_are_one_leak(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 10}, {"app.Item", 48}, {"app.Item", 49}, {"str", 7}};
    const struct link links[] = {{1, 2, MP_STEP_INDEX}, {1, 3, MP_STEP_INDEX, .index = 1},
                                 {3, 4, MP_STEP_HIDDEN}};
    struct explained explained;
    make_heap(&explained.made, LITERAL(nodes, links, app));
    assert_int_equal(mp_heap_explain_nodes(&explained.made.inspector,
                                           (const uint8_t[]){0, 0, 0, 1, 1}, &explained.leaks),
                     MP_OK);
    const struct mp_leak *leak = &explained.leaks.leaks[0];
    assert_int_equal(leak->objects, 2); /* what is hidden was asked for by name */
    assert_int_equal(leak->retained, 49 + 7);
    assert_int_equal(leak->holder_count, 2);
    assert_holder(&explained, leak, 0, "app[1] -> Item");
    free_explained(&explained);
}

static void
garbage_retains_itself(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 10}, {"app.Item", 48}, {"app.Item", 49}};
    const struct link links[] = {{2, 3, MP_STEP_ATTRIBUTE, "a"}, {3, 2, MP_STEP_ATTRIBUTE, "b"}};
    struct explained explained;
    make_heap(&explained.made, LITERAL(nodes, links, app));
    assert_int_equal(mp_heap_explain_nodes(&explained.made.inspector,
                                           (const uint8_t[]){0, 0, 1, 0}, &explained.leaks),
                     MP_OK);
    assert_int_equal(explained.leaks.leaks[0].retained, 48 + 49);
    free_explained(&explained);
}

/* ---- lack of memory ----------------------------------------------------------------------- */

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    const struct node nodes[] = {{"list", 10}, {"app.Item", 48, 1}, {"app.Item", 49, 1},
                                 {"str", 7, 2}};
    const struct link links[] = {{1, 2, MP_STEP_INDEX}, {1, 3, MP_STEP_INDEX, .index = 1},
                                 {3, 4, MP_STEP_ATTRIBUTE, "name"}};
    int failures = 0, successes = 0;
    for (long n = 1; n <= 40; n++) {
        struct explained explained;
        make_heap(&explained.made, LITERAL(nodes, links, app));
        const size_t before = mp_mem_mapped();
        mp_mem_fail_nth(n);
        const int status = explain(&explained.made, (const uint32_t[SITES + 1]){0, 1, 2}, 2,
                                   &explained.leaks);
        mp_mem_fail_nth(0);
        assert_true(status == MP_OK || status == MP_NO_MEMORY);
        if (status == MP_OK)
            assert_int_equal(explained.leaks.leaks[0].objects, 2);
        failures += status != MP_OK;
        successes += status == MP_OK;
        mp_leaks_free(&explained.leaks);
        assert_int_equal(mp_mem_mapped(), before);
        free_heap(&explained.made);
    }
    /* leaks, items; the search five; wanted nodes and their groups; types, holders; retained */
    assert_true(failures > 25);
    assert_true(successes > 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_types_and_holders_of_a_site),
        cmocka_unit_test(site_of_nothing_is_a_leak_of_nothing),
        cmocka_unit_test(classes_of_the_program_come_first_of_about_as_many),
        cmocka_unit_test(of_as_many_the_nearer_and_then_the_larger_come_first),
        cmocka_unit_test(inner_objects_are_told_with_what_holds_them),
        cmocka_unit_test(owners_of_buffers_stand_for_them),
        cmocka_unit_test(stray_owner_tells_nothing_of_many_blocks),
        cmocka_unit_test(objects_come_before_owners),
        cmocka_unit_test(wanted_nodes_are_one_leak),
        cmocka_unit_test(garbage_retains_itself),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
    };
    return RUN_TESTS(tests);
}
