/* heap_paths: who holds the objects of a heap, told by one line for all that are held alike.
 *
 * mp_heap_search finds a shortest path from a root to every object, trying the roots in the
 * order of mp_root_kind: what a module holds is not said to be held by a local variable.
 *
 * mp_heap_group_paths puts the wanted objects in groups: two are in the same one when their
 * paths are the same step by step, by name and type. Keys and indices that many objects of a
 * container are under become one ([..]); a step that repeats itself (node.next.next) is
 * followed twice and then folded.
 *
 * Both only while the pass of heap.h lasts; the texts can be made later.
 */
#ifndef MP_PATHS_H
#define MP_PATHS_H

#include "py/heap/heap.h"

struct mp_path_group {
    uint32_t parent;     /* the group of what holds these; 0: a root */
    uint32_t type;
    uint32_t name;       /* of the step from there; 0: none, or many */
    uint32_t name2;
    uint32_t kind;       /* enum mp_root_kind of a root */
    uint8_t step, role;  /* enum mp_step, enum mp_role */
    uint8_t many;        /* reached by several keys or indices */
    uint8_t folded;
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
    uint32_t count, capacity;
    uint32_t *slots;
    size_t slot_count;
    bool failed;
};

/* Reach every node, adding roots for what no root leads to. */
MP_WARN_UNUSED int mp_heap_search(struct mp_heap *heap, struct mp_search *search);

/* `wanted` by node: 0 or not. */
MP_WARN_UNUSED int mp_heap_group_paths(const struct mp_heap *heap, const struct mp_search *search,
                                       const uint8_t *wanted, struct mp_paths *paths);
void mp_paths_free(struct mp_paths *paths);

/* The path of a group as text, not terminated; its length. With `types` the type of the first
 * container is told too. *root is a word for what holds it in the end. */
size_t mp_path_text(const struct mp_paths *paths, uint32_t group, bool types, char *out,
                    size_t size, const char **root);

#endif
