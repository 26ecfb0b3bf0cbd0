#include "graph/paths.h"

#include <string.h>

#include "base/sort.h"
#include "graph/path_merge.h"

enum {
    KEYS = 64,  /* more children of one group by name are not told apart */
    ABOVE = 8,  /* steps up in which a repetition is looked for */
    TEXT = 256
};

struct grouping {
    struct mp_paths *paths;
    struct mp_heap *heap; /* for its names */
    const struct mp_inspector *inspector;
    const struct mp_search *search;
    uint32_t *below;      /* by node: wanted objects at or under it */
    uint32_t *depth;
    uint32_t *root_order; /* indices of roots in order of node and kind */
    uint32_t parent;      /* the node whose children are named */
};

static void
enter(struct grouping *grouping, uint32_t node, uint32_t group, int64_t index)
{
    if (!group)
        return;
    assert(group <= grouping->paths->count && !grouping->paths->group[node]);
    struct mp_path_group *entry = &grouping->paths->groups[group];
    if (entry->nodes++ == 0)
        entry->index = index;
    else if (entry->index != index)
        entry->many = 1;
    entry->below += grouping->below[node];
    grouping->paths->group[node] = group;
}

/* ---- steps -------------------------------------------------------------------------------- */

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
    struct mp_names *names = &grouping->heap->names;
    char text[TEXT];
    if (!label->text)
        return label->word ? mp_names_intern(names, label->word, strlen(label->word)) : 0;
    const size_t length =
        grouping->inspector->text(grouping->inspector, label, text, sizeof text);
    assert(length <= sizeof text);
    return mp_names_intern(names, text, length);
}

/* Keys that cannot be told, or too many of them, are one. */
static uint32_t
key_name(struct grouping *grouping, struct mp_path_group *key, const struct mp_label *label)
{
    struct mp_paths *paths = grouping->paths;
    if (mp_paths_find(paths, key)) /* the one of many keys */
        return 0;
    const uint32_t name = name_of(grouping, label);
    key->name = name;
    const bool known = mp_paths_find(paths, key) != 0;
    key->name = 0;
    if (!known && paths->groups[key->parent].keys++ >= KEYS)
        return 0;
    return name;
}

/* Is it by this node that the child is reached on its path, and has it no group yet? */
static bool
is_to_be_named(const struct grouping *grouping, uint32_t child)
{
    return child && child != grouping->parent &&
           grouping->search->parent[child] == grouping->parent && grouping->below[child] &&
           !grouping->paths->group[child] && !grouping->paths->failed;
}

static void
assign(uint32_t child, const struct mp_label *label, void *data)
{
    struct grouping *grouping = data;
    struct mp_paths *paths = grouping->paths;
    if (!is_to_be_named(grouping, child))
        return;
    struct mp_path_group key = {.parent = paths->group[grouping->parent],
                                .type = mp_heap_alike(grouping->heap, child),
                                .step = (uint8_t)label->step,
                                .role = (uint8_t)label->role};
    assert(key.parent && label->step < MP_STEPS && label->role < MP_ROLES);
    if (label->step == MP_STEP_KEY)
        key.name = key_name(grouping, &key, label);
    else
        key.name = name_of(grouping, label);
    const uint32_t repeated = find_repetition(paths, &key);
    if (repeated)
        paths->groups[repeated].folded = 1;
    const int64_t index = label->step == MP_STEP_KEY ? key.name : label->index;
    enter(grouping, child, repeated ? repeated : mp_paths_intern(paths, &key), index);
}

static void
name_children(struct grouping *grouping, uint32_t node)
{
    const struct mp_path_group *group = &grouping->paths->groups[grouping->paths->group[node]];
    const uint32_t above = grouping->search->parent[node];
    const bool is_root = above == node;
    struct mp_held held = {node, (enum mp_role)group->role, is_root ? 0 : above};
    if (is_root && group->kind == MP_ROOT_THREAD)
        held.role = MP_ROLE_THREAD;
    grouping->parent = node;
    grouping->inspector->children(grouping->inspector, &held, assign, grouping);
}

