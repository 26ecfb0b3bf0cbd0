/* depot: every call stack once.
 *
 *   location   file, function and line of one frame
 *   stack      the stack of the caller, and the location on top of it (stacks.h)
 *   site       allocation site: a stack and the domain that was asked. Tallies
 *              are kept per site; its id is what the shadow table stores.
 *
 * A block of at most 16 bytes has one word in the shadow table, with no room for
 * its size: there the size belongs to the site (small = size + 1, else 0).
 *
 * Recursion is folded by whoever captures (lib/py/stack/stack.c): a location with
 * MP_FOLDED stands for itself and the frames left out just outside of it.
 *
 * Ids start at 1; stack 0 is the empty stack. Nothing is ever removed, so an id
 * stays good as long as the depot. Thread rule as table.h.
 */
#ifndef MP_DEPOT_H
#define MP_DEPOT_H

#include "base/names.h"
#include "tables/stacks.h"

enum mp_kind { MP_RAW, MP_MEM, MP_OBJ, MP_TRACKED, MP_KINDS };

struct mp_location {
    struct mp_record record;
    uint32_t file, function; /* names */
    uint32_t first_line;     /* of the function */
    uint32_t line;           /* 0 when the instruction has none */
};

struct mp_site {
    struct mp_record record;
    uint32_t stack;
    uint32_t domain; /* of memprof_track; 0 for CPython's own domains */
    uint16_t kind;   /* enum mp_kind */
    uint16_t small;  /* 1 + size, or 0 when the shadow table has the size */
};

struct mp_depot {
    struct mp_names names;
    struct mp_table locations, sites;
    struct mp_stacks stacks;
};

MP_WARN_UNUSED int mp_depot_init(struct mp_depot *depot);
void mp_depot_destroy(struct mp_depot *depot);

/* Each returns an id, 0 when the depot is full or there is no memory. */
uint32_t mp_depot_location(struct mp_depot *depot, const struct mp_location *location);
uint32_t mp_depot_stack(struct mp_depot *depot, uint32_t parent, uint32_t location);
uint32_t mp_depot_site(struct mp_depot *depot, const struct mp_site *site);

static inline const struct mp_site *
mp_depot_site_at(const struct mp_depot *depot, uint32_t site)
{
    return mp_table_at(&depot->sites, site);
}

bool mp_depot_check(const struct mp_depot *depot, const char **why);

#endif
