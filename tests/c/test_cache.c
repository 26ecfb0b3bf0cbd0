#include "test.h"

#include "py/stack/cache.h"
#include "record/tracer.h"

#define CASE(name) static void name(void **state __attribute__((unused)))

/* ---- the thread's block ---------------------------------------------------------------- */

CASE(blocks_are_large_enough_from_the_first_on)
{
    assert_int_equal(mp_cache_extend(), MP_OK);
    assert_int_equal(mp_cache_extend(), MP_OK); /* as in the second interpreter of a process */
    assert_int_equal(mp_thread_size(), sizeof(struct mp_py_thread));
    struct mp_py_thread *self = mp_py_thread(mp_thread_self());
    self->path.steps[MP_PATH_FRAMES - 1].stack = 7; /* it is there */
    assert_int_equal((uintptr_t)&self->fresh % 64, 0);
    assert_int_equal(((uintptr_t)&self->trail.failures - (uintptr_t)&self->fresh) / 64, 0);
}

static struct mp_py_thread *
filled(void)
{
    struct mp_py_thread *self = mp_py_thread(mp_thread_self());
    mp_thread_flush(&self->thread, 70);
    self->trail.anchor = self->path.count = 1;
    self->trail.shared = true;
    self->lines[3].line = 1;
    *mp_location_slot(self, 4096) = (struct mp_location_slot){4096, 1, 0};
    *mp_location_slot(self, 4195) = (struct mp_location_slot){4195, 2, 0};
    *mp_location_slot(self, 4196) = (struct mp_location_slot){4196, 3, 0};
    return self;
}

/* Which frames there were is void in any case. */
static void
assert_frames_are_void(const struct mp_py_thread *self)
{
    assert_int_equal(self->trail.anchor, 0);
    assert_int_equal(self->path.count, 0);
    assert_int_equal(self->lines[3].line, 0);
}

CASE(flush_empties_all_that_is_known_of_instructions)
{
    struct mp_py_thread *self = filled();
    const uint64_t before = self->salt;
    mp_thread_flush(&self->thread, 71);
    assert_true(self->salt != before); /* what hashes of stacks stand for */
    assert_frames_are_void(self);
    assert_false(self->trail.shared); /* a new trace may try to have the anchor */
    for (uintptr_t ip = 4194; ip <= 4196; ip++)
        assert_int_equal(mp_location_slot(self, ip)->location, 0);
    assert_int_equal(mp_location_slot(self, 4096)->location, 0);
}

CASE(code_that_died_is_forgotten_and_no_other)
{
    struct mp_py_thread *self = filled();
    const uint64_t before = self->salt;
    mp_thread_forget(&self->thread, 71, &(struct mp_death){4096, 4196, 9});
    assert_true(self->salt == before);
    assert_frames_are_void(self);
    assert_true(self->trail.shared);
    assert_int_equal(mp_location_slot(self, 4096)->location, 0);
    assert_int_equal(mp_location_slot(self, 4195)->location, 0);
    assert_int_equal(mp_location_slot(self, 4196)->location, 3);
}

CASE(stacks_with_no_younger_code_than_what_died_are_known_still)
{
    struct mp_py_thread *self = filled();
    const uint32_t births[] = {0, 8, 9, 10, MP_BIRTH_UNKNOWN};
    for (uint32_t i = 0; i < 5; i++)
        self->sites[i * 500][i % MP_SITE_WAYS] = (struct mp_site_way){100 + i, i + 1, births[i]};
    mp_thread_forget(&self->thread, 71, &(struct mp_death){4096, 4196, 9});
    for (uint32_t i = 0; i < 5; i++) {
        const struct mp_site_way *way = &self->sites[i * 500][i % MP_SITE_WAYS];
        assert_int_equal(way->hash, i < 2 ? 100 + i : 0);
        assert_int_equal(way->site, i < 2 ? i + 1 : 0);
    }
    mp_thread_forget(&self->thread, 72, &(struct mp_death){4096, 4196, 0}); /* it is not known */
    assert_int_equal(self->sites[0][0].hash, 0);
}

