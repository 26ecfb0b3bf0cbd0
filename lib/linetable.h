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

/* Line of the instruction at byte `offset` of the bytecode, or 0 when it has none
 * or the table ends before it. A negative offset is the start of the function. */
uint32_t mp_linetable_line(const uint8_t *table, size_t length, int first_line, int64_t offset);

#endif
