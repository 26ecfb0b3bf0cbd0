#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"

enum { THREADS = 4, PIECES = 4000, ARENA_CHUNK = 1 << 18 };

static size_t
page_size(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mp_mem_page(), page);
    return page;
}

static bool
is_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* ---- pages -------------------------------------------------------------------- */

static void
memory_is_zeroed_and_writable(void **state)
{
    (void)state;
    const size_t size = 3 * page_size();
    char *memory = mp_mem_new(size);
    assert_non_null(memory);
    assert_true(is_zero(memory, size));
    memset(memory, 0x5a, size);
    mp_mem_free(memory, size);
}

static void
mapped_counts_whole_pages_and_returns_to_its_start(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    const size_t sizes[] = {0, 1, page_size(), page_size() + 1};
    const size_t pages[] = {1, 1, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        void *memory = i % 2 ? mp_mem_new(sizes[i]) : mp_mem_grow(NULL, 0, sizes[i]);
        assert_non_null(memory);
        assert_int_equal(mp_mem_mapped() - before, pages[i] * page_size());
        mp_mem_free(memory, sizes[i]);
        mp_mem_free(NULL, sizes[i]); /* nothing */
        assert_int_equal(mp_mem_mapped(), before);
    }
}

static void
impossible_sizes_are_refused(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    assert_null(mp_mem_new(SIZE_MAX));
    assert_null(mp_mem_new(SIZE_MAX / 2 + 1));
    assert_null(mp_mem_new(SIZE_MAX / 2));
    assert_null(mp_mem_new_sparse(SIZE_MAX));
    char *memory = mp_mem_new(10);
    assert_null(mp_mem_grow(memory, 10, SIZE_MAX));
    memory[9] = 1; /* still there */
    mp_mem_free(memory, 10);
    assert_int_equal(mp_mem_mapped(), before);
}

/* ---- grow ---------------------------------------------------------------------- */

