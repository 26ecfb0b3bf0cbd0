#include "graph/leaks.h"

#include "base/sort.h"
#include "graph/leak_items.h"
#include "graph/paths.h"
#include "graph/retained.h"
#include "graph/search.h"

enum { DEEP = 1000 /* deeper is not told apart */ };

struct work {
    const struct mp_inspector *inspector;
    const struct mp_heap *heap;
    const struct mp_leak_sites *sites; /* NULL: one leak of nodes */
    struct mp_leaks *leaks;
    struct mp_search search; /* from the roots to everything */
    uint32_t *place;         /* by type: 1 + its place in the list; all 0 between two leaks */
};

/* ---- their types -------------------------------------------------------------------------- */

/* Types of the program count a little more than those of C code: of about as many objects born
 * in one line they say more. */
static uint64_t
weight_of(const struct mp_leak_type *type)
{
    return type->objects * (type->plain ? 9 : 10);
}

static int
compare_types(const void *left, const void *right, void *unused)
{
    const struct mp_leak_type *a = left, *b = right;
    (void)unused;
    if (weight_of(a) != weight_of(b))
        return weight_of(a) < weight_of(b) ? 1 : -1;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return (a->type > b->type) - (a->type < b->type);
}

/* Steps from the root to the objects of a group. */
static uint32_t
depth_of(const struct mp_paths *paths, uint32_t group)
{
    uint32_t depth = 0;
    for (; group && depth < DEEP; group = paths->groups[group].parent)
        depth++;
    return depth;
}

static void
add_to_type(const struct work *work, struct mp_leak_type *type, uint32_t node)
{
    const struct mp_heap *heap = work->heap;
    if (!type->objects) {
        type->type = mp_heap_alike(heap, node);
        type->plain = heap->types[type->type].built_in;
        type->depth = depth_of(&work->leaks->paths, work->leaks->paths.group[node]);
    }
    assert(type->type == mp_heap_alike(heap, node));
    type->objects++;
    type->bytes += heap->size[node];
}

/* Two rounds: to count the types, and to fill the list. */
static bool
find_types(struct work *work, struct mp_leak *leak)
{
    const uint32_t *items = work->leaks->items;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++) {
        uint32_t *place = &work->place[mp_heap_alike(work->heap, items[i])];
        if (!*place)
            *place = ++leak->type_count;
    }
    leak->types = mp_mem_new(((size_t)leak->type_count + 1) * sizeof *leak->types);
    for (uint32_t i = leak->item_begin; i < leak->item_end && leak->types; i++)
        add_to_type(work, &leak->types[work->place[mp_heap_alike(work->heap, items[i])] - 1],
                    items[i]);
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        work->place[mp_heap_alike(work->heap, items[i])] = 0;
    if (leak->types)
        mp_sort(leak->types, leak->type_count, sizeof *leak->types,
                (struct mp_comparison){compare_types, NULL});
    return leak->types != NULL;
}

/* ---- their holders ------------------------------------------------------------------------ */

static int
compare_holders(const void *left, const void *right, void *unused)
{
    const struct mp_leak_holder *a = left, *b = right;
    (void)unused;
    if (a->objects != b->objects)
        return a->objects < b->objects ? 1 : -1;
    return (a->group > b->group) - (a->group < b->group);
}

static bool
find_holders(struct work *work, struct mp_leak *leak)
{
    const uint32_t *items = work->leaks->items, *group = work->leaks->paths.group;
    const size_t size = ((size_t)work->leaks->paths.count + 1) * sizeof(uint32_t);
    uint32_t *place = mp_mem_new(size); /* by group: 1 + its place in the list */
    if (!place)
        return false;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        if (group[items[i]] && !place[group[items[i]]])
            place[group[items[i]]] = ++leak->holder_count;
    leak->holders = mp_mem_new(((size_t)leak->holder_count + 1) * sizeof *leak->holders);
    for (uint32_t i = leak->item_begin; i < leak->item_end && leak->holders; i++)
        if (group[items[i]]) {
            struct mp_leak_holder *holder = &leak->holders[place[group[items[i]]] - 1];
            holder->group = group[items[i]];
            holder->objects++;
        }
    mp_mem_free(place, size);
    if (leak->holders)
        mp_sort(leak->holders, leak->holder_count, sizeof *leak->holders,
                (struct mp_comparison){compare_holders, NULL});
    return leak->holders != NULL;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* Is it the dict of an instance, the cell of a function ...? */
static bool
is_inner(const struct mp_paths *paths, uint32_t node)
{
    const uint32_t group = paths->group[node];
    return group && paths->groups[group].parent && paths->groups[group].step == MP_STEP_HIDDEN;
}

/* Such objects are told as part of what holds them, where that is of the same leak. */
static void
leave_out_inner(struct work *work, size_t index)
{
    struct mp_leak *leak = &work->leaks->leaks[index];
    uint32_t *items = work->leaks->items;
    uint32_t kept = leak->item_begin;
    if (!work->sites || !leak->objects)
        return;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++) {
        const uint32_t parent = work->search.parent[items[i]];
        const uint32_t above = parent ? work->heap->site[parent] : 0;
        if (!is_inner(&work->leaks->paths, items[i]) ||
            mp_leak_of_site(work->sites, above) != index + 1)
            items[kept++] = items[i];
    }
    leak->item_end = kept;
    leak->objects = kept - leak->item_begin;
}

