#include "py/heap/paths.h"

#include <stdlib.h>

#include "py/heap/labels.h"
#include "py/cpython/text.h"

enum {
    KEYS = 64,  /* more children of one group by name are not told apart */
    ABOVE = 8,  /* steps up in which a repetition is looked for */
    NAMES = 16, /* fewer modules or attributes keep their names */
    HEAVY = 8,  /* a key with this part of the objects keeps its name */
    TEXT = 256
};

struct grouping {
    struct mp_paths *paths;
    struct mp_heap *heap;   /* for its names */
    const struct mp_search *search;
    uint32_t *below;        /* by node: wanted objects at or under it */
    uint32_t *depth;
    uint32_t *root_order;   /* indices of roots in order of node and kind */
    uint32_t parent;        /* the node whose children are named */
};

/* ---- groups by key ---------------------------------------------------------------------------- */

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
reserve(struct mp_paths *paths)
{
    if (paths->count + 2 <= paths->capacity)
        return true;
    const size_t old = paths->capacity, count = old ? old * 2 : 256;
    struct mp_path_group *groups =
        old ? mp_mem_grow(paths->groups, old * sizeof *groups, count * sizeof *groups)
            : mp_mem_new(count * sizeof *groups);
    uint32_t *slots = mp_mem_new(count * 2 * sizeof *slots);
    if (groups) {
        paths->groups = groups;
        paths->capacity = (uint32_t)count;
    }
    if (!groups || !slots) {
        mp_mem_free(slots, count * 2 * sizeof *slots);
        paths->failed = true;
        return false;
    }
    mp_mem_free(paths->slots, paths->slot_count * sizeof *slots);
    paths->slots = slots;
    paths->slot_count = count * 2;
    for (uint32_t i = 1; i <= paths->count; i++)
        slots[slot_of(paths, &groups[i])] = i;
    return true;
}

static uint32_t
find_group(const struct mp_paths *paths, const struct mp_path_group *key)
{
    return paths->slot_count ? paths->slots[slot_of(paths, key)] : 0;
}

static uint32_t
intern_group(struct mp_paths *paths, const struct mp_path_group *key)
{
    const uint32_t known = find_group(paths, key);
    if (known || paths->failed || !reserve(paths))
        return known;
    const uint32_t group = ++paths->count;
    paths->groups[group] = *key;
    paths->slots[slot_of(paths, key)] = group;
    return group;
}