static void
growing_keeps_the_contents_and_adds_zeros(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    const size_t old = page_size(), size = 64 * page_size();
    char *memory = mp_mem_new(old);
    memset(memory, 7, old);
    memory = mp_mem_grow(memory, old, size);
    assert_non_null(memory);
    for (size_t i = 0; i < old; i++)
        assert_int_equal(memory[i], 7);
    assert_true(is_zero(memory + old, size - old));
    assert_int_equal(mp_mem_mapped() - before, size);
    mp_mem_free(memory, size);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
failed_growth_leaves_the_old_memory_valid(void **state)
{
    (void)state;
    const size_t size = page_size();
    char *memory = mp_mem_new(size);
    const size_t before = mp_mem_mapped();
    memset(memory, 9, size);
    mp_mem_fail_nth(1);
    assert_null(mp_mem_grow(memory, size, 8 * size));
    assert_int_equal(mp_mem_mapped(), before);
    assert_int_equal(memory[0] + memory[size - 1], 18);
    mp_mem_free(memory, size);
}

/* ---- sparse ---------------------------------------------------------------------- */

static void
resident_counts_the_pages_that_were_touched(void **state)
{
    (void)state;
    const size_t page = page_size(), size = 3000 * page, before = mp_mem_resident();
    const size_t mapped = mp_mem_mapped();
    char *memory = mp_mem_new_sparse(size), *other = mp_mem_new(2 * page);
    assert_int_equal(mp_mem_resident(), before);
    assert_int_equal(mp_mem_mapped(), mapped + 2 * page); /* the sparse one does not count */
    const size_t touched[] = {0, 1023, 1024, 2047, 2048, 2999};
    for (size_t i = 0; i < 6; i++) {
        memory[touched[i] * page] = 1;
        assert_int_equal(mp_mem_resident() - before, (i + 1) * page);
    }
    other[0] = 1;
    other = mp_mem_grow(other, 2 * page, 600 * page);
    other[599 * page] = 1;
    assert_int_equal(mp_mem_resident() - before, 8 * page);
    mp_mem_free_sparse(memory, size);
    mp_mem_free(other, 600 * page);
    assert_int_equal(mp_mem_resident(), before);
}

static void
touched_tells_which_pages_were_written(void **state)
{
    (void)state;
    const size_t page = page_size(), size = MP_MEM_PAGES * page;
    uint64_t touched[MP_MEM_PAGES];
    char *memory = mp_mem_new_sparse(size + page);
    for (size_t i = 0; i < MP_MEM_PAGES; i += 7)
        memory[i * page] = 1;
    assert_true(mp_mem_touched(memory, size, touched));
    for (size_t i = 0; i < MP_MEM_PAGES; i++)
        assert_int_equal(touched[i] != 0, i % 7 == 0);
    assert_false(mp_mem_touched(memory, size + page, touched));
    mp_mem_free_sparse(memory, size + page);
}

static void
cleared_sparse_memory_is_zero_and_not_resident(void **state)
{
    (void)state;
    const size_t size = 16 * page_size(), before = mp_mem_resident();
    char *memory = mp_mem_new_sparse(size);
    memset(memory, 3, size);
    mp_mem_clear_sparse(memory, size);
    assert_int_equal(mp_mem_resident(), before);
    assert_true(is_zero(memory, size));
    mp_mem_free_sparse(memory, size);
}

/* ---- failures on demand ------------------------------------------------------------ */

static void
exactly_the_nth_request_fails(void **state)
{
    (void)state;
    for (long n = 1; n <= 4; n++) {
        mp_mem_fail_nth(n);
        for (long i = 1; i <= 6; i++) {
            void *memory = i % 2 ? mp_mem_new(10) : mp_mem_new_sparse(10);
            assert_int_equal(memory == NULL, i == n);
            i % 2 ? mp_mem_free(memory, 10) : mp_mem_free_sparse(memory, 10);
        }
    }
}

/* ---- arena ----------------------------------------------------------------------------- */

static void
pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct mp_arena arena = {0};
    const size_t before = mp_mem_mapped();
    char *pieces[100];
    for (size_t i = 0; i < 100; i++) {
        pieces[i] = mp_arena_new(&arena, i + 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        assert_true(is_zero(pieces[i], i + 1));
        memset(pieces[i], (int)i + 1, i + 1);
    }
    for (size_t i = 0; i < 100; i++)
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(pieces[i][k], i + 1);
    mp_arena_destroy(&arena);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
pieces_may_be_larger_than_a_chunk(void **state)
{
    (void)state;
    struct mp_arena arena = {0};
    const size_t before = mp_mem_mapped(), large = 3 * ARENA_CHUNK;
    char *first = mp_arena_new(&arena, 8), *second = mp_arena_new(&arena, large);
    char *third = mp_arena_new(&arena, 8);
    memset(second, 1, large);
    assert_true(is_zero(first, 8) && is_zero(third, 8));
    mp_arena_destroy(&arena);
    mp_arena_destroy(&arena); /* empty again: nothing to do */
    assert_int_equal(mp_mem_mapped(), before);
}

static void
arena_without_memory_returns_null_and_keeps_its_pieces(void **state)
{
    (void)state;
    for (long n = 1; n <= 3; n++) {
        struct mp_arena arena = {0};
        char *pieces[3];
        mp_mem_fail_nth(n);
        for (long i = 0; i < 3; i++) {
            pieces[i] = mp_arena_new(&arena, ARENA_CHUNK / 2 + 1); /* a chunk each */
            assert_int_equal(pieces[i] == NULL, i == n - 1);
            if (!pieces[i])
                pieces[i] = mp_arena_new(&arena, ARENA_CHUNK / 2 + 1);
            memset(pieces[i], (int)i + 1, ARENA_CHUNK / 2 + 1);
        }
        assert_true(pieces[0][0] == 1 && pieces[1][0] == 2 && pieces[2][0] == 3);
        mp_arena_destroy(&arena);
    }
}

static void
arena_refuses_impossible_sizes(void **state)
{
    (void)state;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 6, SIZE_MAX - 7, SIZE_MAX - 24, SIZE_MAX / 2};
    for (size_t i = 0; i < 5; i++) {
        struct mp_arena arena = {0};
        const size_t before = mp_mem_mapped();
        mp_mem_fail_nth(4); /* ends a search without end */
        const void *piece = mp_arena_new(&arena, sizes[i]);
        mp_mem_fail_nth(0);
        assert_null(piece);
        assert_int_equal(mp_mem_mapped(), before);
        mp_arena_destroy(&arena);
    }
}

static void
refused_sizes_do_not_make_pieces_overlap(void **state)
{
    (void)state;
    struct mp_arena arena = {0};
    char *first = mp_arena_new(&arena, 64);
    memset(first, 1, 64);
    assert_null(mp_arena_new(&arena, SIZE_MAX / 2 - 31));
    assert_null(mp_arena_new(&arena, SIZE_MAX / 2 - 31));
    const char *second = mp_arena_new(&arena, 64);
    assert_true(is_zero(second, 64));
    mp_arena_destroy(&arena);
}

/* As in mem.c: the arena's own business, which nobody else sees. */
struct mp_arena_chunk {
    struct mp_arena_chunk *previous;
    size_t size;
    _Atomic size_t used;
};

static void
assert_broken(const struct mp_arena *arena, const char *expected)
{
    const char *why = NULL;
    assert_false(mp_arena_check(arena, &why));
    assert_non_null(strstr(why, expected));
}

static void
check_says_what_is_broken(void **state)
{
    (void)state;
    const char *why;
    struct mp_arena arena = {0};
    assert_true(mp_arena_check(&arena, &why));
    for (size_t i = 0; i < 3; i++)
        assert_non_null(mp_arena_new(&arena, 3 + i * ARENA_CHUNK));
    assert_true(mp_arena_check(&arena, &why));
    struct mp_arena_chunk *chunk = arena.chunk, *oldest = chunk->previous->previous;
    const size_t size = chunk->size, used = chunk->used;
    chunk->size = 4096;
    assert_broken(&arena, "too small");
    chunk->size = size;
    chunk->used = used + 1;
    assert_broken(&arena, "part of a piece");
    chunk->used = 0;
    assert_broken(&arena, "part of a piece");
    chunk->used = used;
    oldest->previous = chunk;
    assert_broken(&arena, "cycle");
    oldest->previous = NULL;
    assert_true(mp_arena_check(&arena, &why));
    mp_arena_destroy(&arena);
}

struct worker {
    pthread_t thread;
    struct mp_arena *arena;
    uint64_t *pieces[PIECES];
    uint64_t mark;
    unsigned dirty;
};

static size_t
words_of_piece(size_t i)
{
    return 1 + i % 40;
}

static void *
take_pieces(void *data)
{
    struct worker *worker = data;
    for (size_t i = 0; i < PIECES; i++) {
        uint64_t *piece = worker->pieces[i] = mp_arena_new(worker->arena, words_of_piece(i) * 8);
        worker->dirty += !piece || !is_zero(piece, words_of_piece(i) * 8);
        for (size_t k = 0; piece && k < words_of_piece(i); k++)
            piece[k] = worker->mark + i;
    }
    return NULL;
}

static void
pieces_taken_by_several_threads_do_not_overlap(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct mp_arena arena = {0};
    const size_t before = mp_mem_mapped();
    for (size_t t = 0; t < THREADS; t++) {
        workers[t].arena = &arena;
        workers[t].mark = (t + 1) << 32;
        assert_int_equal(pthread_create(&workers[t].thread, NULL, take_pieces, &workers[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(workers[t].thread, NULL);
    for (size_t t = 0; t < THREADS; t++) {
        assert_int_equal(workers[t].dirty, 0);
        for (size_t i = 0; i < PIECES; i++)
            for (size_t k = 0; k < words_of_piece(i); k++)
                assert_true(workers[t].pieces[i][k] == workers[t].mark + i);
    }
    const char *why = NULL;
    assert_true(mp_arena_check(&arena, &why));
    mp_arena_destroy(&arena);
    assert_int_equal(mp_mem_mapped(), before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_writable),
        cmocka_unit_test(mapped_counts_whole_pages_and_returns_to_its_start),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(growing_keeps_the_contents_and_adds_zeros),
        cmocka_unit_test(failed_growth_leaves_the_old_memory_valid),
        cmocka_unit_test(resident_counts_the_pages_that_were_touched),
        cmocka_unit_test(touched_tells_which_pages_were_written),
        cmocka_unit_test(cleared_sparse_memory_is_zero_and_not_resident),
        cmocka_unit_test(exactly_the_nth_request_fails),
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(pieces_may_be_larger_than_a_chunk),
        cmocka_unit_test(arena_without_memory_returns_null_and_keeps_its_pieces),
        cmocka_unit_test(arena_refuses_impossible_sizes),
        cmocka_unit_test(refused_sizes_do_not_make_pieces_overlap),
        cmocka_unit_test(check_says_what_is_broken),
        cmocka_unit_test(pieces_taken_by_several_threads_do_not_overlap),
    };
    return RUN_TESTS(tests);
}
