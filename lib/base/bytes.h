/* bytes: little-endian integers, a writer that puts them into memory that grows, a reader that
 * takes them out of a bounded piece of it, and the checksum of the profile format.
 *
 * Errors stick: a writer without memory and a reader past its end say so once at the end
 * (`failed`), reads give zeros from then on. Zero-initialised is empty. One owner, no locks.
 */
#ifndef MP_BYTES_H
#define MP_BYTES_H

#include "base/mem.h"

struct mp_writer {
    unsigned char *data;
    size_t size, capacity;
    bool failed;
};

void mp_writer_add(struct mp_writer *writer, const void *data, size_t size);
void mp_writer_u32(struct mp_writer *writer, uint32_t value);
void mp_writer_u64(struct mp_writer *writer, uint64_t value);
void mp_writer_free(struct mp_writer *writer);

struct mp_reader {
    const unsigned char *at, *end;
    bool failed;
};

/* The next `size` bytes, or NULL when there are fewer. */
const unsigned char *mp_reader_take(struct mp_reader *reader, size_t size);
uint32_t mp_reader_u32(struct mp_reader *reader);
uint64_t mp_reader_u64(struct mp_reader *reader);

static inline size_t
mp_reader_left(const struct mp_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* CRC-32 as in ISO 3309 and zlib. */
uint32_t mp_crc32(const void *data, size_t size);

#endif
