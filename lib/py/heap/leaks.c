#include "py/heap/leaks.h"

#include <stdlib.h>

#include "py/heap/labels.h"

enum {
    EXACT = 32, /* leaks whose retained size is found by a search of their own */
    STRAY = 50  /* of so many blocks that nobody owns, one that somebody does is a stray */
};

struct work {
    struct mp_heap *heap;
    struct mp_leaks *leaks;
    const uint32_t *leak_of;
    uint32_t sites;
    struct mp_search search;  /* from the roots to everything */
    struct mp_search without; /* the same without the objects of one leak */
    uint8_t *mark;            /* by node */
    uint32_t *scratch;        /* by node */
    uint32_t *starts;
    uint32_t start_count;
};

/* ---- which objects --------------------------------------------------------------------------- */

static uint32_t
leak_of_site(const struct work *work, uint32_t site)
{
    return site && site <= work->sites ? work->leak_of[site] : 0;
}

static void
count_items(struct work *work)
{
    const struct mp_heap *heap = work->heap;
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        const uint32_t leak = leak_of_site(work, heap->site[node]);
        if (leak)
            work->leaks->leaks[leak - 1].objects++;
    }
    for (size_t i = 0; i < heap->buffer_count; i++) {
        const uint32_t leak = leak_of_site(work, heap->buffers[i].site);
        if (!leak)
            continue;
        struct mp_leak *of = &work->leaks->leaks[leak - 1];
        of->buffers += heap->buffers[i].owner != 0;
        of->loose += heap->buffers[i].owner == 0;
        of->buffer_bytes += heap->buffers[i].size;
    }
}

/* A word that was left in some object does not tell what the many blocks are that belong to
 * nobody. */
static void
drop_strays(struct mp_leaks *leaks)
{
    for (size_t i = 0; i < leaks->count; i++) {
        struct mp_leak *leak = &leaks->leaks[i];
        if (!leak->objects && leak->buffers * STRAY < leak->loose)
            leak->buffers = 0;
    }
}

/* Room for the items of each leak, one behind the other. */
static bool
reserve_items(struct mp_leaks *leaks)
{
    size_t total = 0;
    for (size_t i = 0; i < leaks->count; i++) {
        struct mp_leak *leak = &leaks->leaks[i];
        leak->item_begin = leak->item_end = (uint32_t)total;
        total += leak->objects ? leak->objects : leak->buffers;
    }
    leaks->item_capacity = total + 1;
    leaks->items = mp_mem_new(leaks->item_capacity * sizeof *leaks->items);
    return leaks->items != NULL;
}

static int
compare_nodes(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Owners of several buffers are one item. */
static void
make_unique(struct mp_leaks *leaks, struct mp_leak *leak)
{
    uint32_t *items = leaks->items + leak->item_begin;
    const uint32_t count = leak->item_end - leak->item_begin;
    uint32_t kept = 0;
    qsort(items, count, sizeof *items, compare_nodes);
    for (uint32_t i = 0; i < count; i++)
        if (!kept || items[kept - 1] != items[i])
            items[kept++] = items[i];
    leak->item_end = leak->item_begin + kept;
    leak->owners = kept;
}

static void
collect_items(struct work *work)
{
    const struct mp_heap *heap = work->heap;
    struct mp_leaks *leaks = work->leaks;
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        const uint32_t leak = leak_of_site(work, heap->site[node]);
        if (leak)
            leaks->items[leaks->leaks[leak - 1].item_end++] = node;
    }
    for (size_t i = 0; i < heap->buffer_count; i++) {
        const uint32_t leak =
            heap->buffers[i].owner ? leak_of_site(work, heap->buffers[i].site) : 0;
        if (leak && !leaks->leaks[leak - 1].objects && leaks->leaks[leak - 1].buffers)
            leaks->items[leaks->leaks[leak - 1].item_end++] = heap->buffers[i].owner;
    }
    for (size_t i = 0; i < leaks->count; i++)
        if (!leaks->leaks[i].objects)
            make_unique(leaks, &leaks->leaks[i]);
}

/* ---- their types and holders -------------------------------------------------------------------- */

/* Types of the program count a little more than those of C code: of about as many objects born
 * in one line they say more. */
static uint64_t
weight_of(const struct mp_leak_type *type)
{
    return type->objects * (type->plain ? 9 : 10);
}

