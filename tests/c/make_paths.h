/* The paths of a heap from literals, grouped. Include it after make_heap.h and graph/paths.h. */
#ifndef MP_MAKE_PATHS_H
#define MP_MAKE_PATHS_H

#include "graph/search.h"

struct grouped {
    struct made made;
    struct mp_search search;
    struct mp_paths paths;
};

/* Group the paths to the nodes with wanted[node] != 0, and note how `watched` was held. */
static inline void
group_watching(struct grouped *grouped, const struct literal *from, const uint8_t *wanted,
               uint32_t watched)
{
    make_heap(&grouped->made, from);
    grouped->made.watched.node = watched;
    assert_int_equal(mp_heap_search(&grouped->made.inspector, &grouped->search), MP_OK);
    assert_int_equal(mp_heap_group_paths(&grouped->made.inspector, &grouped->search, wanted,
                                         &grouped->paths),
                     MP_OK);
}

static inline void
group(struct grouped *grouped, const struct literal *from, const uint8_t *wanted)
{
    group_watching(grouped, from, wanted, 0);
}

static inline void
free_grouped(struct grouped *grouped)
{
    mp_paths_free(&grouped->paths);
    mp_search_free(&grouped->search);
    free_heap(&grouped->made);
}

static inline const struct mp_path_group *
group_of(const struct grouped *grouped, uint32_t node)
{
    assert_true(grouped->paths.group[node] <= grouped->paths.count);
    return grouped->paths.group[node] ? &grouped->paths.groups[grouped->paths.group[node]] : NULL;
}

static inline void
assert_name(const struct grouped *grouped, uint32_t name, const char *text)
{
    const struct mp_name *found = mp_table_peek(&grouped->made.heap.names.table, name);
    assert_non_null(found);
    assert_int_equal(found->length, strlen(text));
    assert_memory_equal(found->text, text, found->length);
}

#endif
