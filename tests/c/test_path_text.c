#define _GNU_SOURCE
#include "test.h"

#include "graph/path_text.h"
#include "make_heap.h"

/* ---- paths from literals ------------------------------------------------------------------ */

/* A group that hangs on the one before it; the first one is a root. */
struct step {
    const char *type;
    enum mp_step step;
    const char *name;
    enum mp_root_kind kind;
    const char *function;
    enum mp_role role;
    int64_t index;
    bool many, folded;
    uint64_t unaccounted;
};

enum { MOST = 400 };

struct told {
    struct mp_heap heap;
    struct mp_path_group groups[MOST + 1];
    struct mp_paths paths;
};

static void
tell(struct told *told, const struct step *steps, uint32_t count)
{
    assert_true(count <= MOST);
    assert_int_equal(mp_heap_init(&told->heap), MP_OK);
    for (uint32_t i = 0; i < count; i++)
        told->groups[i + 1] =
            (struct mp_path_group){.parent = i,
                                   .type = type_named(&told->heap, steps[i].type),
                                   .name = intern(&told->heap, steps[i].name),
                                   .name2 = intern(&told->heap, steps[i].function),
                                   .kind = steps[i].kind,
                                   .step = (uint8_t)steps[i].step,
                                   .role = (uint8_t)steps[i].role,
                                   .many = steps[i].many,
                                   .folded = steps[i].folded,
                                   .index = steps[i].index,
                                   .unaccounted = steps[i].unaccounted};
    told->paths = (struct mp_paths){.heap = &told->heap, .groups = told->groups, .count = count};
}

static void
assert_path(const struct told *told, bool types, const char *expected)
{
    char out[4096];
    const size_t length = mp_path_text(
        &(struct mp_group_path){&told->paths, told->paths.count, types}, out, sizeof out);
    assert_int_equal(length, strlen(out));
    assert_string_equal(out, expected);
}

/* The text, the text with types, and the word for the root of a path. */
static void
assert_told(const struct step *steps, uint32_t count, const char *const expected[3])
{
    static struct told told;
    tell(&told, steps, count);
    assert_path(&told, false, expected[0]);
    assert_path(&told, true, expected[1] ? expected[1] : expected[0]);
    assert_string_equal(mp_path_root(&told.paths, count), expected[2]);
    mp_heap_free(&told.heap);
}

#define ASSERT_TOLD(steps, ...)                                                              \
    assert_told(steps, COUNT(steps), (const char *const[3]){__VA_ARGS__})

/* ---- roots -------------------------------------------------------------------------------- */

static void
each_kind_of_root(void **state)
{
    (void)state;
    static const struct {
        struct step root;
        const char *text, *word;
    } roots[] = {
        {{"list", .kind = MP_ROOT_MODULE, .name = "app"}, "app -> list", "module"},
        {{"list", .kind = MP_ROOT_EXIT, .name = "atexit"}, "atexit -> list", "atexit"},
        {{"list", .kind = MP_ROOT_THREAD, .name = "thread-local"}, "thread-local -> list",
         "thread-local"},
        {{"list", .kind = MP_ROOT_CONTEXT, .name = "context"}, "context -> list", "context"},
        {{"list", .kind = MP_ROOT_FRAME, .name = "x", .function = "main"},
         "main() local x -> list", "frame"},
        {{"list", .kind = MP_ROOT_STACK, .function = "main"},
         "evaluation stack of main() -> list", "stack"},
        {{"list", .kind = MP_ROOT_OWN, .name = "objects"}, "memprof -> list", "memprof"},
        {{"list", .kind = MP_ROOT_INTERPRETER, .name = "sys.settrace()"},
         "sys.settrace() -> list", "interpreter"},
        {{"list", .kind = MP_ROOT_C, .unaccounted = 3},
         "C code (3 references unaccounted for) -> list", "C code"},
        {{"list", .kind = MP_ROOT_NOTHING},
         "nothing but themselves (garbage that the collector has not freed) -> list", "nothing"},
    };
    for (size_t i = 0; i < COUNT(roots); i++)
        assert_told(&roots[i].root, 1,
                    (const char *const[3]){roots[i].text, NULL, roots[i].word});
}

static void
many_modules_and_names_that_are_missing(void **state)
{
    (void)state;
    const struct step modules[] = {{"module", .many = true},
                                   {"dict", MP_STEP_HIDDEN},
                                   {"list", MP_STEP_ATTRIBUTE}};
    ASSERT_TOLD(modules, "sys.modules[..].? -> list", NULL, "module");
}

/* ---- steps -------------------------------------------------------------------------------- */