static int
compare_types(const void *left, const void *right)
{
    const struct mp_leak_type *a = left, *b = right;
    if (weight_of(a) != weight_of(b))
        return weight_of(a) < weight_of(b) ? 1 : -1;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return (a->type > b->type) - (a->type < b->type);
}

static int
compare_holders(const void *left, const void *right)
{
    const struct mp_leak_holder *a = left, *b = right;
    if (a->objects != b->objects)
        return a->objects < b->objects ? 1 : -1;
    return (a->group > b->group) - (a->group < b->group);
}

/* The dict of an instance, the cell of a function ... are told as part of what holds them. */
static void
leave_out_inner(struct work *work, struct mp_leak *leak)
{
    const struct mp_paths *paths = &work->leaks->paths;
    uint32_t *items = work->leaks->items;
    uint32_t kept = leak->item_begin;
    if (!leak->objects)
        return;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++) {
        const uint32_t parent = work->search.parent[items[i]], group = paths->group[items[i]];
        const bool hidden = group && paths->groups[group].parent &&
                            paths->groups[group].step == MP_STEP_HIDDEN;
        const uint32_t above = parent ? leak_of_site(work, work->heap->site[parent]) : 0;
        if (!hidden || above != (uint32_t)(leak - work->leaks->leaks) + 1)
            items[kept++] = items[i];
    }
    leak->item_end = kept;
    leak->objects = kept - leak->item_begin;
}

/* Steps from the root to the objects of a group. */
static uint32_t
depth_of(const struct mp_paths *paths, uint32_t group)
{
    uint32_t depth = 0;
    for (; group && depth < 1000; group = paths->groups[group].parent)
        depth++;
    return depth;
}

/* How many different ones of what of(i) says the items of a leak have; scratch[what] is 1 + its
 * place in the list. Two rounds: to count them, and to fill the list. */
static bool
find_types(struct work *work, struct mp_leak *leak)
{
    const struct mp_heap *heap = work->heap;
    const uint32_t *items = work->leaks->items;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++) {
        uint32_t *place = &work->scratch[mp_heap_alike(heap, items[i])];
        if (!*place)
            *place = ++leak->type_count;
    }
    leak->types = mp_mem_new((leak->type_count + 1) * sizeof *leak->types);
    for (uint32_t i = leak->item_begin; i < leak->item_end && leak->types; i++) {
        struct mp_leak_type *type = &leak->types[work->scratch[mp_heap_alike(heap, items[i])] - 1];
        if (!type->objects)
            type->depth = depth_of(&work->leaks->paths, work->leaks->paths.group[items[i]]);
        type->type = mp_heap_alike(heap, items[i]);
        type->plain = (heap->types[type->type].type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0;
        type->objects++;
        type->bytes += heap->size[items[i]];
    }
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        work->scratch[mp_heap_alike(heap, items[i])] = 0;
    if (leak->types)
        qsort(leak->types, leak->type_count, sizeof *leak->types, compare_types);
    return leak->types != NULL;
}

/* scratch has room for nodes, and there are fewer groups on paths than twice as many. */
static bool
find_holders(struct work *work, struct mp_leak *leak)
{
    const uint32_t *items = work->leaks->items, *group = work->leaks->paths.group;
    uint32_t *place = mp_mem_new(((size_t)work->leaks->paths.count + 1) * sizeof *place);
    if (!place)
        return false;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        if (group[items[i]] && !place[group[items[i]]])
            place[group[items[i]]] = ++leak->holder_count;
    leak->holders = mp_mem_new((leak->holder_count + 1) * sizeof *leak->holders);
    for (uint32_t i = leak->item_begin; i < leak->item_end && leak->holders; i++)
        if (group[items[i]]) {
            struct mp_leak_holder *holder = &leak->holders[place[group[items[i]]] - 1];
            holder->group = group[items[i]];
            holder->objects++;
        }
    mp_mem_free(place, ((size_t)work->leaks->paths.count + 1) * sizeof *place);
    if (leak->holders)
        qsort(leak->holders, leak->holder_count, sizeof *leak->holders, compare_holders);
    return leak->holders != NULL;
}

/* ---- what they retain, and which leak is part of which -------------------------------------------- */

static void
set_marks(struct work *work, const struct mp_leak *leak, uint8_t mark)
{
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        work->mark[work->leaks->items[i]] = mark;
}

