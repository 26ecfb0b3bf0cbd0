/* memory_map: which addresses of this process can be read, as the kernel says.
 *
 * Addresses and sizes are bytes. Nothing is allocated and nothing locked; any thread may call any
 * of these. What is mapped may change at any time: an answer is one of the past.
 */
#ifndef MP_MEMORY_MAP_H
#define MP_MEMORY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp_range {
    uintptr_t begin, end; /* one past the last */
};

/* Fill `ranges` with the readable ones in order of address, neighbours made one. Returns how
 * many there are, which may be more than `capacity`; 0 when the kernel does not say. */
size_t mp_memory_map_read(struct mp_range *ranges, size_t capacity);

/* Do `size` bytes at `address` lie in one of the ranges? */
bool mp_memory_map_has(const struct mp_range *ranges, size_t count, uintptr_t address,
                       size_t size);

/* Copy memory that may not be there; false when it cannot be read. Where the kernel cannot be
 * asked at all it is taken as there. */
bool mp_memory_map_copy(uintptr_t address, void *copy, size_t size);

#endif
