#include "graph/path_groups.h"

#include "base/array.h"

enum { FIRST_SLOTS = 512 };

static uint64_t
hash_group(const struct mp_path_group *group)
{
    uint64_t hash = mp_hash_mix(group->parent, group->type);
    hash = mp_hash_mix(hash, (uint64_t)group->name << 32 | group->name2);
    return mp_hash_mix(hash, (uint64_t)group->kind << 16 | (uint64_t)group->step << 8 |
                                 group->role);
}

static bool
same_group(const struct mp_path_group *a, const struct mp_path_group *b)
{
    return a->parent == b->parent && a->type == b->type && a->name == b->name &&
           a->name2 == b->name2 && a->kind == b->kind && a->step == b->step && a->role == b->role;
}

/* The slot of a group, or a free one. There is one. */
static size_t
slot_of(const struct mp_paths *paths, const struct mp_path_group *group)
{
    const size_t mask = paths->slot_count - 1;
    size_t slot = hash_group(group) >> 16 & mask;
    while (paths->slots[slot] && !same_group(&paths->groups[paths->slots[slot]], group))
        slot = (slot + 1) & mask;
    return slot;
}

static bool
grow_slots(struct mp_paths *paths)
{
    const size_t count = paths->slot_count ? paths->slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = mp_mem_new(count * sizeof *slots);
    if (!slots)
        return false;
    mp_mem_free(paths->slots, paths->slot_count * sizeof *paths->slots);
    paths->slots = slots;
    paths->slot_count = count;
    for (uint32_t i = 1; i <= paths->count; i++)
        slots[slot_of(paths, &paths->groups[i])] = i;
    return true;
}

/* Room for one group more. */
static bool
reserve(struct mp_paths *paths)
{
    const size_t count = (size_t)paths->count + 1;
    paths->failed = !MP_ARRAY_RESERVE(paths->groups, paths->capacity, count + 1) ||
                    (count * 2 > paths->slot_count && !grow_slots(paths));
    return !paths->failed;
}

uint32_t
mp_paths_find(const struct mp_paths *paths, const struct mp_path_group *key)
{
    return paths->slot_count ? paths->slots[slot_of(paths, key)] : 0;
}

uint32_t
mp_paths_intern(struct mp_paths *paths, const struct mp_path_group *key)
{
    assert(key->parent <= paths->count && key->kind < MP_ROOTS && key->step < MP_STEPS);
    const uint32_t known = mp_paths_find(paths, key);
    if (known || paths->failed || !reserve(paths))
        return known;
    const uint32_t group = ++paths->count;
    paths->groups[group] = *key;
    paths->slots[slot_of(paths, key)] = group;
    return group;
}

void
mp_paths_free(struct mp_paths *paths)
{
    mp_mem_free(paths->group, ((size_t)paths->nodes + 1) * sizeof(uint32_t));
    mp_mem_free(paths->groups, paths->capacity * sizeof *paths->groups);
    mp_mem_free(paths->slots, paths->slot_count * sizeof *paths->slots);
    *paths = (struct mp_paths){0};
}