static void
attributes_of_a_module_are_its_names(void **state)
{
    (void)state;
    const struct step steps[] = {{"module", .name = "app"},
                                 {"dict", MP_STEP_HIDDEN, .role = MP_ROLE_NAMESPACE},
                                 {"dict", MP_STEP_ATTRIBUTE, "_sessions"},
                                 {"list", MP_STEP_KEY, "'by-id'"},
                                 {"app.Session", MP_STEP_INDEX, .many = true}};
    ASSERT_TOLD(steps, "app._sessions['by-id'] -> list[..] -> Session",
                "app._sessions['by-id'] (dict) -> list[..] -> Session", "module");
}

static void
each_step(void **state)
{
    (void)state;
    static const struct {
        struct step step;
        const char *text;
    } steps[] = {
        {{"str", MP_STEP_FIELD}, "main() local x -> str"},
        {{"str", MP_STEP_ATTRIBUTE, "name"}, "main() local x.name -> str"},
        {{"str", MP_STEP_ATTRIBUTE, .many = true}, "main() local x.* -> str"},
        {{"str", MP_STEP_KEY, "'k'"}, "main() local x['k'] -> str"},
        {{"str", MP_STEP_KEY}, "main() local x[..] -> str"},
        {{"str", MP_STEP_KEY, "'k'", .many = true}, "main() local x[..] -> str"},
        {{"str", MP_STEP_INDEX, .index = 12}, "main() local x[12] -> str"},
        {{"str", MP_STEP_INDEX, .index = 12, .many = true}, "main() local x[..] -> str"},
        {{"str", MP_STEP_MEMBER}, "main() local x{..} -> str"},
        {{"str", MP_STEP_AS_KEY}, "main() local x key -> str"},
        {{"str", MP_STEP_CLOSURE, "c"}, "main() local x closure c -> str"},
        {{"str", MP_STEP_LOCAL, "v"}, "main() local x local v -> str"},
        {{"str", MP_STEP_DEFAULT, "d"}, "main() local x default d -> str"},
        {{"str", MP_STEP_HIDDEN}, "main() local x -> str"},
        {{"str", MP_STEP_ATTRIBUTE, "next", .folded = true},
         "main() local x.next ... -> str"},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        const struct step path[] = {
            {"list", .kind = MP_ROOT_FRAME, .name = "x", .function = "main"}, steps[i].step};
        ASSERT_TOLD(path, steps[i].text, NULL, "frame");
    }
}

static void
hidden_objects_are_not_told(void **state)
{
    (void)state;
    const struct step steps[] = {{"module", .name = "app"},
                                 {"dict", MP_STEP_HIDDEN},
                                 {"function", MP_STEP_ATTRIBUTE, "handler"},
                                 {"tuple", MP_STEP_HIDDEN},
                                 {"cell", MP_STEP_CLOSURE, "cache"},
                                 {"dict", MP_STEP_HIDDEN},
                                 {"app.Item", MP_STEP_KEY, "1"}};
    ASSERT_TOLD(steps, "app.handler closure cache[1] -> Item", NULL, "module");
}

/* ---- what holds it in the end ------------------------------------------------------------- */

static void
words_for_roots(void **state)
{
    (void)state;
    const struct step attribute_of_class[] = {{"module", .name = "app"},
                                              {"dict", MP_STEP_HIDDEN},
                                              {"type", MP_STEP_ATTRIBUTE, "Service"},
                                              {"dict", MP_STEP_HIDDEN},
                                              {"list", MP_STEP_ATTRIBUTE, "all"},
                                              {"app.Item", MP_STEP_INDEX}};
    ASSERT_TOLD(attribute_of_class, "app.Service.all[0] -> Item",
                "app.Service.all[0] (list) -> Item", "class");
    const struct step class_itself[] = {{"module", .name = "app"},
                                        {"dict", MP_STEP_HIDDEN},
                                        {"type", MP_STEP_ATTRIBUTE, "Service"}};
    ASSERT_TOLD(class_itself, "app.Service -> type", NULL, "module");
    const struct step local[] = {{"module", .name = "app"},
                                 {"dict", MP_STEP_HIDDEN},
                                 {"_thread._local", MP_STEP_ATTRIBUTE, "data"},
                                 {"dict", MP_STEP_HIDDEN, .role = MP_ROLE_LOCALS},
                                 {"app.Item", MP_STEP_ATTRIBUTE, "item"}};
    ASSERT_TOLD(local, "app.data.item -> Item", NULL, "thread-local");
    const struct step variable[] = {{"Context", .kind = MP_ROOT_MODULE, .name = "app"},
                                    {"app.Item", MP_STEP_CONTEXT, "request"}};
    ASSERT_TOLD(variable, "app variable request -> Item", NULL, "context");
    const struct step suspended[] = {{"module", .name = "app"},
                                     {"dict", MP_STEP_HIDDEN},
                                     {"generator", MP_STEP_ATTRIBUTE, "jobs"},
                                     {"app.Item", MP_STEP_LOCAL, "item"}};
    ASSERT_TOLD(suspended, "app.jobs local item -> Item", "app.jobs local item (generator) -> Item",
                "suspended frame");
}