/* ---- roots -------------------------------------------------------------------------------- */

/* Of one node and kind the first one found. */
static int
compare_roots(const void *left, const void *right, void *context)
{
    const uint32_t i = *(const uint32_t *)left, j = *(const uint32_t *)right;
    const struct mp_root *roots = context, *a = &roots[i], *b = &roots[j];
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (i > j) - (i < j);
}

static void
sort_roots(struct grouping *grouping)
{
    const struct mp_heap *heap = grouping->heap;
    for (uint32_t i = 0; i < heap->root_count; i++)
        grouping->root_order[i] = i;
    mp_sort(grouping->root_order, heap->root_count, sizeof *grouping->root_order,
            (struct mp_comparison){compare_roots, heap->roots});
}

/* The root that a start node of the search is. */
static const struct mp_root *
root_of(const struct grouping *grouping, uint32_t node)
{
    const struct mp_root *roots = grouping->heap->roots;
    uint32_t low = 0, high = grouping->heap->root_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (roots[grouping->root_order[middle]].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < grouping->heap->root_count && roots[grouping->root_order[low]].node == node);
    return &roots[grouping->root_order[low]];
}

static void
assign_root(struct grouping *grouping, uint32_t node)
{
    const struct mp_root *root = root_of(grouping, node);
    const struct mp_path_group key = {.type = mp_heap_alike(grouping->heap, node),
                                      .kind = root->kind,
                                      .name = root->name,
                                      .name2 = root->name2};
    const uint32_t group = mp_paths_intern(grouping->paths, &key);
    enter(grouping, node, group, 0);
    if (group)
        grouping->paths->groups[group].unaccounted += root->references;
}

/* ---- all of it ---------------------------------------------------------------------------- */

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
merge(struct grouping *grouping, uint32_t begin, uint32_t end, uint32_t first_group)
{
    mp_paths_merge(grouping->paths,
                   &(struct mp_path_level){grouping->search->order + begin, end - begin,
                                           first_group});
}

static void
group_roots(struct grouping *grouping, uint32_t begin, uint32_t end)
{
    const uint32_t *order = grouping->search->order, first = grouping->paths->count + 1;
    for (uint32_t i = begin; i < end; i++)
        if (grouping->below[order[i]])
            assign_root(grouping, order[i]);
    merge(grouping, begin, end, first);
}

static void
group_all(struct grouping *grouping)
{
    const struct mp_search *search = grouping->search;
    const struct mp_paths *paths = grouping->paths;
    for (uint32_t begin = 0, end; begin < search->count; begin = end) {
        end = end_of_level(grouping, begin);
        if (grouping->depth[search->order[begin]] == 0)
            group_roots(grouping, begin, end);
        const uint32_t first_child = paths->count + 1;
        for (uint32_t i = begin; i < end && !paths->failed; i++)
            if (paths->group[search->order[i]] && grouping->below[search->order[i]])
                name_children(grouping, search->order[i]);
        if (end < search->count)
            merge(grouping, end, end_of_level(grouping, end), first_child);
    }
}

int
mp_heap_group_paths(const struct mp_inspector *inspector, const struct mp_search *search,
                    const uint8_t *wanted, struct mp_paths *paths)
{
    struct mp_heap *heap = inspector->heap;
    const size_t size = ((size_t)heap->graph.nodes + 1) * sizeof(uint32_t);
    const size_t roots = ((size_t)heap->root_count + 1) * sizeof(uint32_t);
    assert(search->nodes == heap->graph.nodes);
    *paths = (struct mp_paths){.heap = heap, .nodes = heap->graph.nodes};
    struct grouping grouping = {.paths = paths, .heap = heap, .inspector = inspector,
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
