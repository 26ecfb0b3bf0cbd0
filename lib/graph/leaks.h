/* leaks: the objects behind sets of allocation sites: their types, who holds them, and what would
 * be free without them.
 *
 * A leak is a set of sites. Its objects are those whose block one of the sites has allocated;
 * where there are none, the objects that own buffers from there (a bytearray that grows). What
 * even that does not explain are blocks that only C code knows.
 *
 * retained: bytes that no path from a root reaches but through the leak's objects, themselves
 * included. A leak whose objects are (nine tenths of them) only reached through another one's,
 * or are the containers that hold another one's, is part of that one.
 */
#ifndef MP_LEAKS_H
#define MP_LEAKS_H

#include "graph/path_groups.h"

struct mp_leak_type {
    uint32_t type;  /* index in the heap */
    uint32_t depth; /* steps from a root to the first of them */
    bool plain;     /* a type of C code: of about as many objects others come first */
    uint64_t objects, bytes;
};

struct mp_leak_holder {
    uint32_t group; /* of the paths */
    uint64_t objects;
};

struct mp_leak {
    uint64_t objects;         /* allocated at the sites */
    uint64_t owners;          /* of buffers from there, where there are no objects */
    uint64_t buffers;         /* with an owner */
    uint64_t loose;           /* live blocks that are known to C code only */
    uint64_t buffer_bytes;    /* of both */
    uint64_t retained;
    uint32_t part_of;         /* 1 + index of another leak, 0: none */
    uint32_t type_count, holder_count;
    uint32_t item_begin, item_end; /* of the leak's nodes among all items */
    struct mp_leak_type *types;
    struct mp_leak_holder *holders;
};

struct mp_leaks {
    size_t count;
    struct mp_leak *leaks;
    struct mp_paths paths;
    uint32_t *items;          /* nodes, by leak */
    size_t item_capacity;
};

/* Which site is of which leak. */
struct mp_leak_sites {
    const uint32_t *leak_of; /* by site: 1 + index of its leak, 0: none */
    uint32_t highest;        /* site */
    size_t leaks;
};

/* To be freed by mp_leaks_free, but without memory. */
MP_WARN_UNUSED int mp_heap_explain(const struct mp_inspector *inspector,
                                   const struct mp_leak_sites *sites, struct mp_leaks *leaks);

/* The same for one leak of the nodes with wanted[node] != 0. */
MP_WARN_UNUSED int mp_heap_explain_nodes(const struct mp_inspector *inspector,
                                         const uint8_t *wanted, struct mp_leaks *leaks);
void mp_leaks_free(struct mp_leaks *leaks);

#endif