CASE(same_generation_has_the_same_salt)
{
    struct mp_py_thread *self = filled();
    const uint64_t before = self->salt;
    mp_thread_flush(&self->thread, 71);
    mp_thread_flush(&self->thread, 70);
    assert_true(self->salt == before);
}

CASE(next_thread_finds_nothing_that_was_the_last_ones_alone)
{
    struct mp_py_thread *self = filled();
    int calls_under_way = 0;
    self->activations = &calls_under_way;
    self->fresh = self->stack_end = 4096;
    self->chained = abort;
    mp_thread_current = NULL; /* as if another thread asked: the block is not its own */
    mp_thread_after_fork();
    assert_int_equal(self->fresh, 0);
    assert_int_equal(self->stack_end, 0);
    assert_true(self->chained == NULL);
    assert_ptr_equal(self->activations, &calls_under_way); /* its memory is used again */
    self->activations = NULL;
}

/* ---- scratch -------------------- */

static void
scratch_grows_and_keeps_its_contents(void **state)
{
    (void)state;
    static struct mp_py_thread block;
    for (size_t count = 1; count <= 100000; count *= 3) {
        assert_true(mp_cache_reserve_frames(&block, count));
        assert_true(mp_cache_reserve_text(&block, count));
        assert_true(block.frame_capacity >= count && block.text_capacity >= count);
        block.frames[count - 1].code = count;
        block.text[count - 1] = (char)count;
        for (size_t old = 1; old <= count; old *= 3) {
            assert_int_equal(block.frames[old - 1].code, old);
            assert_int_equal(block.text[old - 1], (char)old);
        }
    }
    mp_mem_free(block.frames, block.frame_capacity * sizeof *block.frames);
    mp_mem_free(block.text, block.text_capacity);
}

static void
scratch_asks_for_memory_only_to_grow_and_without_it_stays(void **state)
{
    (void)state;
    static struct mp_py_thread block;
    for (size_t count = 0; count <= 10000; count += 10000) { /* the first, and a larger one */
        const struct mp_py_thread before = block;
        mp_mem_fail_nth(1);
        assert_false(mp_cache_reserve_frames(&block, count + 1));
        mp_mem_fail_nth(1);
        assert_false(mp_cache_reserve_text(&block, count + 1));
        assert_ptr_equal(block.frames, before.frames);
        assert_ptr_equal(block.text, before.text);
        assert_int_equal(block.frame_capacity, before.frame_capacity);
        assert_int_equal(block.text_capacity, before.text_capacity);
        assert_true(mp_cache_reserve_frames(&block, count + 1));
        assert_true(mp_cache_reserve_text(&block, count + 1));
        mp_mem_fail_nth(1);
        assert_true(mp_cache_reserve_frames(&block, block.frame_capacity));
        assert_true(mp_cache_reserve_text(&block, block.text_capacity));
        mp_mem_fail_nth(0);
    }
    mp_mem_free(block.frames, block.frame_capacity * sizeof *block.frames);
    mp_mem_free(block.text, block.text_capacity);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_large_enough_from_the_first_on),
        cmocka_unit_test(flush_empties_all_that_is_known_of_instructions),
        cmocka_unit_test(code_that_died_is_forgotten_and_no_other),
        cmocka_unit_test(stacks_with_no_younger_code_than_what_died_are_known_still),
        cmocka_unit_test(same_generation_has_the_same_salt),
        cmocka_unit_test(next_thread_finds_nothing_that_was_the_last_ones_alone),
        cmocka_unit_test(scratch_grows_and_keeps_its_contents),
        cmocka_unit_test(scratch_asks_for_memory_only_to_grow_and_without_it_stays),
    };
    return RUN_TESTS(tests);
}
