#define _GNU_SOURCE
#include "test.h"

#include "graph/path_groups.h"

static const struct mp_path_group plain = {.type = 1, .name = 2, .step = MP_STEP_ATTRIBUTE};

static void
equal_groups_are_one(void **state)
{
    (void)state;
    struct mp_paths paths = {0};
    struct mp_path_group same = plain;
    assert_int_equal(mp_paths_find(&paths, &plain), 0);
    assert_int_equal(mp_paths_intern(&paths, &plain), 1);
    same.many = same.folded = 1; /* what is known of a group does not tell it from others */
    same.nodes = same.below = same.unaccounted = 7;
    same.index = 3;
    same.keys = 5;
    assert_int_equal(mp_paths_intern(&paths, &same), 1);
    assert_int_equal(mp_paths_find(&paths, &same), 1);
    assert_int_equal(paths.groups[1].nodes, 0);
    mp_paths_free(&paths);
}

static void
groups_that_differ_are_several(void **state)
{
    (void)state;
    struct mp_paths paths = {0};
    struct mp_path_group key[8];
    for (int i = 0; i < 8; i++)
        key[i] = plain;
    key[1].parent = 1;
    key[2].type = 9;
    key[3].name = 9;
    key[4].name2 = 9;
    key[5].kind = MP_ROOT_FRAME;
    key[6].step = MP_STEP_LOCAL;
    key[7].role = MP_ROLE_CLOSURE;
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(mp_paths_intern(&paths, &key[i]), i + 1);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(mp_paths_find(&paths, &key[i]), i + 1);
    mp_paths_free(&paths);
}

enum { MANY = 20000 };

static void
many_groups_are_found(void **state)
{
    (void)state;
    struct mp_paths paths = {0};
    struct mp_path_group key = plain;
    for (uint32_t i = 0; i < MANY; i++) {
        key.parent = i / 2;
        key.name = i;
        assert_int_equal(mp_paths_intern(&paths, &key), i + 1);
    }
    assert_int_equal(paths.count, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        key.parent = i / 2;
        key.name = i;
        assert_int_equal(mp_paths_find(&paths, &key), i + 1);
    }
    key.name = MANY;
    assert_int_equal(mp_paths_find(&paths, &key), 0);
    mp_paths_free(&paths);
}

static void
lack_of_memory_is_told_at_each_request(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    int failures = 0;
    for (long n = 1; n <= 40; n++) {
        struct mp_paths paths = {0};
        struct mp_path_group key = plain;
        mp_mem_fail_nth(n);
        for (uint32_t i = 0; i < MANY && !paths.failed; i++) {
            key.name = i;
            const uint32_t group = mp_paths_intern(&paths, &key);
            assert_int_equal(group, paths.failed ? 0 : i + 1);
        }
        mp_mem_fail_nth(0);
        assert_int_equal(mp_paths_intern(&paths, &plain), paths.count > 2 ? 3 : 0);
        failures += paths.failed;
        mp_paths_free(&paths);
        assert_int_equal(mp_mem_mapped(), before);
    }
    assert_true(failures > 10 && failures < 40);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_groups_are_one),
        cmocka_unit_test(groups_that_differ_are_several),
        cmocka_unit_test(many_groups_are_found),
        cmocka_unit_test(lack_of_memory_is_told_at_each_request),
    };
    return RUN_TESTS(tests);
}
