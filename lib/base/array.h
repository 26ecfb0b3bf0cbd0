/* array: items in a row, in memory of ours, that grow as they become more.
 *
 * An array is a pointer and the number of items that it has room for, both zero at first; its
 * owner counts those in use. What is added is zeroed. Growing may move the items. Free it by
 *
 *     mp_mem_free(items, capacity * sizeof *items);
 *
 * One thread at a time.
 */
#ifndef MP_ARRAY_H
#define MP_ARRAY_H

#include "base/mem.h"

/* True when there is room for `needed` items; false when there is no memory: nothing changed.
 * `items` is the owner's pointer and `capacity` its size_t, both are written. */
#define MP_ARRAY_RESERVE(items, capacity, needed)                                             \
    (MP_LIKELY((needed) <= (capacity)) ||                                                     \
     mp_array_grow(&(items), &(capacity), needed, sizeof *(items)))

/* For the macro: `items` is the address of the pointer, `size` of an item is in bytes. The room
 * at least doubles; the first fills a page. */
MP_WARN_UNUSED bool mp_array_grow(void *items, size_t *capacity, size_t needed, size_t size);

#endif
