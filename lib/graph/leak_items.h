/* leak_items: which nodes a leak is of. */
#ifndef MP_LEAK_ITEMS_H
#define MP_LEAK_ITEMS_H

#include "graph/leaks.h"

/* 1 + index of the leak that a site is of; 0: of none. */
static inline uint32_t
mp_leak_of_site(const struct mp_leak_sites *sites, uint32_t site)
{
    return site && site <= sites->highest ? sites->leak_of[site] : 0;
}

/* Fill in objects, owners, buffers and items of all leaks. */
MP_WARN_UNUSED int mp_leaks_collect(const struct mp_heap *heap, const struct mp_leak_sites *sites,
                                    struct mp_leaks *leaks);

/* The same for one leak of the nodes with wanted[node] != 0. */
MP_WARN_UNUSED int mp_leaks_collect_nodes(const struct mp_heap *heap, const uint8_t *wanted,
                                          struct mp_leaks *leaks);

#endif
