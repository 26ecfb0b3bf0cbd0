/* path_merge: groups that differ in a key only, and have few objects each, become one.
 *
 * A path of its own for each of a thousand keys tells less than one through [..]. Keys under which
 * a good part of the objects is keep their names, and so do a few modules or attributes.
 */
#ifndef MP_PATH_MERGE_H
#define MP_PATH_MERGE_H

#include "graph/path_groups.h"

/* Nodes of one depth, and the first of the groups that were made for them. */
struct mp_path_level {
    const uint32_t *nodes;
    uint32_t count;
    uint32_t first_group;
};

void mp_paths_merge(struct mp_paths *paths, const struct mp_path_level *level);

#endif
