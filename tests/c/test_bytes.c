#include "test.h"

#include "base/bytes.h"

#define FIRST_CAPACITY mp_mem_page()

static struct mp_reader
reader_over(const void *data, size_t size)
{
    return (struct mp_reader){data, (const unsigned char *)data + size, false};
}

/* ---- the writer ---------------------------------------------------------------------------- */

static void
integers_are_written_little_endian(void **state)
{
    (void)state;
    struct mp_writer writer = {0};
    mp_writer_u32(&writer, 0x04030201u);
    mp_writer_u64(&writer, 0x0c0b0a0908070605u);
    const unsigned char expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    assert_false(writer.failed);
    assert_int_equal(writer.size, sizeof expected);
    assert_memory_equal(writer.data, expected, sizeof expected);
    mp_writer_free(&writer);
}

static void
writer_keeps_everything_while_it_grows(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_writer writer = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        mp_writer_u32(&writer, i * 2654435761u);
        assert_true(writer.size <= writer.capacity);
    }
    assert_false(writer.failed);
    assert_int_equal(writer.size, 400000);
    struct mp_reader in = reader_over(writer.data, writer.size);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(mp_reader_u32(&in), i * 2654435761u);
    assert_int_equal(mp_reader_left(&in), 0);
    mp_writer_free(&writer);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
writer_takes_pieces_of_any_size(void **state)
{
    (void)state;
    const size_t sizes[] = {1, FIRST_CAPACITY - 1, FIRST_CAPACITY, FIRST_CAPACITY + 1,
                            5 * FIRST_CAPACITY + 7};
    char *piece = malloc(sizes[4]);
    memset(piece, 'x', sizes[4]);
    for (int i = 0; i < 5; i++) {
        struct mp_writer writer = {0};
        mp_writer_add(&writer, "ab", 2);
        mp_writer_add(&writer, piece, sizes[i]);
        mp_writer_add(&writer, "cd", 2);
        assert_false(writer.failed);
        assert_int_equal(writer.size, sizes[i] + 4);
        assert_memory_equal(writer.data, "abx", 3);
        assert_memory_equal(writer.data + 2, piece, sizes[i]);
        assert_memory_equal(writer.data + 2 + sizes[i], "cd", 2);
        mp_writer_free(&writer);
    }
    free(piece);
}

static void
writer_that_is_exactly_full_has_not_grown(void **state)
{
    (void)state;
    static char piece[65536];
    struct mp_writer writer = {0};
    mp_writer_add(&writer, piece, FIRST_CAPACITY);
    assert_int_equal(writer.capacity, FIRST_CAPACITY);
    mp_writer_add(&writer, piece, 1);
    assert_int_equal(writer.capacity, 2 * FIRST_CAPACITY);
    assert_int_equal(writer.size, FIRST_CAPACITY + 1);
    mp_writer_free(&writer);
}

static void
nothing_can_be_added(void **state)
{
    (void)state;
    struct mp_writer writer = {0};
    mp_writer_add(&writer, NULL, 0);
    assert_true(!writer.failed && !writer.data && !writer.size && !writer.capacity);
    mp_writer_u32(&writer, 7);
    mp_writer_add(&writer, "", 0);
    assert_int_equal(writer.size, 4);
    mp_writer_free(&writer);
}

static void
freed_buffer_is_empty_and_usable(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_writer writer = {0};
    mp_writer_free(&writer);
    mp_writer_u64(&writer, 1);
    mp_writer_free(&writer);
    mp_writer_free(&writer);
    assert_true(!writer.data && !writer.size && !writer.capacity && !writer.failed);
    assert_int_equal(mp_mem_mapped(), before);
    mp_writer_u32(&writer, 2);
    assert_int_equal(writer.size, 4);
    mp_writer_free(&writer);
}

/* ---- the writer without memory ------------------------------------------------------------- */

static void
failure_of_the_first_request_sticks(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_writer writer = {0};
    mp_mem_fail_nth(1);
    mp_writer_u32(&writer, 1);
    mp_mem_fail_nth(0);
    assert_true(writer.failed);
    mp_writer_u64(&writer, 2); /* there would be memory again */
    mp_writer_add(&writer, "x", 1);
    assert_true(writer.failed && writer.size == 0 && !writer.data);
    assert_int_equal(mp_mem_mapped(), before);
    mp_writer_free(&writer);
    assert_false(writer.failed);
}

static void
failure_to_grow_keeps_what_was_written(void **state)
{
    (void)state;
    const size_t before = mp_mem_mapped();
    struct mp_writer writer = {0};
    for (uint32_t i = 0; i < FIRST_CAPACITY / 4; i++)
        mp_writer_u32(&writer, i);
    mp_mem_fail_nth(1);
    mp_writer_u32(&writer, 1);
    mp_mem_fail_nth(0);
    assert_true(writer.failed);
    mp_writer_u32(&writer, 2);
    assert_int_equal(writer.size, FIRST_CAPACITY);
    struct mp_reader in = reader_over(writer.data, writer.size);
    for (uint32_t i = 0; i < FIRST_CAPACITY / 4; i++)
        assert_int_equal(mp_reader_u32(&in), i);
    mp_writer_free(&writer);
    assert_int_equal(mp_mem_mapped(), before);
}

