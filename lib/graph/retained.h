/* retained: what would be free without the objects of a leak, and which leak is part of which. */
#ifndef MP_RETAINED_H
#define MP_RETAINED_H

#include "graph/leaks.h"

/* Fill in `retained` and `part_of` of all leaks, whose items and types are there; `search` is from
 * the roots to everything. */
MP_WARN_UNUSED int mp_leaks_find_retained(const struct mp_heap *heap,
                                          const struct mp_search *search, struct mp_leaks *leaks);

#endif
