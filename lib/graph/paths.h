/* paths: who holds the objects of a heap, told by one line for all that are held alike.
 *
 * The wanted objects are put in groups: two are in the same one when their paths from the roots,
 * as a search has found them (search.h), are the same step by step, by name and type. Keys and
 * indices that many objects of a container are under become one ([..]); a step that repeats itself
 * (node.next.next) is followed twice and then folded.
 *
 * Only as long as the inspector can look at objects; the texts (path_text.h) can be made later.
 */
#ifndef MP_PATHS_H
#define MP_PATHS_H

#include "graph/path_groups.h"

/* `wanted` by node: 0 or not. The paths are to be freed by mp_paths_free, but without memory. */
MP_WARN_UNUSED int mp_heap_group_paths(const struct mp_inspector *inspector,
                                       const struct mp_search *search, const uint8_t *wanted,
                                       struct mp_paths *paths);

#endif
