#include "test.h"

#include "record/source.h"
#include "record/tracer.h"

#define CASE(name) static void name(void **state __attribute__((unused)))

/* A source of stacks that are made up: one frame with the number of the domain as its line. */
static uint32_t
site_of_domain(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size)
{
    const struct mp_location location = {.line = domain};
    const uint32_t stack =
        mp_depot_stack(&mp_tracer.depot, 0, mp_depot_location(&mp_tracer.depot, &location));
    assert_ptr_equal(self, mp_thread_self());
    return mp_tracer_site(&(struct mp_site){.stack = stack, .kind = (uint16_t)kind,
                                            .domain = domain, .small = mp_site_small(size)});
}

static bool is_main;

static bool
may_write_main(void)
{
    return is_main;
}

static const struct mp_stack_source made_up = {site_of_domain, may_write_main};

static const struct mp_site *
site_now(enum mp_kind kind, size_t size)
{
    const uint32_t site = mp_source_site(mp_thread_self(), kind, 7, size);
    assert_int_not_equal(site, 0);
    return mp_depot_site_at(&mp_tracer.depot, site);
}

CASE(without_a_source_stacks_are_empty_and_nobody_writes_the_main_lane)
{
    assert_false(mp_source_main());
    const struct mp_site *site = site_now(MP_TRACKED, 5);
    assert_true(site->stack == 0 && site->kind == MP_TRACKED && site->domain == 7);
    assert_int_equal(site->small, 0); /* the side table has the sizes of tracked blocks */
    assert_int_equal(site_now(MP_RAW, 5)->small, 6);
    assert_int_equal(site_now(MP_RAW, 500)->small, 0);
}

CASE(source_that_is_set_is_asked_until_another_is)
{
    assert_null(mp_source_set(&made_up));
    assert_int_not_equal(site_now(MP_TRACKED, 100)->stack, 0);
    assert_false(mp_source_main());
    is_main = true;
    assert_true(mp_source_main());
    assert_ptr_equal(mp_source_set(NULL), &made_up);
    assert_int_equal(site_now(MP_TRACKED, 100)->stack, 0);
    assert_false(mp_source_main());
}

/* ---- one that adds to another ---------------------------------------------------------------- */

static const struct mp_stack_source *below;

static uint32_t
site_with_one_frame_more(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size)
{
    const uint32_t below_it = below->site(self, kind, domain, size);
    struct mp_site site = *mp_depot_site_at(&mp_tracer.depot, below_it);
    const struct mp_location location = {.line = 1000};
    site.stack = mp_depot_stack(&mp_tracer.depot, site.stack,
                                mp_depot_location(&mp_tracer.depot, &location));
    return mp_tracer_site(&site);
}

CASE(source_may_add_to_the_stacks_of_another)
{
    const struct mp_stack_source adding = {site_with_one_frame_more, may_write_main};
    mp_source_set(&made_up);
    below = mp_source_set(&adding);
    const uint32_t stack = site_now(MP_RAW, 100)->stack;
    uint32_t parent, top;
    assert_true(mp_stacks_at(&mp_tracer.depot.stacks, stack, &parent, &top));
    const struct mp_location *location = mp_table_at(&mp_tracer.depot.locations, top);
    assert_int_equal(location->line, 1000);
    assert_ptr_equal(mp_source_set(below), &adding);
    assert_int_equal(site_now(MP_RAW, 100)->stack, parent);
    mp_source_set(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_source_stacks_are_empty_and_nobody_writes_the_main_lane),
        cmocka_unit_test(source_that_is_set_is_asked_until_another_is),
        cmocka_unit_test(source_may_add_to_the_stacks_of_another),
    };
    return mp_tracer_start() || RUN_TESTS(tests);
}
