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
stack_equal(const void *record, const void *key)
{
    const struct mp_stack *a = record, *b = key;
    return a->parent == b->parent && a->location == b->location;
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
        status = mp_table_init(&depot->locations, sizeof(struct mp_location), 13, location_equal);
    if (status == MP_OK)
        status = mp_table_init(&depot->stacks, sizeof(struct mp_stack), 16, stack_equal);
    if (status == MP_OK)
        status = mp_table_init(&depot->sites, sizeof(struct mp_site), 15, site_equal);
    if (status != MP_OK)
        mp_depot_destroy(depot);
    return status;
}

void
mp_depot_destroy(struct mp_depot *depot)
{
    mp_table_destroy(&depot->sites);
    mp_table_destroy(&depot->stacks);
    mp_table_destroy(&depot->locations);
    mp_names_destroy(&depot->names);
}

uint32_t
mp_depot_location(struct mp_depot *depot, const struct mp_location *location)
{
    uint64_t hash = mp_hash_mix(location->file, location->function);
    hash = mp_hash_mix(hash, (uint64_t)location->first_line << 32 | location->line);
    return mp_table_intern(&depot->locations, mp_hash_mix(hash, 0), location);
}

uint32_t
mp_depot_stack(struct mp_depot *depot, uint32_t parent, uint32_t location)
{
    const struct mp_stack key = {.parent = parent, .location = location};
    const uint64_t hash = mp_hash_mix((uint64_t)parent << 32 | location, 0);
    assert(parent <= mp_table_count(&depot->stacks));
    return mp_table_intern(&depot->stacks, mp_hash_mix(hash, 0), &key);
}

uint32_t
mp_depot_site(struct mp_depot *depot, const struct mp_site *site)
{
    uint64_t hash = mp_hash_mix(site->stack, site->domain);
    assert(site->kind < MP_KINDS);
    hash = mp_hash_mix(hash, (uint64_t)site->kind << 16 | site->small);
    return mp_table_intern(&depot->sites, mp_hash_mix(hash, 0), site);
}

bool
mp_depot_check(const struct mp_depot *depot, const char **why)
{
    if (!mp_names_check(&depot->names, why) || !mp_table_check(&depot->locations, why) ||
        !mp_table_check(&depot->stacks, why) || !mp_table_check(&depot->sites, why))
        return false;
    for (uint32_t id = 1; id <= mp_table_count(&depot->stacks); id++) {
        const struct mp_stack *stack = mp_table_peek(&depot->stacks, id);
        if (stack && stack->parent >= id) {
            *why = "a stack is older than its caller";
            return false;
        }
    }
    return true;
}