/* Are nine tenths of the items of `inner` unreachable now? */
static bool
is_cut_off(const struct work *work, const struct mp_leak *inner)
{
    uint64_t cut = 0;
    const uint64_t all = inner->item_end - inner->item_begin;
    for (uint32_t i = inner->item_begin; i < inner->item_end; i++)
        cut += !work->without.parent[work->leaks->items[i]];
    return all && cut * 10 >= all * 9;
}

static void
note_part(struct mp_leaks *leaks, size_t inner, size_t outer)
{
    const uint32_t before = leaks->leaks[inner].part_of;
    if (!before || leaks->leaks[before - 1].retained < leaks->leaks[outer].retained)
        leaks->leaks[inner].part_of = (uint32_t)outer + 1;
}

static void
find_retained(struct work *work, size_t index, uint8_t *inside)
{
    struct mp_leaks *leaks = work->leaks;
    struct mp_leak *leak = &leaks->leaks[index];
    if (!leak->objects) {
        leak->retained = leak->buffer_bytes;
        return;
    }
    set_marks(work, leak, 1);
    mp_search_clear(&work->without);
    mp_search_from(&work->without, &work->heap->graph, work->starts, work->start_count,
                   work->mark);
    set_marks(work, leak, 0);
    for (uint32_t node = 1; node <= work->heap->graph.nodes; node++)
        if (!work->without.parent[node])
            leak->retained += work->heap->size[node];
    for (size_t other = 0; other < leaks->count; other++)
        inside[other] = other != index && is_cut_off(work, &leaks->leaks[other]);
}

/* Do the items of `outer` hang, within three steps, on those of `inner`, which are containers? */
static bool
is_container_of(const struct work *work, const struct mp_leak *inner, const struct mp_leak *outer)
{
    uint64_t held = 0;
    const uint64_t all = outer->item_end - outer->item_begin;
    for (uint32_t i = outer->item_begin; i < outer->item_end; i++) {
        uint32_t at = work->leaks->items[i];
        bool found = false;
        for (int step = 0; step < 3 && !found; step++) {
            at = work->search.parent[at];
            found = at && work->mark[at];
        }
        held += found;
    }
    (void)inner;
    return all && held * 2 >= all;
}

static void
find_containers(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    for (size_t inner = 0; inner < leaks->count && inner < EXACT; inner++) {
        if (leaks->leaks[inner].objects || leaks->leaks[inner].part_of)
            continue;
        set_marks(work, &leaks->leaks[inner], 1);
        for (size_t outer = 0; outer < leaks->count && outer < EXACT; outer++)
            if (leaks->leaks[outer].objects &&
                is_container_of(work, &leaks->leaks[inner], &leaks->leaks[outer]))
                note_part(leaks, inner, outer);
        set_marks(work, &leaks->leaks[inner], 0);
    }
}

static void
relate(struct work *work, const uint8_t *inside)
{
    struct mp_leaks *leaks = work->leaks;
    const size_t n = leaks->count < EXACT ? leaks->count : EXACT;
    for (size_t outer = 0; outer < n; outer++)
        for (size_t inner = 0; inner < leaks->count; inner++) {
            const bool mutual = inner < n && inside[inner * leaks->count + outer];
            if (inside[outer * leaks->count + inner] &&
                (!mutual || leaks->leaks[outer].retained > leaks->leaks[inner].retained ||
                 (leaks->leaks[outer].retained == leaks->leaks[inner].retained && outer < inner)))
                note_part(leaks, inner, outer);
        }
    find_containers(work);
    for (size_t i = 0; i < leaks->count; i++) { /* to the outermost */
        uint32_t *above = &leaks->leaks[i].part_of;
        for (size_t hops = 0; *above && leaks->leaks[*above - 1].part_of && hops < leaks->count;
             hops++)
            if (leaks->leaks[*above - 1].part_of != i + 1)
                *above = leaks->leaks[*above - 1].part_of;
    }
}

