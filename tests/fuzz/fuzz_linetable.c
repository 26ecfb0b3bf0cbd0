/* mp_linetable_line reads any table without leaving it, and mp_linetable_seek agrees with it
 * in whatever order the offsets come.
 *
 * Input: four bytes of offset, two of the first line, the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/linetable.h"

#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

enum { HEAD = 6, UNITS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_ends(const uint8_t *table, size_t length, int first, int64_t offset)
{
    const int64_t end = (int64_t)length * UNITS * 2; /* no entry covers more instructions */
    MUST(mp_linetable_line(table, length, first, offset + end) == 0);
    MUST(mp_linetable_line(table, length, first, INT64_MAX) == 0);
    MUST(mp_linetable_line(table, length, first, -1 - offset) == (uint32_t)first);
}

/* The first line moves all others; 0: there is none. */
static void
check_first_line(const uint8_t *table, size_t length, int first, int64_t offset)
{
    const uint32_t line = mp_linetable_line(table, length, first, offset);
    const uint32_t moved = mp_linetable_line(table, length, first + 1, offset);
    MUST(moved == line + 1 || (line == 0 && moved == 0));
}

/* Forwards by small steps, with some jumps back; now and then for another code object that
 * has the same table and begins on the next line. */
static void
check_seek(const uint8_t *table, size_t length, int first, int64_t offset)
{
    struct mp_line_cursor cursor = {0};
    int64_t at = offset % 64;
    for (int step = 0; step < 48; step++) {
        const int begin = first + (step % 9 == 8);
        const uint32_t line = mp_linetable_line(table, length, begin, at);
        MUST(mp_linetable_seek(&cursor, table, length, begin, at) == line);
        MUST(mp_linetable_seek(&cursor, table, length, begin, at ^ 1) == line); /* same unit */
        at = step % 7 == 6 ? (at * 5 + offset) % (step * 16 + 1) : at + (offset >> step % 24) % 14;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    const size_t length = size - HEAD;
    const int first = data[4] | data[5] << 8;
    const int64_t offset = (int64_t)data[0] | (int64_t)data[1] << 8 | (int64_t)data[2] << 16 |
                           (int64_t)data[3] << 24;
    uint8_t *table = malloc(length + !length); /* of its own: the end is watched */
    MUST(table);
    memcpy(table, data + HEAD, length);
    check_ends(table, length, first, offset);
    check_first_line(table, length, first, offset);
    check_seek(table, length, first, offset);
    free(table);
    return 0;
}