/* Group the paths to all items. */
static int
find_paths(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    const size_t size = (size_t)work->heap->graph.nodes + 1;
    uint8_t *wanted = mp_mem_new(size);
    if (!wanted)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < leaks->count; i++)
        for (uint32_t at = leaks->leaks[i].item_begin; at < leaks->leaks[i].item_end; at++)
            wanted[leaks->items[at]] = 1;
    const int status = mp_heap_group_paths(work->inspector, &work->search, wanted, &leaks->paths);
    mp_mem_free(wanted, size);
    return status;
}

static bool
find_types_and_holders(struct work *work)
{
    const size_t size = ((size_t)work->heap->type_count + 1) * sizeof *work->place;
    bool done = (work->place = mp_mem_new(size)) != NULL;
    for (size_t i = 0; i < work->leaks->count && done; i++)
        done = find_types(work, &work->leaks->leaks[i]) &&
               find_holders(work, &work->leaks->leaks[i]);
    mp_mem_free(work->place, size);
    return done;
}

static int
explain(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    if (find_paths(work) != MP_OK)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < leaks->count; i++)
        leave_out_inner(work, i);
    if (!find_types_and_holders(work))
        return MP_NO_MEMORY;
    return mp_leaks_find_retained(work->heap, &work->search, leaks);
}

/* The items are there, or `status` says that they are not. */
static int
run(struct work *work, int status)
{
    if (status == MP_OK)
        status = mp_heap_search(work->inspector, &work->search);
    if (status == MP_OK)
        status = explain(work);
    mp_search_free(&work->search);
    if (status != MP_OK)
        mp_leaks_free(work->leaks);
    return status;
}

static bool
open_leaks(struct mp_leaks *leaks, size_t count)
{
    *leaks = (struct mp_leaks){.count = count};
    leaks->leaks = mp_mem_new((count + 1) * sizeof *leaks->leaks);
    return leaks->leaks != NULL;
}

int
mp_heap_explain(const struct mp_inspector *inspector, const struct mp_leak_sites *sites,
                struct mp_leaks *leaks)
{
    struct work work = {.inspector = inspector, .heap = inspector->heap, .sites = sites,
                        .leaks = leaks};
    return run(&work, open_leaks(leaks, sites->leaks) ? mp_leaks_collect(work.heap, sites, leaks)
                                                      : MP_NO_MEMORY);
}

int
mp_heap_explain_nodes(const struct mp_inspector *inspector, const uint8_t *wanted,
                      struct mp_leaks *leaks)
{
    struct work work = {.inspector = inspector, .heap = inspector->heap, .leaks = leaks};
    return run(&work, open_leaks(leaks, 1) ? mp_leaks_collect_nodes(work.heap, wanted, leaks)
                                           : MP_NO_MEMORY);
}

void
mp_leaks_free(struct mp_leaks *leaks)
{
    for (size_t i = 0; i < leaks->count && leaks->leaks; i++) {
        struct mp_leak *leak = &leaks->leaks[i];
        mp_mem_free(leak->types, ((size_t)leak->type_count + 1) * sizeof *leak->types);
        mp_mem_free(leak->holders, ((size_t)leak->holder_count + 1) * sizeof *leak->holders);
    }
    mp_mem_free(leaks->leaks, (leaks->count + 1) * sizeof *leaks->leaks);
    mp_mem_free(leaks->items, leaks->item_capacity * sizeof *leaks->items);
    mp_paths_free(&leaks->paths);
    *leaks = (struct mp_leaks){0};
}
