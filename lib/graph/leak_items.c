#include "graph/leak_items.h"

#include "base/sort.h"

enum { STRAY = 50 /* of so many blocks that nobody owns, one that somebody does is a stray */ };

static void
count_items(const struct mp_heap *heap, const struct mp_leak_sites *sites, struct mp_leaks *leaks)
{
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        const uint32_t leak = mp_leak_of_site(sites, heap->site[node]);
        assert(leak <= leaks->count);
        if (leak)
            leaks->leaks[leak - 1].objects++;
    }
    for (size_t i = 0; i < heap->buffer_count; i++) {
        const uint32_t leak = mp_leak_of_site(sites, heap->buffers[i].site);
        assert(leak <= leaks->count);
        if (!leak)
            continue;
        struct mp_leak *of = &leaks->leaks[leak - 1];
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
    leaks->items = mp_mem_new((total + 1) * sizeof *leaks->items);
    leaks->item_capacity = leaks->items ? total + 1 : 0;
    return leaks->items != NULL;
}

static void
add_item(struct mp_leaks *leaks, struct mp_leak *leak, uint32_t node)
{
    assert(leak->item_end < leaks->item_capacity);
    leaks->items[leak->item_end++] = node;
}

static int
compare_nodes(const void *left, const void *right, void *unused)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    (void)unused;
    return (a > b) - (a < b);
}

/* Owners of several buffers are one item. */
static void
make_unique(struct mp_leaks *leaks, struct mp_leak *leak)
{
    uint32_t *items = leaks->items + leak->item_begin;
    const uint32_t count = leak->item_end - leak->item_begin;
    uint32_t kept = 0;
    mp_sort(items, count, sizeof *items, (struct mp_comparison){compare_nodes, NULL});
    for (uint32_t i = 0; i < count; i++)
        if (!kept || items[kept - 1] != items[i])
            items[kept++] = items[i];
    leak->item_end = leak->item_begin + kept;
    leak->owners = kept;
}

static void
collect_items(const struct mp_heap *heap, const struct mp_leak_sites *sites,
              struct mp_leaks *leaks)
{
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        const uint32_t leak = mp_leak_of_site(sites, heap->site[node]);
        if (leak)
            add_item(leaks, &leaks->leaks[leak - 1], node);
    }
    for (size_t i = 0; i < heap->buffer_count; i++) {
        const struct mp_buffer *buffer = &heap->buffers[i];
        const uint32_t leak = buffer->owner ? mp_leak_of_site(sites, buffer->site) : 0;
        if (leak && !leaks->leaks[leak - 1].objects && leaks->leaks[leak - 1].buffers)
            add_item(leaks, &leaks->leaks[leak - 1], buffer->owner);
    }
    for (size_t i = 0; i < leaks->count; i++)
        if (!leaks->leaks[i].objects)
            make_unique(leaks, &leaks->leaks[i]);
}

int
mp_leaks_collect(const struct mp_heap *heap, const struct mp_leak_sites *sites,
                 struct mp_leaks *leaks)
{
    count_items(heap, sites, leaks);
    drop_strays(leaks);
    if (!reserve_items(leaks))
        return MP_NO_MEMORY;
    collect_items(heap, sites, leaks);
    return MP_OK;
}

int
mp_leaks_collect_nodes(const struct mp_heap *heap, const uint8_t *wanted, struct mp_leaks *leaks)
{
    assert(leaks->count == 1);
    for (uint32_t node = 1; node <= heap->graph.nodes; node++)
        leaks->leaks[0].objects += wanted[node] != 0;
    if (!reserve_items(leaks))
        return MP_NO_MEMORY;
    for (uint32_t node = 1; node <= heap->graph.nodes; node++)
        if (wanted[node])
            add_item(leaks, &leaks->leaks[0], node);
    return MP_OK;
}
