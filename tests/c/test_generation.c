#include "test.h"

#include "record/generation.h"

#define CASE(name) static void name(void **state __attribute__((unused)))

/* ---- a thread that notes what is to be forgotten -------------------------------------- */

static struct {
    int flushes, forgets;
    uintptr_t begin, end; /* of the last one to be forgotten */
    uint32_t birth;
    void (*meanwhile)(void);
} seen;

static struct mp_generation generation;

static void
flush(struct mp_thread *self)
{
    (void)self;
    seen.flushes++;
}

static void
forget(struct mp_thread *self, const struct mp_death *death)
{
    (void)self;
    seen.forgets++;
    seen.begin = death->begin;
    seen.end = death->end;
    seen.birth = death->birth;
    if (seen.meanwhile)
        seen.meanwhile();
}

static const struct mp_thread_extension extension = {
    .size = sizeof(struct mp_thread),
    .flush = flush,
    .forget = forget,
    .end = flush,
};

static int
begin_anew(void **state)
{
    (void)state;
    generation = (struct mp_generation){0};
    mp_generation_begin(&generation);
    memset(&seen, 0, sizeof seen);
    return 0;
}

static void
renew(struct mp_thread *self)
{
    mp_generation_renew(&generation, self, atomic_load(&generation.now));
    assert_int_equal(self->generation, atomic_load(&generation.now));
}

static void
die(int times)
{
    for (int i = 1; i <= times; i++) {
        const uintptr_t begin = (uintptr_t)i * 4096;
        mp_generation_note_death(&generation,
                                 &(struct mp_death){begin, begin + 100, (uint32_t)i + 7});
    }
}

static void
assert_sound(void)
{
    const char *why = "";
    assert_true(mp_generation_check(&generation, &why));
    assert_null(why);
}

/* ---- traces ------------------------------------------------------------------------------- */

CASE(each_trace_has_a_generation_of_its_own)
{
    uint32_t before = atomic_load(&generation.now);
    assert_int_not_equal(before, 0);
    for (int i = 0; i < 100; i++) {
        assert_true(mp_generation_end(&generation));
        assert_int_equal(atomic_load(&generation.now), 0);
        assert_false(mp_generation_end(&generation));
        mp_generation_begin(&generation);
        assert_int_not_equal(atomic_load(&generation.now), before);
        before = atomic_load(&generation.now);
        assert_sound();
    }
}

CASE(new_trace_voids_all_that_is_cached)
{
    struct mp_thread self = {.generation = MP_NO_GENERATION};
    renew(&self);
    assert_int_equal(seen.flushes, 1);
    mp_generation_begin(&generation); /* the last one goes on as another */
    renew(&self);
    assert_true(seen.flushes == 2 && seen.forgets == 0);
    renew(&self);
    assert_true(seen.flushes == 2 && seen.forgets == 0); /* nothing has died */
}

CASE(generations_begin_again_in_front_of_the_one_of_no_trace)
{
    struct mp_thread self = {.generation = MP_NO_GENERATION};
    mp_generation_end(&generation);
    generation.last = MP_NO_GENERATION - 2 * MP_DEATHS - 1;
    mp_generation_begin(&generation);
    for (int i = 0; i < 3 * MP_DEATHS; i++) {
        renew(&self);
        die(1);
        assert_sound();
        assert_true(atomic_load(&generation.now) != 0);
    }
    renew(&self);
    assert_true(atomic_load(&generation.now) < MP_NO_GENERATION / 2);
}

/* ---- deaths ------------------------------------------------------------------------------- */

CASE(death_while_nothing_is_traced_is_none)
{
    mp_generation_end(&generation);
    die(1);
    assert_int_equal(atomic_load(&generation.now), 0);
}

CASE(few_deaths_are_forgotten_one_by_one)
{
    struct mp_thread self = {.generation = MP_NO_GENERATION};
    renew(&self);
    for (int deaths = 1; deaths <= MP_FEW_DEATHS; deaths++) {
        seen.forgets = 0;
        die(deaths);
        renew(&self);
        assert_int_equal(seen.forgets, deaths);
        assert_int_equal(seen.begin, deaths * 4096); /* the latest last */
        assert_int_equal(seen.end, deaths * 4096 + 100);
        assert_int_equal(seen.birth, deaths + 7);
    }
    assert_int_equal(seen.flushes, 1);
    die(MP_FEW_DEATHS + 1);
    renew(&self);
    assert_int_equal(seen.flushes, 2);
    assert_sound();
}

CASE(death_at_an_unknown_place_voids_all)
{
    struct mp_thread self = {.generation = MP_NO_GENERATION};
    renew(&self);
    mp_generation_note_death(&generation, NULL);
    renew(&self);
    assert_true(seen.flushes == 2 && seen.forgets == 0);
}

static void
die_often(void)
{
    die(MP_DEATHS);
}

CASE(thread_that_may_have_read_what_came_later_forgets_all)
{
    struct mp_thread self = {.generation = MP_NO_GENERATION};
    renew(&self);
    die(1);
    seen.meanwhile = die_often; /* in the middle of it others write over what it looks for */
    const uint32_t now = atomic_load(&generation.now);
    mp_generation_renew(&generation, &self, now);
    assert_int_equal(seen.forgets, 1);
    assert_int_equal(seen.flushes, 2);
    assert_int_equal(self.generation, now); /* and is behind again */
}

/* ---- check -------------------------------------------------------------------------------- */

static void
assert_broken(const char *word)
{
    const char *why = "";
    assert_false(mp_generation_check(&generation, &why));
    assert_non_null(strstr(why, word));
    begin_anew(NULL);
    assert_sound();
}

CASE(check_names_what_is_broken)
{
    generation.now = MP_NO_GENERATION;
    assert_broken("of none");
    generation.last = MP_NO_GENERATION;
    assert_broken("of none");
    generation.now = 1;
    assert_broken("lower");
    generation.deaths[MP_DEATHS - 1].begin = 5;
    assert_broken("ends");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_trace_has_a_generation_of_its_own, begin_anew),
        cmocka_unit_test_setup(new_trace_voids_all_that_is_cached, begin_anew),
        cmocka_unit_test_setup(generations_begin_again_in_front_of_the_one_of_no_trace, begin_anew),
        cmocka_unit_test_setup(death_while_nothing_is_traced_is_none, begin_anew),
        cmocka_unit_test_setup(few_deaths_are_forgotten_one_by_one, begin_anew),
        cmocka_unit_test_setup(death_at_an_unknown_place_voids_all, begin_anew),
        cmocka_unit_test_setup(thread_that_may_have_read_what_came_later_forgets_all, begin_anew),
        cmocka_unit_test_setup(check_names_what_is_broken, begin_anew),
    };
    return mp_thread_extend(&extension) || RUN_TESTS(tests);
}
