#include "base/array.h"

#include <string.h>

#include "base/debug.h"

static size_t
first_capacity(size_t size)
{
    const size_t page = mp_mem_page();
    return size < page ? page / size : 1;
}

bool
mp_array_grow(void *items, size_t *capacity, size_t needed, size_t size)
{
    void *old; /* the owner's pointer has another type: it is copied, not cast */
    memcpy(&old, items, sizeof old);
    assert(size && needed > *capacity);
    assert(!old == !*capacity);
    if (needed > SIZE_MAX / 4 / size)
        return false;
    size_t wanted = *capacity ? *capacity : first_capacity(size);
    while (wanted < needed)
        wanted *= 2;
    void *grown = mp_mem_grow(old, *capacity * size, wanted * size);
    if (!grown)
        return false;
    assert(wanted >= needed && wanted > *capacity);
    memcpy(items, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}
