#include "tables/depot.h"

#include <assert.h>
#include <string.h>

static bool
location_equal(const void *record, const void *key)
{
    const struct mp_location *a = record, *b = key;
    return a->file == b->file && a->function == b->function && a->line == b->line &&
           a->first_line == b->first_line;
}

static bool
site_equal(const void *record, const void *key)
{
    const struct mp_site *a = record, *b = key;
    return a->stack == b->stack && a->domain == b->domain && a->kind == b->kind &&
           a->small == b->small;
}

int
mp_depot_init(struct mp_depot *depot)
{
    memset(depot, 0, sizeof *depot);
    int status = mp_names_init(&depot->names);
    if (status == MP_OK)
        status = mp_table_init(&depot->locations, sizeof(struct mp_location), 10, location_equal);
    if (status == MP_OK)
        status = mp_stacks_init(&depot->stacks);
    if (status == MP_OK)
        status = mp_table_init(&depot->sites, sizeof(struct mp_site), 12, site_equal);
    if (status != MP_OK)
        mp_depot_destroy(depot);
    return status;
}

void
mp_depot_destroy(struct mp_depot *depot)
{
    mp_table_destroy(&depot->sites);
    mp_stacks_destroy(&depot->stacks);
    mp_table_destroy(&depot->locations);
    mp_names_destroy(&depot->names);
}

uint32_t
mp_depot_location(struct mp_depot *depot, const struct mp_location *location)
{
    const uint64_t hash = mp_hash_mix((uint64_t)location->file << 32 | location->function,
                                      (uint64_t)location->first_line << 32 | location->line);
    return mp_table_intern(&depot->locations, hash, location);
}

uint32_t
mp_depot_stack(struct mp_depot *depot, uint32_t parent, uint32_t location)
{
    return mp_stacks_push(&depot->stacks, parent, &location, 1);
}

uint32_t
mp_depot_site(struct mp_depot *depot, const struct mp_site *site)
{
    assert(site->kind < MP_KINDS);
    const uint64_t kind = (uint64_t)site->kind << 16 | site->small;
    const uint64_t hash = mp_hash_mix(kind << 32 | site->domain, site->stack);
    return mp_table_intern(&depot->sites, hash, site);
}

bool
mp_depot_check(const struct mp_depot *depot, const char **why)
{
    return mp_names_check(&depot->names, why) && mp_table_check(&depot->locations, why) &&
           mp_stacks_check(&depot->stacks, why) && mp_table_check(&depot->sites, why);
}
