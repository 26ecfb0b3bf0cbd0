#include "graph/path_groups.h"

enum { FIRST = 256 };

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
grow_groups(struct mp_paths *paths)
{
    const size_t old = paths->capacity, count = old ? old * 2 : FIRST;
    struct mp_path_group *groups = paths->groups;
    groups = old ? mp_mem_grow(groups, old * sizeof *groups, count * sizeof *groups)
                 : mp_mem_new(count * sizeof *groups);
    if (!groups)
        return false;
    paths->groups = groups;
    paths->capacity = (uint32_t)count;
    return true;
}

static bool
grow_slots(struct mp_paths *paths, size_t count)
{
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

static bool
reserve(struct mp_paths *paths)
{
    if (paths->count + 2 <= paths->capacity)
        return true;
    paths->failed = !grow_groups(paths) || !grow_slots(paths, (size_t)paths->capacity * 2);
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
    mp_mem_free(paths->groups, (size_t)paths->capacity * sizeof *paths->groups);
    mp_mem_free(paths->slots, paths->slot_count * sizeof *paths->slots);
    *paths = (struct mp_paths){0};
}
