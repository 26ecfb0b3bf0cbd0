#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

#include "base/names.h"

enum { THREADS = 4, NAMES = 5000 };

static uint32_t
intern(struct mp_names *names, const char *text)
{
    return mp_names_intern(names, text, strlen(text));
}

static void
assert_text(const struct mp_names *names, uint32_t id, const char *text, size_t length)
{
    const struct mp_name *name = mp_table_peek(&names->table, id);
    assert_non_null(name);
    assert_int_equal(name->length, length);
    assert_memory_equal(name->text, text, length);
}

static void
make(struct mp_names *names)
{
    memset(names, 0xaa, sizeof *names);
    assert_int_equal(mp_names_init(names), MP_OK);
}

static void
assert_sound(const struct mp_names *names)
{
    const char *why;
    if (!mp_names_check(names, &why))
        fail_msg("%s", why);
}

/* ---- one thread ------------------------------------------------------------------- */

static void
equal_texts_share_an_id(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    const uint32_t id = intern(&names, "module.py");
    assert_int_equal(id, 1);
    assert_int_equal(intern(&names, "module.py"), id);
    assert_int_not_equal(intern(&names, "module.pz"), id);
    assert_int_equal(mp_table_count(&names.table), 2);
    mp_names_destroy(&names);
}

static void
empty_name_is_id_zero(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    assert_int_equal(mp_names_intern(&names, "", 0), 0);
    assert_int_equal(mp_names_intern(&names, NULL, 0), 0);
    assert_int_equal(mp_table_count(&names.table), 0);
    mp_names_destroy(&names);
}

static void
name_longer_than_its_length_field_is_refused_unread(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    assert_int_equal(mp_names_intern(&names, "x", (size_t)UINT32_MAX + 1), 0);
    assert_int_equal(mp_table_count(&names.table), 0);
    mp_names_destroy(&names);
}

static void
every_length_and_every_byte_matters(void **state)
{
    (void)state;
    struct mp_names names;
    char text[40] = {0};
    make(&names);
    for (uint32_t length = 1; length <= 40; length++) /* zeros only: prefixes of each other */
        assert_int_equal(mp_names_intern(&names, text, length), length);
    for (uint32_t i = 0; i < 40; i++) {
        text[i] = 1;
        assert_int_equal(mp_names_intern(&names, text, 40), 41 + i);
        text[i] = 0;
    }
    assert_int_equal(mp_names_intern(&names, text, 40), 40);
    assert_sound(&names);
    mp_names_destroy(&names);
}

static void
text_is_copied_with_its_zero_bytes(void **state)
{
    (void)state;
    struct mp_names names;
    char text[] = "a\0b\xed\xa0\x80";
    make(&names);
    const uint32_t id = mp_names_intern(&names, text, sizeof text - 1);
    memset(text, 'x', sizeof text);
    assert_text(&names, id, "a\0b\xed\xa0\x80", sizeof text - 1);
    assert_int_equal(mp_names_intern(&names, "a\0b\xed\xa0\x80", sizeof text - 1), id);
    mp_names_destroy(&names);
}

static void
text_is_never_read_past_its_end(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    for (size_t length = 1; length < 30; length++) {
        char *text = malloc(length); /* the sanitizers watch its end */
        memset(text, 'q', length);
        assert_int_equal(mp_names_intern(&names, text, length), length);
        assert_int_equal(mp_names_intern(&names, text, length), length);
        free(text);
    }
    mp_names_destroy(&names);
}

static void
long_names_are_kept(void **state)
{
    (void)state;
    struct mp_names names;
    const size_t length = 1 << 20; /* more than a chunk of the arena */
    char *text = malloc(length);
    memset(text, 'z', length);
    make(&names);
    const uint32_t small = intern(&names, "small"), id = mp_names_intern(&names, text, length);
    assert_text(&names, id, text, length);
    assert_text(&names, small, "small", 5);
    mp_names_destroy(&names);
    free(text);
}

/* ---- lack of memory ----------------------------------------------------------------- */

static void
init_without_memory_says_so(void **state)
{
    (void)state;
    struct mp_names names;
    memset(&names, 0xaa, sizeof names);
    mp_mem_fail_nth(1);
    assert_int_equal(mp_names_init(&names), MP_NO_MEMORY);
    mp_names_destroy(&names);
}