static bool
find_all_retained(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    const size_t n = leaks->count < EXACT ? leaks->count : EXACT;
    uint8_t *inside = mp_mem_new((n + 1) * (leaks->count + 1));
    if (!inside)
        return false;
    for (size_t i = 0; i < leaks->count; i++) {
        if (i < n)
            find_retained(work, i, inside + i * leaks->count);
        else
            for (uint32_t t = 0; t < leaks->leaks[i].type_count; t++)
                leaks->leaks[i].retained += leaks->leaks[i].types[t].bytes;
    }
    relate(work, inside);
    mp_mem_free(inside, (n + 1) * (leaks->count + 1));
    return true;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static void
collect_starts(struct work *work)
{
    for (uint32_t i = 0; i < work->search.count; i++)
        if (work->search.parent[work->search.order[i]] == work->search.order[i])
            work->starts[work->start_count++] = work->search.order[i];
}

static bool
explain(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    bool done = true;
    for (size_t i = 0; i < leaks->count; i++)
        set_marks(work, &leaks->leaks[i], 1);
    if (mp_heap_group_paths(work->heap, &work->search, work->mark, &leaks->paths) != MP_OK)
        return false;
    for (size_t i = 0; i < leaks->count; i++)
        set_marks(work, &leaks->leaks[i], 0);
    collect_starts(work);
    for (size_t i = 0; i < leaks->count; i++)
        leave_out_inner(work, &leaks->leaks[i]);
    for (size_t i = 0; i < leaks->count && done; i++)
        done = find_types(work, &leaks->leaks[i]) && find_holders(work, &leaks->leaks[i]);
    return done && find_all_retained(work);
}

static int
run(struct work *work)
{
    const size_t nodes = (size_t)work->heap->graph.nodes + 1;
    const size_t types = (size_t)work->heap->type_count + 1;
    bool done = mp_heap_search(work->heap, &work->search) == MP_OK;
    work->mark = mp_mem_new(nodes);
    work->scratch = mp_mem_new(types * sizeof(uint32_t));
    work->starts = mp_mem_new(nodes * sizeof(uint32_t));
    done = done && work->mark && work->scratch && work->starts &&
           mp_search_init(&work->without, &work->heap->graph) == MP_OK && explain(work);
    mp_search_free(&work->without);
    mp_mem_free(work->mark, nodes);
    mp_mem_free(work->scratch, types * sizeof(uint32_t));
    mp_mem_free(work->starts, nodes * sizeof(uint32_t));
    mp_search_free(&work->search);
    if (done)
        return MP_OK;
    mp_leaks_free(work->leaks);
    return MP_NO_MEMORY;
}

static bool
open_leaks(struct mp_leaks *leaks, size_t count)
{
    *leaks = (struct mp_leaks){.count = count};
    leaks->leaks = mp_mem_new((count + 1) * sizeof *leaks->leaks);
    return leaks->leaks != NULL;
}

int
mp_heap_explain(struct mp_heap *heap, const uint32_t *leak_of, uint32_t sites, size_t count,
                struct mp_leaks *leaks)
{
    struct work work = {.heap = heap, .leaks = leaks, .leak_of = leak_of, .sites = sites};
    if (!open_leaks(leaks, count))
        return MP_NO_MEMORY;
    count_items(&work);
    drop_strays(leaks);
    if (!reserve_items(leaks)) {
        mp_leaks_free(leaks);
        return MP_NO_MEMORY;
    }
    collect_items(&work);
    return run(&work);
}

int
mp_heap_explain_nodes(struct mp_heap *heap, const uint8_t *wanted, struct mp_leaks *leaks)
{
    struct work work = {.heap = heap, .leaks = leaks};
    if (!open_leaks(leaks, 1))
        return MP_NO_MEMORY;
    for (uint32_t node = 1; node <= heap->graph.nodes; node++)
        leaks->leaks[0].objects += wanted[node] != 0;
    if (!reserve_items(leaks)) {
        mp_leaks_free(leaks);
        return MP_NO_MEMORY;
    }
    for (uint32_t node = 1; node <= heap->graph.nodes; node++)
        if (wanted[node])
            leaks->items[leaks->leaks[0].item_end++] = node;
    return run(&work);
}

void
mp_leaks_free(struct mp_leaks *leaks)
{
    for (size_t i = 0; i < leaks->count && leaks->leaks; i++) {
        struct mp_leak *leak = &leaks->leaks[i];
        mp_mem_free(leak->types, (leak->type_count + 1) * sizeof *leak->types);
        mp_mem_free(leak->holders, (leak->holder_count + 1) * sizeof *leak->holders);
    }
    mp_mem_free(leaks->leaks, (leaks->count + 1) * sizeof *leaks->leaks);
    mp_mem_free(leaks->items, leaks->item_capacity * sizeof *leaks->items);
    mp_paths_free(&leaks->paths);
    *leaks = (struct mp_leaks){0};
}
