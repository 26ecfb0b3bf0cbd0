#include "base/linetable.h"

#include "base/debug.h"

struct reader {
    const uint8_t *at, *end;
};

static unsigned
read_byte(struct reader *reader)
{
    return reader->at < reader->end ? *reader->at++ : 0;
}

/* Little-endian groups of six bits; bit 6 says that more follow. */
static uint32_t
read_varint(struct reader *reader)
{
    unsigned byte = read_byte(reader);
    uint32_t value = byte & 63;
    for (unsigned shift = 6; (byte & 64) && reader->at < reader->end && shift < 32; shift += 6) {
        byte = read_byte(reader);
        value |= (uint32_t)(byte & 63) << shift;
    }
    return value;
}

static int32_t
read_signed_varint(struct reader *reader)
{
    const uint32_t value = read_varint(reader);
    return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

enum {
    KIND_ONE_LINE_FIRST = 10,
    KIND_ONE_LINE_LAST = 12,
    KIND_NO_COLUMNS = 13,
    KIND_LONG = 14,
    KIND_NONE = 15,
};

/* Read what follows an entry's first byte; the change of line it makes. */
static int32_t
read_line_delta(struct reader *reader, unsigned kind)
{
    int32_t delta = 0;
    if (kind == KIND_LONG) {
        delta = read_signed_varint(reader);
        read_varint(reader); /* end line */
        read_varint(reader); /* column */
        read_varint(reader); /* end column */
    } else if (kind == KIND_NO_COLUMNS) {
        delta = read_signed_varint(reader);
    } else if (kind >= KIND_ONE_LINE_FIRST && kind <= KIND_ONE_LINE_LAST) {
        delta = (int32_t)kind - KIND_ONE_LINE_FIRST;
        read_byte(reader);
        read_byte(reader);
    } else if (kind < KIND_ONE_LINE_FIRST) {
        read_byte(reader);
    }
    return delta;
}

/* Read one entry. */
static void
advance(struct mp_line_cursor *cursor, size_t length)
{
    assert(cursor->at < length && cursor->begin <= cursor->end);
    struct reader reader = {cursor->table + cursor->at, cursor->table + length};
    const unsigned first = read_byte(&reader);
    const unsigned kind = first >> 3 & 15;
    cursor->line += (uint32_t)read_line_delta(&reader, kind);
    cursor->entry_line = kind == KIND_NONE ? 0 : cursor->line;
    cursor->begin = cursor->end;
    cursor->end += ((int64_t)(first & 7) + 1) * 2;
    cursor->at = (size_t)(reader.at - cursor->table);
    assert(cursor->at <= length);
}

uint32_t
mp_linetable_seek(struct mp_line_cursor *cursor, const uint8_t *table, size_t length,
                  int first_line, int64_t offset)
{
    if (offset < 0)
        return (uint32_t)first_line;
    if (cursor->table != table || cursor->first_line != first_line || offset < cursor->begin)
        *cursor = (struct mp_line_cursor){
            .table = table, .first_line = first_line, .line = (uint32_t)first_line};
    while (offset >= cursor->end) {
        if (cursor->at >= length)
            return 0;
        advance(cursor, length);
    }
    return cursor->entry_line;
}

uint32_t
mp_linetable_line(const uint8_t *table, size_t length, int first_line, int64_t offset)
{
    struct mp_line_cursor cursor = {0};
    return mp_linetable_seek(&cursor, table, length, first_line, offset);
}