static void
intern_without_memory_returns_none_and_works_later(void **state)
{
    (void)state;
    uint32_t id = 0;
    long n = 0;
    while (!id) {
        struct mp_names names;
        make(&names);
        mp_mem_fail_nth(++n);
        id = intern(&names, "first");
        mp_mem_fail_nth(0);
        assert_sound(&names);
        const uint32_t again = intern(&names, "first");
        assert_int_not_equal(again, 0);
        assert_text(&names, again, "first", 5);
        assert_sound(&names);
        mp_names_destroy(&names);
    }
    assert_int_equal(n, 3); /* arena and records failed once each */
}

static void
known_names_need_no_memory(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    const uint32_t id = intern(&names, "known");
    mp_mem_fail_nth(1);
    assert_int_equal(intern(&names, "known"), id);
    assert_null(mp_mem_new(1)); /* the failure was not used up */
    mp_names_destroy(&names);
}

static void
destroy_returns_all_memory(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_names names;
    char text[16];
    make(&names);
    for (int i = 0; i < 10000; i++)
        assert_int_not_equal(
            mp_names_intern(&names, text, (size_t)snprintf(text, sizeof text, "%d", i)), 0);
    mp_names_destroy(&names);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- threads --------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct mp_names *names;
    uint32_t ids[NAMES];
};

static void *
intern_names(void *data)
{
    struct worker *worker = data;
    char text[32];
    pthread_barrier_wait(worker->start);
    for (int i = 0; i < NAMES; i++) {
        const int length = snprintf(text, sizeof text, "package.module_%d", i);
        worker->ids[i] = mp_names_intern(worker->names, text, (size_t)length);
    }
    return NULL;
}

static void
threads_that_intern_the_same_names_get_the_same_ids(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct mp_names names;
    pthread_barrier_t start;
    char text[32];
    make(&names);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int t = 0; t < THREADS; t++) {
        workers[t].start = &start;
        workers[t].names = &names;
        assert_int_equal(pthread_create(&workers[t].thread, NULL, intern_names, &workers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(workers[t].thread, NULL);
    for (int i = 0; i < NAMES; i++) {
        const int length = snprintf(text, sizeof text, "package.module_%d", i);
        assert_text(&names, workers[0].ids[i], text, (size_t)length);
        for (int t = 1; t < THREADS; t++)
            assert_int_equal(workers[t].ids[i], workers[0].ids[i]);
    }
    assert_sound(&names);
    pthread_barrier_destroy(&start);
    mp_names_destroy(&names);
}

static void
assert_broken(const struct mp_names *names, const char *expected)
{
    const char *why = NULL;
    assert_false(mp_names_check(names, &why));
    assert_non_null(strstr(why, expected));
}

static void
check_says_what_is_broken(void **state)
{
    (void)state;
    struct mp_names names;
    make(&names);
    assert_sound(&names);
    const uint32_t first = intern(&names, "module.py"), second = intern(&names, "modulf.py");
    assert_sound(&names);
    struct mp_name *name = mp_table_at(&names.table, first);
    const struct mp_name right = {.length = name->length, .text = name->text};
    name->text = ((const struct mp_name *)mp_table_at(&names.table, second))->text;
    assert_broken(&names, "found by its text");
    name->text = NULL;
    assert_broken(&names, "no text");
    name->text = right.text;
    name->length = 3;
    assert_broken(&names, "found by its text");
    name->length = right.length;
    const uint32_t hash = name->record.hash;
    name->record.hash = 0;
    assert_broken(&names, "hole"); /* the table's own check */
    name->record.hash = hash;
    assert_sound(&names);
    mp_names_destroy(&names);
    assert_sound(&names);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_share_an_id),
        cmocka_unit_test(empty_name_is_id_zero),
        cmocka_unit_test(name_longer_than_its_length_field_is_refused_unread),
        cmocka_unit_test(every_length_and_every_byte_matters),
        cmocka_unit_test(text_is_copied_with_its_zero_bytes),
        cmocka_unit_test(text_is_never_read_past_its_end),
        cmocka_unit_test(long_names_are_kept),
        cmocka_unit_test(init_without_memory_says_so),
        cmocka_unit_test(intern_without_memory_returns_none_and_works_later),
        cmocka_unit_test(known_names_need_no_memory),
        cmocka_unit_test(destroy_returns_all_memory),
        cmocka_unit_test(threads_that_intern_the_same_names_get_the_same_ids),
        cmocka_unit_test(check_says_what_is_broken),
    };
    return RUN_TESTS(tests);
}