static void
piece_beyond_the_address_space_fails(void **state)
{
    (void)state;
    struct mp_writer writer = {0};
    mp_writer_u32(&writer, 0x12345678);
    mp_writer_add(&writer, "x", SIZE_MAX / 4); /* not read: there is no room for it */
    assert_true(writer.failed);
    assert_int_equal(writer.size, 4);
    mp_writer_free(&writer);
}

/* ---- the reader ---------------------------------------------------------------------------- */

static void
reader_reads_back_what_was_written(void **state)
{
    (void)state;
    const uint64_t values[] = {0, 1, 255, 256, 0x80000000u, UINT32_MAX, 1ull << 32, 1ull << 63,
                               UINT64_MAX, 0x0123456789abcdefu};
    enum { COUNT = sizeof values / sizeof *values };
    struct mp_writer writer = {0};
    for (int i = 0; i < COUNT; i++) {
        mp_writer_u64(&writer, values[i]);
        mp_writer_u32(&writer, (uint32_t)values[i]);
        mp_writer_add(&writer, "odd", 3);
    }
    struct mp_reader in = reader_over(writer.data, writer.size);
    for (int i = 0; i < COUNT; i++) {
        assert_true(mp_reader_u64(&in) == values[i]);
        assert_true(mp_reader_u32(&in) == (uint32_t)values[i]);
        assert_memory_equal(mp_reader_take(&in, 3), "odd", 3);
    }
    assert_true(!in.failed && mp_reader_left(&in) == 0);
    mp_writer_free(&writer);
}

static void
read_past_the_end_gives_zero_from_then_on(void **state)
{
    (void)state;
    unsigned char *data = malloc(7); /* exactly: a sanitizer sees a byte too many */
    memset(data, 0xff, 7);
    struct mp_reader in = reader_over(data, 7);
    assert_int_equal(mp_reader_u64(&in), 0);
    assert_true(in.failed);
    assert_int_equal(mp_reader_u32(&in), 0); /* although there are four bytes */
    assert_null(mp_reader_take(&in, 1));
    assert_null(mp_reader_take(&in, 0));
    assert_int_equal(mp_reader_left(&in), 7);
    in = reader_over(data, 7);
    assert_int_equal(mp_reader_u32(&in), UINT32_MAX);
    assert_int_equal(mp_reader_u32(&in), 0);
    assert_true(in.failed);
    free(data);
}

static void
reader_takes_up_to_its_end_and_no_more(void **state)
{
    (void)state;
    const unsigned char data[4] = {1, 2, 3, 4};
    for (size_t size = 0; size <= 6; size++) {
        struct mp_reader in = reader_over(data, 4);
        const unsigned char *taken = mp_reader_take(&in, size);
        assert_ptr_equal(taken, size <= 4 ? data : NULL);
        assert_int_equal(in.failed, size > 4);
        assert_int_equal(mp_reader_left(&in), size <= 4 ? 4 - size : 4);
    }
    struct mp_reader in = reader_over(data, 4);
    assert_null(mp_reader_take(&in, SIZE_MAX));
    in = reader_over(data, 4);
    assert_non_null(mp_reader_take(&in, 4));
    assert_ptr_equal(mp_reader_take(&in, 0), data + 4);
    assert_false(in.failed);
}

/* ---- the checksum -------------------------------------------------------------------------- */

static void
checksum_is_that_of_zlib(void **state)
{
    (void)state;
    static const unsigned char zeros[32], ones[4] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(mp_crc32("", 0), 0);
    assert_int_equal(mp_crc32("a", 1), 0xe8b7be43u);
    assert_int_equal(mp_crc32("123456789", 9), 0xcbf43926u);
    assert_int_equal(mp_crc32("The quick brown fox jumps over the lazy dog", 43), 0x414fa339u);
    assert_int_equal(mp_crc32(zeros, sizeof zeros), 0x190a55adu);
    assert_int_equal(mp_crc32(ones, sizeof ones), UINT32_MAX);
}

static void
checksum_notices_each_flipped_bit(void **state)
{
    (void)state;
    unsigned char data[64];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37);
    const uint32_t right = mp_crc32(data, sizeof data);
    for (unsigned bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(mp_crc32(data, sizeof data), right);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(mp_crc32(data, sizeof data), right);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_little_endian),
        cmocka_unit_test(writer_keeps_everything_while_it_grows),
        cmocka_unit_test(writer_takes_pieces_of_any_size),
        cmocka_unit_test(writer_that_is_exactly_full_has_not_grown),
        cmocka_unit_test(nothing_can_be_added),
        cmocka_unit_test(freed_buffer_is_empty_and_usable),
        cmocka_unit_test(failure_of_the_first_request_sticks),
        cmocka_unit_test(failure_to_grow_keeps_what_was_written),
        cmocka_unit_test(piece_beyond_the_address_space_fails),
        cmocka_unit_test(reader_reads_back_what_was_written),
        cmocka_unit_test(read_past_the_end_gives_zero_from_then_on),
        cmocka_unit_test(reader_takes_up_to_its_end_and_no_more),
        cmocka_unit_test(checksum_is_that_of_zlib),
        cmocka_unit_test(checksum_notices_each_flipped_bit),
    };
    return RUN_TESTS(tests);
}
