/* path_groups: the set of groups that objects with the same path are in.
 *
 * A group is one step further than its parent, and told from others by that parent, by type, name,
 * kind, step and role. Groups come after their parents. Errors stick (`failed`).
 */
#ifndef MP_PATH_GROUPS_H
#define MP_PATH_GROUPS_H

#include "graph/inspector.h"

struct mp_path_group {
    uint32_t parent;     /* the group of what holds these; 0: a root */
    uint32_t type;
    uint32_t name;       /* of the step from there; 0: none, or many */
    uint32_t name2;
    uint32_t kind;       /* enum mp_root_kind of a root */
    uint8_t step, role;  /* enum mp_step, enum mp_role */
    uint8_t many;        /* reached by several keys or indices */
    uint8_t folded;      /* what is held in the same way again is in here as well */
    uint32_t keys;       /* children by key so far */
    int64_t index;
    uint64_t nodes;
    uint64_t below;      /* wanted objects here and further on */
    uint64_t unaccounted;
};

struct mp_paths {
    const struct mp_heap *heap;
    uint32_t nodes;
    uint32_t *group;     /* by node; 0: not on the way to a wanted object */
    struct mp_path_group *groups; /* from 1 */
    uint32_t count;
    size_t capacity;
    uint32_t *slots;
    size_t slot_count;
    bool failed;
};

/* The group like `key`, 0 when there is none; mp_paths_intern makes one, 0 without memory. */
uint32_t mp_paths_find(const struct mp_paths *paths, const struct mp_path_group *key);
uint32_t mp_paths_intern(struct mp_paths *paths, const struct mp_path_group *key);

void mp_paths_free(struct mp_paths *paths);

#endif
