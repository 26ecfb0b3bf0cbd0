#include "base/bytes.h"

#include <string.h>

#include "base/array.h"
#include "base/debug.h"

void
mp_writer_add(struct mp_writer *writer, const void *data, size_t size)
{
    assert(writer->size <= writer->capacity && !writer->data == !writer->capacity);
    if (size == 0)
        return;
    assert(data);
    if (!writer->failed) /* sizes of which the sum might overflow are refused */
        writer->failed = size > SIZE_MAX / 4 ||
                         !MP_ARRAY_RESERVE(writer->data, writer->capacity, writer->size + size);
    if (writer->failed)
        return;
    memcpy(writer->data + writer->size, data, size);
    writer->size += size;
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
mp_writer_u32(struct mp_writer *writer, uint32_t value)
{
    unsigned char bytes[4];
    store(bytes, value, sizeof bytes);
    mp_writer_add(writer, bytes, sizeof bytes);
}

void
mp_writer_u64(struct mp_writer *writer, uint64_t value)
{
    unsigned char bytes[8];
    store(bytes, value, sizeof bytes);
    mp_writer_add(writer, bytes, sizeof bytes);
}

void
mp_writer_free(struct mp_writer *writer)
{
    mp_mem_free(writer->data, writer->capacity);
    memset(writer, 0, sizeof *writer);
}

const unsigned char *
mp_reader_take(struct mp_reader *reader, size_t size)
{
    assert(reader->at <= reader->end);
    if (reader->failed || mp_reader_left(reader) < size) {
        reader->failed = true;
        return NULL;
    }
    const unsigned char *at = reader->at;
    reader->at += size;
    return at;
}

uint32_t
mp_reader_u32(struct mp_reader *reader)
{
    return (uint32_t)load(mp_reader_take(reader, 4), 4);
}

uint64_t
mp_reader_u64(struct mp_reader *reader)
{
    return load(mp_reader_take(reader, 8), 8);
}


uint32_t
mp_crc32(const void *data, size_t size)
{
    static const uint32_t polynomial = 0xedb88320u;
    uint32_t table[256], crc = 0xffffffffu;
    const unsigned char *at = data;
    assert(data || !size);

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
    }
    for (; size; size--)
        crc = crc >> 8 ^ table[(crc ^ *at++) & 255];
    return ~crc;
}