static void
enter(struct grouping *grouping, uint32_t node, uint32_t group, int64_t index)
{
    if (!group)
        return;
    struct mp_path_group *entry = &grouping->paths->groups[group];
    if (entry->nodes++ == 0)
        entry->index = index;
    else if (entry->index != index)
        entry->many = 1;
    entry->below += grouping->below[node];
    grouping->paths->group[node] = group;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static bool
is_subscript(uint32_t step)
{
    return step == MP_STEP_KEY || step == MP_STEP_INDEX;
}

static bool
same_step(const struct mp_path_group *a, const struct mp_path_group *b)
{
    return a->step == b->step && a->type == b->type && a->role == b->role && a->parent &&
           (a->name == b->name || is_subscript(a->step));
}

/* The group further up of which `key` would be the third repetition; 0 when there is none. */
static uint32_t
find_repetition(const struct mp_paths *paths, const struct mp_path_group *key)
{
    uint32_t first = 0, at = key->parent;
    if (key->step == MP_STEP_HIDDEN)
        return 0;
    for (int i = 0; i < 2 * ABOVE && at; i++, at = paths->groups[at].parent)
        if (same_step(&paths->groups[at], key)) {
            if (first)
                return first;
            first = at;
        }
    return 0;
}

static uint32_t
name_of(struct grouping *grouping, const struct mp_label *label)
{
    char text[TEXT];
    size_t length = 0;
    if (label->step == MP_STEP_KEY && label->text)
        length = mp_heap_literal(label->text, text, sizeof text);
    else if (label->text)
        length = mp_text_encode(label->text, text, sizeof text);
    else if (label->word)
        return mp_names_intern(&grouping->heap->names, label->word, strlen(label->word));
    return mp_names_intern(&grouping->heap->names, text, length);
}

/* Keys that cannot be told, or too many of them, are one. */
static uint32_t
key_name(struct grouping *grouping, struct mp_path_group *key, const struct mp_label *label)
{
    struct mp_paths *paths = grouping->paths;
    if (find_group(paths, key)) /* the one of many keys */
        return 0;
    const uint32_t name = name_of(grouping, label);
    key->name = name;
    const bool known = find_group(paths, key) != 0;
    key->name = 0;
    if (!known && paths->groups[key->parent].keys++ >= KEYS)
        return 0;
    return name;
}

static void
assign(PyObject *child, const struct mp_label *label, void *data)
{
    struct grouping *grouping = data;
    struct mp_paths *paths = grouping->paths;
    const uint32_t node = mp_heap_find(grouping->heap, (uintptr_t)child);
    if (!node || node == grouping->parent || grouping->search->parent[node] != grouping->parent ||
        !grouping->below[node] || paths->group[node] || paths->failed)
        return;
    struct mp_path_group key = {.parent = paths->group[grouping->parent],
                                .type = mp_heap_alike(grouping->heap, node),
                                .step = (uint8_t)label->step,
                                .role = (uint8_t)label->role};
    if (label->step == MP_STEP_KEY)
        key.name = key_name(grouping, &key, label);
    else
        key.name = name_of(grouping, label);
    const uint32_t repeated = find_repetition(paths, &key);
    if (repeated)
        paths->groups[repeated].folded = 1;
    const int64_t index = label->step == MP_STEP_KEY ? key.name : label->index;
    enter(grouping, node, repeated ? repeated : intern_group(paths, &key), index);
}

static void
name_children(struct grouping *grouping, uint32_t node)
{
    struct mp_paths *paths = grouping->paths;
    const uint32_t group = paths->group[node], above = grouping->search->parent[node];
    const bool is_root = above == node;
    enum mp_role role = (enum mp_role)paths->groups[group].role;
    if (is_root && paths->groups[group].kind == MP_ROOT_THREAD)
        role = MP_ROLE_THREAD;
    grouping->parent = node;
    mp_heap_children(grouping->heap, node, role, is_root ? 0 : above, assign, grouping);
}

/* ---- roots --------------------------------------------------------------------------------------- */

static const struct mp_root *sorted_roots; /* for compare_roots; the GIL guards it */

static int
compare_roots(const void *left, const void *right)
{
    const struct mp_root *a = &sorted_roots[*(const uint32_t *)left];
    const struct mp_root *b = &sorted_roots[*(const uint32_t *)right];
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return (a->kind > b->kind) - (a->kind < b->kind);
}

static void
sort_roots(struct grouping *grouping)
{
    const struct mp_heap *heap = grouping->heap;
    for (uint32_t i = 0; i < heap->root_count; i++)
        grouping->root_order[i] = i;
    sorted_roots = heap->roots;
    qsort(grouping->root_order, heap->root_count, sizeof(uint32_t), compare_roots);
}

static const struct mp_root *
root_of(const struct grouping *grouping, uint32_t node)
{
    const struct mp_heap *heap = grouping->heap;
    uint32_t low = 0, high = heap->root_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (heap->roots[grouping->root_order[middle]].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return &heap->roots[grouping->root_order[low]];
}

static void
assign_root(struct grouping *grouping, uint32_t node)
{
    const struct mp_root *root = root_of(grouping, node);
    const bool counts = root->kind == MP_ROOT_C;
    const struct mp_path_group key = {.type = mp_heap_alike(grouping->heap, node),
                                      .kind = root->kind,
                                      .name = root->name,
                                      .name2 = counts ? 0 : root->name2};
    const uint32_t group = intern_group(grouping->paths, &key);
    enter(grouping, node, group, 0);
    if (group && counts)
        grouping->paths->groups[group].unaccounted += root->name2;
}

/* ---- many keys become one ----------------------------------------------------------------------- */

static bool
can_merge(const struct mp_path_group *group)
{
    if (!group->parent)
        return group->name && group->kind == MP_ROOT_MODULE;
    return group->name && (group->step == MP_STEP_KEY || group->step == MP_STEP_ATTRIBUTE);
}

static bool
are_siblings(const struct mp_path_group *a, const struct mp_path_group *b)
{
    return a->parent == b->parent && a->type == b->type && a->role == b->role &&
           a->step == b->step && can_merge(a) && can_merge(b);
}

/* Of the groups made since `first`, those of few objects each are joined with their siblings.
 * into[i]: what group first + i has become. */
static void
join(struct mp_paths *paths, uint32_t first, uint32_t at, uint32_t *into)
{
    uint64_t total = 0;
    uint32_t siblings = 0, joined = 0;
    struct mp_path_group *groups = paths->groups;
    for (uint32_t g = at; g <= paths->count; g++)
        if (are_siblings(&groups[at], &groups[g])) {
            total += groups[g].below;
            siblings++;
        }
    const bool keys = groups[at].parent && groups[at].step == MP_STEP_KEY;
    if (siblings < (keys ? 2 : NAMES))
        return;
    const uint32_t last = paths->count;
    for (uint32_t g = at; g <= last; g++) {
        if (into[g - first] || !are_siblings(&paths->groups[at], &paths->groups[g]) ||
            (paths->groups[g].below > 1 && paths->groups[g].below * HEAVY >= total))
            continue;
        if (!joined) {
            struct mp_path_group key = paths->groups[g];
            key.name = 0;
            key.many = 1;
            key.nodes = key.below = 0;
            joined = intern_group(paths, &key);
            if (!joined)
                return;
        }
        paths->groups[joined].nodes += paths->groups[g].nodes;
        paths->groups[joined].below += paths->groups[g].below;
        into[g - first] = joined;
    }
}

static void
redirect(struct grouping *grouping, uint32_t begin, uint32_t end, uint32_t first, uint32_t count,
         const uint32_t *into)
{
    uint32_t *group = grouping->paths->group;
    for (uint32_t i = begin; i < end; i++) {
        const uint32_t node = grouping->search->order[i];
        if (group[node] >= first && group[node] - first < count && into[group[node] - first])
            group[node] = into[group[node] - first];
    }
}

/* `begin` to `end`: the nodes whose groups may have been made since `first`. */
static void
merge(struct grouping *grouping, uint32_t begin, uint32_t end, uint32_t first)
{
    struct mp_paths *paths = grouping->paths;
    if (paths->failed || first > paths->count)
        return;
    const uint32_t count = paths->count - first + 1;
    uint32_t *into = mp_mem_new(count * sizeof *into);
    if (!into) {
        paths->failed = true;
        return;
    }
    const uint32_t last = paths->count;
    uint32_t seen = 0; /* the last group whose siblings were looked at */
    for (uint32_t g = first; g <= last; g++) {
        if (into[g - first] || !can_merge(&paths->groups[g]) ||
            (seen && are_siblings(&paths->groups[seen], &paths->groups[g])))
            continue;
        seen = g;
        join(paths, first, g, into);
    }
    redirect(grouping, begin, end, first, count, into);
    mp_mem_free(into, count * sizeof *into);
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static void
count_below(struct grouping *grouping, const uint8_t *wanted)
{
    const struct mp_search *search = grouping->search;
    for (uint32_t i = 0; i < search->count; i++) {
        const uint32_t node = search->order[i], parent = search->parent[node];
        grouping->depth[node] = parent == node ? 0 : grouping->depth[parent] + 1;
        grouping->below[node] = wanted[node] != 0;
    }
    for (uint32_t i = search->count; i-- > 0;) {
        const uint32_t node = search->order[i], parent = search->parent[node];
        if (parent != node)
            grouping->below[parent] += grouping->below[node];
    }
}

/* The nodes at `begin` and after of the same depth; where they end. */
static uint32_t
end_of_level(const struct grouping *grouping, uint32_t begin)
{
    const struct mp_search *search = grouping->search;
    uint32_t end = begin;
    while (end < search->count &&
           grouping->depth[search->order[end]] == grouping->depth[search->order[begin]])
        end++;
    return end;
}

static void
group_all(struct grouping *grouping)
{
    const struct mp_search *search = grouping->search;
    const uint32_t *order = search->order;
    for (uint32_t begin = 0; begin < search->count;) {
        const uint32_t end = end_of_level(grouping, begin), first = grouping->paths->count + 1;
        if (grouping->depth[order[begin]] == 0) {
            for (uint32_t i = begin; i < end; i++)
                if (grouping->below[order[i]])
                    assign_root(grouping, order[i]);
            merge(grouping, begin, end, first);
        }
        const uint32_t first_child = grouping->paths->count + 1;
        for (uint32_t i = begin; i < end && !grouping->paths->failed; i++)
            if (grouping->paths->group[order[i]] && grouping->below[order[i]])
                name_children(grouping, order[i]);
        if (end < search->count)
            merge(grouping, end, end_of_level(grouping, end), first_child);
        begin = end;
    }
}

int
mp_heap_group_paths(const struct mp_heap *heap, const struct mp_search *search,
                    const uint8_t *wanted, struct mp_paths *paths)
{
    const size_t size = ((size_t)heap->graph.nodes + 1) * sizeof(uint32_t);
    const size_t roots = ((size_t)heap->root_count + 1) * sizeof(uint32_t);
    *paths = (struct mp_paths){.heap = heap, .nodes = heap->graph.nodes};
    struct grouping grouping = {.paths = paths, .heap = (struct mp_heap *)(uintptr_t)heap,
                                .search = search};
    paths->group = mp_mem_new(size);
    grouping.below = mp_mem_new(size);
    grouping.depth = mp_mem_new(size);
    grouping.root_order = mp_mem_new(roots);
    if (paths->group && grouping.below && grouping.depth && grouping.root_order) {
        count_below(&grouping, wanted);
        sort_roots(&grouping);
        group_all(&grouping);
    } else {
        paths->failed = true;
    }
    mp_mem_free(grouping.below, size);
    mp_mem_free(grouping.depth, size);
    mp_mem_free(grouping.root_order, roots);
    if (!paths->failed)
        return MP_OK;
    mp_paths_free(paths);
    return MP_NO_MEMORY;
}

void
mp_paths_free(struct mp_paths *paths)
{
    mp_mem_free(paths->group, ((size_t)paths->nodes + 1) * sizeof(uint32_t));
    mp_mem_free(paths->groups, (size_t)paths->capacity * sizeof *paths->groups);
    mp_mem_free(paths->slots, paths->slot_count * sizeof *paths->slots);
    *paths = (struct mp_paths){0};
}
