#define _GNU_SOURCE
#include "test.h"

#include "make_snapshot.h"

static struct mp_text
text(const char *at)
{
    return (struct mp_text){at, strlen(at)};
}

static bool
is(const struct mp_explained *it, struct mp_explained_text found, const char *expected)
{
    const struct mp_text text = mp_explained_text(it, found);
    return text.length == strlen(expected) && memcmp(text.at, expected, text.length) == 0;
}

static void
leaks_keep_their_types_and_holders(void **state)
{
    (void)state;
    struct mp_explained it = {0};
    const struct mp_explained_leak first = {.stack = 3, .above = MP_NO_STACK, .objects = 10,
                                            .owners = 1, .retained = 1000, .type = 99,
                                            .types = 99, .holder = 99, .holders = 99};
    const struct mp_explained_leak second = {.stack = 0, .above = 3, .retained = UINT64_MAX};
    const struct mp_text texts[3] = {text("app.x"), text("app.x (dict)"), text("module")};
    const char *why;
    assert_int_equal(mp_explained_add(&it, &first), MP_OK);
    assert_int_equal(mp_explained_add_type(&it, 9, text("Thing")), MP_OK);
    assert_int_equal(mp_explained_add_type(&it, 1, text("")), MP_OK);
    assert_int_equal(mp_explained_add(&it, &second), MP_OK);
    assert_int_equal(mp_explained_add_holder(&it, 7, texts), MP_OK);
    assert_int_equal(mp_explained_add_type(&it, 2, text("\xed\xb3\xbf")), MP_OK);
    assert_true(mp_explained_check(&it, 3, &why));

    assert_int_equal(it.count, 2);
    assert_true(it.leaks[0].stack == 3 && it.leaks[0].above == MP_NO_STACK);
    assert_true(it.leaks[0].objects == 10 && it.leaks[0].owners == 1);
    assert_int_equal(it.leaks[0].retained, 1000);
    assert_true(it.leaks[0].type == 0 && it.leaks[0].types == 2 && it.leaks[0].holders == 0);
    assert_true(it.leaks[1].type == 2 && it.leaks[1].types == 1);
    assert_true(it.leaks[1].holder == 0 && it.leaks[1].holders == 1);
    assert_int_equal(it.leaks[1].retained, UINT64_MAX);
    assert_true(is(&it, it.types[0].name, "Thing") && is(&it, it.types[1].name, ""));
    assert_true(is(&it, it.types[2].name, "\xed\xb3\xbf"));
    assert_true(is(&it, it.holders[0].path, "app.x") && is(&it, it.holders[0].root, "module"));
    assert_true(is(&it, it.holders[0].detail, "app.x (dict)"));
    assert_int_equal(it.holders[0].objects, 7);
    mp_explained_clear(&it);
    assert_true(!it.count && !it.leaks && !it.text);
}

static void
many_leaks_fit(void **state)
{
    (void)state;
    enum { LEAKS = 300, PARTS = 40 };
    struct mp_explained it = {0};
    char name[32];
    const char *why;
    for (uint32_t i = 0; i < LEAKS; i++) {
        const struct mp_explained_leak leak = {.stack = i, .above = MP_NO_STACK};
        assert_int_equal(mp_explained_add(&it, &leak), MP_OK);
        for (uint32_t k = 0; k < PARTS; k++) {
            snprintf(name, sizeof name, "%u of %u", k, i);
            const struct mp_text texts[3] = {text(name), text(name), text("x")};
            assert_int_equal(mp_explained_add_type(&it, k, text(name)), MP_OK);
            assert_int_equal(mp_explained_add_holder(&it, k, texts), MP_OK);
        }
    }
    assert_true(mp_explained_check(&it, LEAKS - 1, &why));
    assert_int_equal(it.type_count, LEAKS * PARTS);
    assert_true(is(&it, it.types[7 * PARTS + 3].name, "3 of 7"));
    assert_true(is(&it, it.holders[299 * PARTS + 39].detail, "39 of 299"));
    mp_explained_clear(&it);
}

static void
check_finds_what_is_wrong(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_random(4, 0);
    struct mp_explained *it = &snapshot->explained;
    const char *why;
    make_explained(snapshot);
    const uint32_t stacks = snapshot->symbols->stacks;
    uint32_t *const ids[] = {&it->leaks[0].stack, &it->leaks[1].stack, &it->leaks[1].above};
    for (size_t i = 0; i < 3; i++) {
        const uint32_t before = *ids[i];
        *ids[i] = stacks + 1;
        assert_false(mp_snapshot_check(snapshot, &why));
        *ids[i] = before;
    }
    size_t *const places[] = {&it->leaks[1].type, &it->leaks[1].holder, &it->leaks[0].types,
                              &it->leaks[1].holders, &it->type_count, &it->types[0].name.at,
                              &it->holders[0].root.at, &it->text_size};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const size_t before = *places[i];
        *places[i] = before + (places[i] == &it->text_size ? (size_t)-1 : 1000);
        assert_false(mp_snapshot_check(snapshot, &why));
        *places[i] = before;
    }
    assert_true(mp_snapshot_check(snapshot, &why));
    mp_snapshot_free(snapshot);
}

static int
make_all(void *data)
{
    (void)data;
    struct mp_explained it = {0};
    const struct mp_explained_leak leak = {.stack = 1, .above = MP_NO_STACK};
    const struct mp_text texts[3] = {text("a"), text("b"), text("c")};
    int status = mp_explained_add(&it, &leak);
    if (status == MP_OK)
        status = mp_explained_add_type(&it, 1, text("t"));
    if (status == MP_OK)
        status = mp_explained_add_holder(&it, 1, texts);
    const char *why;
    assert_true(mp_explained_check(&it, 1, &why));
    mp_explained_clear(&it);
    return status;
}

static void
lack_of_memory_leaves_it_sound(void **state)
{
    (void)state;
    fail_each_request(make_all, NULL);
}

static void
selection_is_without(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot = make_random(6, 1);
    make_explained(snapshot);
    bool keep[MAKER_ROWS] = {true, false, true};
    struct mp_snapshot *kept = mp_snapshot_select(snapshot, keep);
    assert_non_null(kept);
    assert_int_equal(kept->explained.count, 0);
    mp_snapshot_free(snapshot);
    mp_snapshot_free(kept);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaks_keep_their_types_and_holders),
        cmocka_unit_test(many_leaks_fit),
        cmocka_unit_test(check_finds_what_is_wrong),
        cmocka_unit_test(lack_of_memory_leaves_it_sound),
        cmocka_unit_test(selection_is_without),
    };
    return RUN_TESTS(tests);
}