/* ---- long ones ---------------------------------------------------------------------------- */

static void
make_long(struct told *told, uint32_t count, const struct step *root)
{
    static struct step steps[MOST];
    static char names[MOST][8];
    for (uint32_t i = 1; i < count; i++) {
        snprintf(names[i], sizeof names[i], "a%u", i);
        steps[i] = (struct step){"app.Node", MP_STEP_ATTRIBUTE, names[i]};
    }
    steps[0] = *root;
    tell(told, steps, count);
}

static void
middle_of_a_long_path_is_left_out(void **state)
{
    (void)state;
    static struct told told;
    const struct step root = {"list", .kind = MP_ROOT_FRAME, .name = "x", .function = "f"};
    make_long(&told, 15, &root); /* 14 steps are all told */
    assert_path(&told, false,
                "f() local x.a1 -> Node.a2 -> Node.a3 -> Node.a4 -> Node.a5 -> Node.a6 -> "
                "Node.a7 -> Node.a8 -> Node.a9 -> Node.a10 -> Node.a11 -> Node.a12 -> Node.a13 -> "
                "Node.a14 -> Node");
    mp_heap_free(&told.heap);
    make_long(&told, 100, &root);
    assert_path(&told, false,
                "f() local x.a1 -> Node.a2 -> Node.a3 -> Node.a4 -> Node.a5 -> Node.a6 -> "
                "Node.a7 -> Node.a8 -> Node.a9 -> ... -> Node.a95 -> Node.a96 -> Node.a97 -> "
                "Node.a98 -> Node.a99 -> Node");
    mp_heap_free(&told.heap);
}

static void
root_of_a_very_long_path_is_left_out(void **state)
{
    (void)state;
    static struct told told;
    const struct step root = {"list", .kind = MP_ROOT_FRAME, .name = "x", .function = "f"};
    char out[4096];
    make_long(&told, MOST, &root);
    mp_path_text(&(struct mp_group_path){&told.paths, MOST, false}, out, sizeof out);
    assert_memory_equal(out, "...", 3);
    assert_null(strstr(out, "local"));
    assert_non_null(strstr(out, "Node.a399 -> Node"));
    mp_heap_free(&told.heap);
}

static void
no_group_has_no_text(void **state)
{
    (void)state;
    static struct told told;
    char out[4] = "abc";
    tell(&told, NULL, 0);
    assert_int_equal(mp_path_text(&(struct mp_group_path){&told.paths, 0, true}, out, 4), 0);
    assert_string_equal(mp_path_root(&told.paths, 0), "nothing");
    mp_heap_free(&told.heap);
}

/* ---- cut ---------------------------------------------------------------------------------- */

static void
text_is_cut_where_there_is_no_room(void **state)
{
    (void)state;
    static struct told told;
    const struct step steps[] = {{"module", .name = "app"},
                                 {"dict", MP_STEP_HIDDEN},
                                 {"dict", MP_STEP_ATTRIBUTE, "_sessions"},
                                 {"list", MP_STEP_KEY, "'by-id'"},
                                 {"app.Session", MP_STEP_INDEX, .index = 1234567}};
    const char *whole = "app._sessions['by-id'] (dict) -> list[1234567] -> Session";
    tell(&told, steps, COUNT(steps));
    for (size_t size = 1; size <= strlen(whole) + 3; size++) {
        char out[128];
        memset(out, 'x', sizeof out);
        const size_t length =
            mp_path_text(&(struct mp_group_path){&told.paths, COUNT(steps), true}, out, size);
        const size_t expected = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
        assert_int_equal(length, expected);
        assert_memory_equal(out, whole, expected);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], 'x');
    }
    mp_heap_free(&told.heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_root),
        cmocka_unit_test(many_modules_and_names_that_are_missing),
        cmocka_unit_test(attributes_of_a_module_are_its_names),
        cmocka_unit_test(each_step),
        cmocka_unit_test(hidden_objects_are_not_told),
        cmocka_unit_test(words_for_roots),
        cmocka_unit_test(middle_of_a_long_path_is_left_out),
        cmocka_unit_test(root_of_a_very_long_path_is_left_out),
        cmocka_unit_test(no_group_has_no_text),
        cmocka_unit_test(text_is_cut_where_there_is_no_room),
    };
    return RUN_TESTS(tests);
}
