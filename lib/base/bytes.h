/* bytes: little-endian integers, a growing buffer to write them to, a bounded
 * cursor to read them from, and the checksum of the profile format.
 *
 * Errors stick: a buffer without memory and a cursor past its end say so once at
 * the end (`failed`), reads give zeros from then on. One owner, no locks.
 */
#ifndef MP_BYTES_H
#define MP_BYTES_H

#include "base/mem.h"

struct mp_buffer {
    unsigned char *data;
    size_t size, capacity;
    bool failed;
};

void mp_buffer_add(struct mp_buffer *buffer, const void *data, size_t size);
void mp_buffer_u32(struct mp_buffer *buffer, uint32_t value);
void mp_buffer_u64(struct mp_buffer *buffer, uint64_t value);
void mp_buffer_free(struct mp_buffer *buffer);

struct mp_cursor {
    const unsigned char *at, *end;
    bool failed;
};

/* `size` bytes at the cursor, or NULL when there are fewer. */
const unsigned char *mp_cursor_take(struct mp_cursor *cursor, size_t size);
uint32_t mp_cursor_u32(struct mp_cursor *cursor);
uint64_t mp_cursor_u64(struct mp_cursor *cursor);

static inline size_t
mp_cursor_left(const struct mp_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* CRC-32 as in ISO 3309 and zlib. */
uint32_t mp_crc32(const void *data, size_t size);

#endif
