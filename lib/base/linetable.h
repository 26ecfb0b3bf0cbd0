/* linetable: source line of an instruction, from a code object's location table.
 *
 * Format: CPython's Objects/locations.md (3.11 and later). Knows nothing of Python
 * objects, never reads outside the table, and needs no lock: unlike
 * PyCode_Addr2Line it can be used in an allocator hook. Thread-safe.
 */
#ifndef MP_LINETABLE_H
#define MP_LINETABLE_H

#include <stddef.h>
#include <stdint.h>

/* Where a reading of a table has got to. Zeroed: nowhere. */
struct mp_line_cursor {
    const uint8_t *table; /* code objects with equal tables share one */
    int first_line;
    size_t at;            /* in the table */
    int64_t begin, end;   /* bytes of code of the entry before `at` */
    uint32_t line;        /* line of the entries so far */
    uint32_t entry_line;  /* of the entry before `at`: 0 when it has none */
};

/* As mp_linetable_line, going on from where `cursor` is when that is in the same table and
 * not past `offset`: code that runs forwards is read once, however long it is. */
uint32_t mp_linetable_seek(struct mp_line_cursor *cursor, const uint8_t *table, size_t length,
                           int first_line, int64_t offset);

/* Line of the instruction at byte `offset` of the bytecode, or 0 when it has none
 * or the table ends before it. A negative offset is the start of the function. */
uint32_t mp_linetable_line(const uint8_t *table, size_t length, int first_line, int64_t offset);

#endif
