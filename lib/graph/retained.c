#include "graph/retained.h"

enum { EXACT = 32 /* leaks whose retained size is found by a search of their own */ };

struct work {
    const struct mp_heap *heap;
    struct mp_leaks *leaks;
    const struct mp_search *search; /* from the roots to everything */
    struct mp_search without;       /* the same without the objects of one leak */
    uint8_t *mark;                  /* by node; all 0 between two questions */
    uint32_t *starts;               /* of the search */
    uint32_t start_count;
    uint8_t *inside; /* inside[outer * leaks + inner], of the first EXACT: is inner cut off? */
};

static size_t
exact_count(const struct mp_leaks *leaks)
{
    return leaks->count < EXACT ? leaks->count : EXACT;
}

static void
set_marks(struct work *work, const struct mp_leak *leak, uint8_t mark)
{
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++)
        work->mark[work->leaks->items[i]] = mark;
}

/* ---- retained sizes ----------------------------------------------------------------------- */

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
search_without(struct work *work, const struct mp_leak *leak)
{
    set_marks(work, leak, 1);
    mp_search_clear(&work->without);
    mp_search_from(&work->without, work->starts, work->start_count, work->mark);
    set_marks(work, leak, 0);
}

static void
find_retained(struct work *work, size_t index)
{
    struct mp_leaks *leaks = work->leaks;
    struct mp_leak *leak = &leaks->leaks[index];
    if (!leak->objects) {
        leak->retained = leak->buffer_bytes;
        return;
    }
    search_without(work, leak);
    for (uint32_t node = 1; node <= work->heap->graph.nodes; node++)
        if (!work->without.parent[node])
            leak->retained += work->heap->size[node];
    for (size_t other = 0; other < leaks->count; other++)
        work->inside[index * leaks->count + other] =
            other != index && is_cut_off(work, &leaks->leaks[other]);
}

static void
add_type_sizes(struct mp_leak *leak)
{
    for (uint32_t i = 0; i < leak->type_count; i++)
        leak->retained += leak->types[i].bytes;
}

/* ---- which is part of which --------------------------------------------------------------- */

static void
note_part(struct mp_leaks *leaks, size_t inner, size_t outer)
{
    const uint32_t before = leaks->leaks[inner].part_of;
    assert(inner != outer);
    if (!before || leaks->leaks[before - 1].retained < leaks->leaks[outer].retained)
        leaks->leaks[inner].part_of = (uint32_t)outer + 1;
}

/* Of two that cut each other off the one that retains more is the outer one, or the first. */
static bool
is_outer(const struct work *work, size_t outer, size_t inner)
{
    const struct mp_leaks *leaks = work->leaks;
    const bool mutual =
        inner < exact_count(leaks) && work->inside[inner * leaks->count + outer];
    const uint64_t a = leaks->leaks[outer].retained, b = leaks->leaks[inner].retained;
    return !mutual || a > b || (a == b && outer < inner);
}

static void
relate_by_cuts(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    for (size_t outer = 0; outer < exact_count(leaks); outer++)
        for (size_t inner = 0; inner < leaks->count; inner++)
            if (work->inside[outer * leaks->count + inner] && is_outer(work, outer, inner))
                note_part(leaks, inner, outer);
}

/* Do half of a leak's items hang, within three steps, on what is marked? */
static bool
hangs_on_marked(const struct work *work, const struct mp_leak *leak)
{
    uint64_t held = 0;
    const uint64_t all = leak->item_end - leak->item_begin;
    for (uint32_t i = leak->item_begin; i < leak->item_end; i++) {
        uint32_t at = work->leaks->items[i];
        bool found = false;
        for (int step = 0; step < 3 && !found; step++) {
            at = work->search->parent[at];
            found = at && work->mark[at];
        }
        held += found;
    }
    return all && held * 2 >= all;
}

/* Leaks of buffers: their owners are containers of another leak's objects. */
static void
relate_containers(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    const size_t exact = exact_count(leaks);
    for (size_t inner = 0; inner < exact; inner++) {
        if (leaks->leaks[inner].objects || leaks->leaks[inner].part_of)
            continue;
        set_marks(work, &leaks->leaks[inner], 1);
        for (size_t outer = 0; outer < exact; outer++)
            if (leaks->leaks[outer].objects && hangs_on_marked(work, &leaks->leaks[outer]))
                note_part(leaks, inner, outer);
        set_marks(work, &leaks->leaks[inner], 0);
    }
}

/* The part of a part is part of the outermost. */
static void
lead_to_outermost(struct mp_leaks *leaks)
{
    for (size_t i = 0; i < leaks->count; i++) {
        uint32_t *above = &leaks->leaks[i].part_of;
        for (size_t hops = 0; *above && leaks->leaks[*above - 1].part_of && hops < leaks->count;
             hops++)
            if (leaks->leaks[*above - 1].part_of != i + 1)
                *above = leaks->leaks[*above - 1].part_of;
    }
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void
collect_starts(struct work *work)
{
    const struct mp_search *search = work->search;
    for (uint32_t i = 0; i < search->count; i++)
        if (search->parent[search->order[i]] == search->order[i])
            work->starts[work->start_count++] = search->order[i];
}

static void
find_all(struct work *work)
{
    struct mp_leaks *leaks = work->leaks;
    collect_starts(work);
    for (size_t i = 0; i < leaks->count; i++)
        if (i < exact_count(leaks))
            find_retained(work, i);
        else
            add_type_sizes(&leaks->leaks[i]);
    relate_by_cuts(work);
    relate_containers(work);
    lead_to_outermost(leaks);
}

int
mp_leaks_find_retained(const struct mp_heap *heap, const struct mp_search *search,
                       struct mp_leaks *leaks)
{
    const size_t nodes = (size_t)heap->graph.nodes + 1;
    const size_t pairs = (exact_count(leaks) + 1) * (leaks->count + 1);
    struct work work = {.heap = heap, .leaks = leaks, .search = search};
    assert(search->count == heap->graph.nodes);
    work.mark = mp_mem_new(nodes);
    work.starts = mp_mem_new(nodes * sizeof *work.starts);
    work.inside = mp_mem_new(pairs);
    const bool ready = mp_search_init(&work.without, &heap->graph) == MP_OK && work.mark &&
                       work.starts && work.inside;
    if (ready)
        find_all(&work);
    mp_search_free(&work.without);
    mp_mem_free(work.mark, nodes);
    mp_mem_free(work.starts, nodes * sizeof *work.starts);
    mp_mem_free(work.inside, pairs);
    return ready ? MP_OK : MP_NO_MEMORY;
}
