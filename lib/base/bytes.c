#include "base/bytes.h"

#include <string.h>

void
mp_buffer_add(struct mp_buffer *buffer, const void *data, size_t size)
{
    if (buffer->failed || size == 0)
        return;
    if (size > SIZE_MAX / 4) {
        buffer->failed = true;
        return;
    }
    if (buffer->capacity - buffer->size < size) {
        size_t wanted = buffer->capacity ? buffer->capacity : 65536;
        while (wanted - buffer->size < size)
            wanted *= 2;
        void *grown = mp_mem_grow(buffer->data, buffer->capacity, wanted);
        buffer->failed = grown == NULL;
        if (!grown)
            return;
        buffer->data = grown;
        buffer->capacity = wanted;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void
store(unsigned char *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t
load(const unsigned char *in, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; in && i < size; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

void
mp_buffer_u32(struct mp_buffer *buffer, uint32_t value)
{
    unsigned char bytes[4];
    store(bytes, value, sizeof bytes);
    mp_buffer_add(buffer, bytes, sizeof bytes);
}

void
mp_buffer_u64(struct mp_buffer *buffer, uint64_t value)
{
    unsigned char bytes[8];
    store(bytes, value, sizeof bytes);
    mp_buffer_add(buffer, bytes, sizeof bytes);
}

void
mp_buffer_free(struct mp_buffer *buffer)
{
    mp_mem_free(buffer->data, buffer->capacity);
    memset(buffer, 0, sizeof *buffer);
}

const unsigned char *
mp_cursor_take(struct mp_cursor *cursor, size_t size)
{
    if (cursor->failed || mp_cursor_left(cursor) < size) {
        cursor->failed = true;
        return NULL;
    }
    const unsigned char *at = cursor->at;
    cursor->at += size;
    return at;
}

uint32_t
mp_cursor_u32(struct mp_cursor *cursor)
{
    return (uint32_t)load(mp_cursor_take(cursor, 4), 4);
}

uint64_t
mp_cursor_u64(struct mp_cursor *cursor)
{
    return load(mp_cursor_take(cursor, 8), 8);
}


uint32_t
mp_crc32(const void *data, size_t size)
{
    static const uint32_t polynomial = 0xedb88320u;
    uint32_t table[256], crc = 0xffffffffu;
    const unsigned char *at = data;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
    }
    for (; size; size--)
        crc = crc >> 8 ^ table[(crc ^ *at++) & 255];
    return ~crc;
}
