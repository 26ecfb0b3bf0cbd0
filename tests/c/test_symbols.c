#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "make_snapshot.h"

enum { THREADS = 4 };

static void
assert_sound(const struct mp_symbols *symbols)
{
    const char *why = "left as it was";
    if (!mp_symbols_check(symbols, &why))
        fail_msg("%s", why);
    assert_null(why);
}

/* Two files, three functions, and a stack that was folded. */
static struct mp_depot *
make_depot(void)
{
    struct maker *maker = make_begin();
    const uint32_t main = STACK(maker, {"main.py", "<module>", 1, 5});
    const uint32_t f = make_frame(maker, main, &(struct frame){"lib.py", "f", 10, 12}, 0);
    make_frame(maker, f, &(struct frame){"lib.py", "\xc3\xa9t\xc3\xa9", 20, 0}, MP_FOLDED);
    return &maker->depot;
}

static void
free_depot(struct mp_depot *depot)
{
    mp_depot_destroy(depot);
    mp_mem_free(depot, sizeof(struct maker));
}

static struct mp_symbols *
freeze(const struct mp_depot *depot)
{
    struct mp_symbols *symbols = mp_symbols_freeze(depot);
    assert_non_null(symbols);
    assert_sound(symbols);
    return symbols;
}

static void
assert_stack(const struct mp_symbols *symbols, uint32_t stack, const char *text)
{
    char found[1024];
    describe(symbols, MP_BY_STACK, stack, found, sizeof found);
    assert_string_equal(found, text);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
new_symbols_are_zero_and_have_one_reference(void **state)
{
    (void)state;
    const uint32_t sizes[] = {0, 1, 2, 3, 1000};
    const size_t before = mp_mem_mapped();
    for (int i = 0; i < 5 * 5 * 5; i++) {
        const uint32_t names = sizes[i % 5], locations = sizes[i / 5 % 5], stacks = sizes[i / 25];
        struct mp_symbols *symbols = mp_symbols_new(names, locations, stacks, names * 3);
        assert_non_null(symbols);
        assert_true(symbols->names == names && symbols->locations == locations &&
                    symbols->stacks == stacks && symbols->text_size == names * 3);
        for (uint32_t id = 0; id <= names + 1; id++)
            assert_int_equal(symbols->name_at[id], 0);
        memset(symbols->name_at, 1, (names + 2u) * sizeof *symbols->name_at);
        memset(symbols->location, 2, (locations + 1u) * sizeof *symbols->location);
        memset(symbols->stack, 3, (stacks + 1u) * sizeof *symbols->stack);
        memset(symbols->text, 4, symbols->text_size);
        assert_int_equal(symbols->name_at[names + 1], 0x0101010101010101);
        assert_int_equal(symbols->location[locations].line, 0x02020202);
        assert_int_equal(symbols->stack[stacks].location, 0x03030303);
        mp_symbols_release(symbols);
        assert_int_equal(mp_mem_mapped(), before);
    }
}

static void
last_release_returns_the_memory(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_symbols *symbols = mp_symbols_new(1, 1, 1, 1);
    assert_ptr_equal(mp_symbols_retain(symbols), symbols);
    mp_symbols_retain(symbols);
    mp_symbols_release(symbols);
    mp_symbols_release(symbols);
    assert_true(mp_mem_mapped() > before);
    assert_int_equal(symbols->names, 1);
    mp_symbols_release(symbols);
    assert_int_equal(mp_mem_mapped(), before);
    mp_symbols_release(NULL);
}

static void *
retain_and_release(void *symbols)
{
    for (int i = 0; i < 20000; i++)
        mp_symbols_release(mp_symbols_retain(symbols));
    mp_symbols_release(symbols);
    return NULL;
}

static void
threads_share_references(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    const size_t before = mp_mem_mapped();
    struct mp_symbols *symbols = mp_symbols_new(1, 1, 1, 1);
    for (int i = 1; i < THREADS; i++)
        mp_symbols_retain(symbols);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, retain_and_release, symbols), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- from a depot -------------------------------------------------------------------------- */

static void
frozen_symbols_have_the_ids_of_the_depot(void **state)
{
    (void)state;
    struct mp_depot *depot = make_depot();
    struct mp_symbols *symbols = freeze(depot);
    free_depot(depot); /* the copy stands alone */
    assert_int_equal(symbols->names, 5);
    assert_int_equal(symbols->locations, 3);
    assert_int_equal(symbols->stacks, 3);
    assert_true(text_is(symbols, 0, "") && text_is(symbols, 1, "main.py"));
    assert_true(text_is(symbols, 5, "\xc3\xa9t\xc3\xa9"));
    assert_stack(symbols, 0, "");
    assert_stack(symbols, 1, "<main.py:5:<module>:1");
    assert_stack(symbols, 3, "*lib.py:0:\xc3\xa9t\xc3\xa9:20<lib.py:12:f:10<main.py:5:<module>:1");
    assert_int_equal(mp_symbols_top(symbols, 0), 0);
    assert_int_equal(mp_symbols_top(symbols, 3), 3); /* without the flag */
    mp_symbols_release(symbols);
}

static void
empty_depot_gives_empty_symbols(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    struct mp_symbols *symbols = freeze(&maker->depot);
    assert_int_equal(symbols->names + symbols->locations + symbols->stacks, 0);
    assert_int_equal(mp_symbols_name(symbols, 0).length, 0);
    mp_symbols_release(symbols);
    free_depot(&maker->depot);
}

static void
name_may_have_any_bytes(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    static const char text[] = "a\0b\xff";
    const uint32_t name = mp_names_intern(&maker->depot.names, text, 4);
    struct mp_symbols *symbols = freeze(&maker->depot);
    assert_int_equal(mp_symbols_name(symbols, name).length, 4);
    assert_memory_equal(mp_symbols_name(symbols, name).at, text, 4);
    mp_symbols_release(symbols);
    free_depot(&maker->depot);
}

/* Ids that were taken when there was no memory. */
static void
holes_of_the_depot_are_empty(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    struct mp_location location = {.file = 2, .line = 7};
    mp_mem_fail_nth(2); /* the text has memory, the record has none */
    assert_int_equal(mp_names_intern(&maker->depot.names, "lost", 4), 0);
    mp_mem_fail_nth(1);
    assert_int_equal(mp_depot_location(&maker->depot, &location), 0);
    mp_mem_fail_nth(1);
    assert_int_equal(mp_depot_stack(&maker->depot, 0, 2), 0);
    mp_mem_fail_nth(0);
    assert_int_equal(mp_names_intern(&maker->depot.names, "kept", 4), 2);
    assert_int_equal(mp_depot_location(&maker->depot, &location), 2);
    assert_int_equal(mp_depot_stack(&maker->depot, 0, 2), 2);
    struct mp_symbols *symbols = freeze(&maker->depot);
    assert_true(text_is(symbols, 1, "") && text_is(symbols, 2, "kept"));
    assert_int_equal(symbols->text_size, 4);
    assert_true(!symbols->location[1].line && symbols->location[2].line == 7);
    assert_true(!symbols->stack[1].location && symbols->stack[2].location == 2);
    mp_symbols_release(symbols);
    free_depot(&maker->depot);
}

static int
freeze_once(void *depot)
{
    struct mp_symbols *symbols = mp_symbols_freeze(depot);
    mp_symbols_release(symbols);
    return symbols ? MP_OK : MP_NO_MEMORY;
}

static void
freeze_without_memory_gives_none(void **state)
{
    (void)state;
    struct mp_depot *depot = make_depot();
    fail_each_request(freeze_once, depot);
    free_depot(depot);
}

/* ---- back into a depot --------------------------------------------------------------------- */

static void
interned_symbols_are_the_same_stacks(void **state)
{
    (void)state;
    uint32_t ids[4], again[4];
    struct mp_depot *depot = make_depot();
    struct mp_symbols *symbols = freeze(depot);
    free_depot(depot);
    struct maker *other = make_begin();
    STACK(other, {"x.py", "g", 1, 1}, {"lib.py", "f", 10, 12}); /* so that all ids differ */
    assert_int_equal(mp_symbols_intern(symbols, &other->depot, ids), MP_OK);
    assert_int_equal(mp_symbols_intern(symbols, &other->depot, again), MP_OK);
    assert_memory_equal(ids, again, sizeof ids);
    assert_true(ids[0] == 0 && ids[1] == 3 && ids[2] == 4 && ids[3] == 5);
    struct mp_symbols *both = freeze(&other->depot);
    assert_int_equal(both->locations, 4); /* the line of f is there once */
    assert_stack(both, 5, "*lib.py:0:\xc3\xa9t\xc3\xa9:20<lib.py:12:f:10<main.py:5:<module>:1");
    mp_symbols_release(both);
    mp_symbols_release(symbols);
    free_depot(&other->depot);
}

static void
symbols_in_another_order_get_the_same_ids(void **state)
{
    (void)state;
    uint32_t ids[2][4];
    struct mp_depot *depot = make_depot();
    struct mp_symbols *one = freeze(depot);
    struct maker *maker = make_begin();
    STACK(maker, {"lib.py", "f", 10, 12});
    STACK(maker, {"main.py", "<module>", 1, 5}, {"lib.py", "f", 10, 12});
    struct mp_symbols *two = freeze(&maker->depot);
    assert_int_equal(mp_symbols_intern(one, depot, ids[0]), MP_OK);
    assert_int_equal(mp_symbols_intern(two, depot, ids[1]), MP_OK);
    assert_int_equal(ids[1][1], 4);         /* a new one */
    assert_int_equal(ids[1][2], ids[0][1]); /* main */
    assert_int_equal(ids[1][3], ids[0][2]); /* main, f */
    mp_symbols_release(one);
    mp_symbols_release(two);
    free_depot(&maker->depot);
    free_depot(depot);
}

static int
intern_once(void *symbols)
{
    uint32_t ids[4];
    const char *why;
    static struct mp_depot depot;
    int status = mp_depot_init(&depot);
    if (status != MP_OK)
        return status;
    status = mp_symbols_intern(symbols, &depot, ids);
    mp_mem_fail_nth(0);
    assert_true(mp_depot_check(&depot, &why));
    for (uint32_t id = 1; id <= 5 && status == MP_OK; id++)
        assert_non_null(mp_table_peek(&depot.names.table, id));
    mp_depot_destroy(&depot);
    return status;
}

static void
intern_without_memory_fails_and_the_depot_stays_sound(void **state)
{
    (void)state;
    struct mp_depot *depot = make_depot();
    struct mp_symbols *symbols = freeze(depot);
    fail_each_request(intern_once, symbols);
    mp_symbols_release(symbols);
    free_depot(depot);
}

/* ---- the check itself ---------------------------------------------------------------------- */

static void
check_sees_what_is_out_of_bounds(void **state)
{
    (void)state;
    struct mp_depot *depot = make_depot();
    struct mp_symbols *s = freeze(depot);
    const struct { void *at; uint64_t bad; size_t size; } breaks[] = {
        {&s->name_at[0], 1, 8},         {&s->name_at[1], 1, 8},
        {&s->name_at[3], 1, 8},         {&s->name_at[6], 1000, 8},
        {&s->name_at[3], UINT64_MAX, 8}, {&s->location[0].file, 6, 4},
        {&s->location[3].file, 6, 4},   {&s->location[1].function, UINT32_MAX, 4},
        {&s->stack[0].parent, 1, 4},    {&s->stack[0].location, 1, 4},
        {&s->stack[0].location, MP_FOLDED, 4}, {&s->stack[1].parent, 1, 4},
        {&s->stack[2].parent, 3, 4},    {&s->stack[3].parent, UINT32_MAX, 4},
        {&s->stack[3].location, 4, 4},  {&s->stack[3].location, MP_FOLDED | 4, 4},
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        const char *why = NULL;
        uint64_t good = 0;
        memcpy(&good, breaks[i].at, breaks[i].size);
        memcpy(breaks[i].at, &breaks[i].bad, breaks[i].size);
        assert_false(mp_symbols_check(s, &why));
        assert_true(why && *why);
        memcpy(breaks[i].at, &good, breaks[i].size);
        assert_sound(s);
    }
    mp_symbols_release(s);
    free_depot(depot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_symbols_are_zero_and_have_one_reference),
        cmocka_unit_test(last_release_returns_the_memory),
        cmocka_unit_test(threads_share_references),
        cmocka_unit_test(frozen_symbols_have_the_ids_of_the_depot),
        cmocka_unit_test(empty_depot_gives_empty_symbols),
        cmocka_unit_test(name_may_have_any_bytes),
        cmocka_unit_test(holes_of_the_depot_are_empty),
        cmocka_unit_test(freeze_without_memory_gives_none),
        cmocka_unit_test(interned_symbols_are_the_same_stacks),
        cmocka_unit_test(symbols_in_another_order_get_the_same_ids),
        cmocka_unit_test(intern_without_memory_fails_and_the_depot_stays_sound),
        cmocka_unit_test(check_sees_what_is_out_of_bounds),
    };
    return RUN_TESTS(tests);
}
