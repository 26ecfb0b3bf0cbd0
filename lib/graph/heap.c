#include "graph/heap.h"

#include "base/array.h"

enum { FIRST_NODES = 1 << 14, FIRST_EDGES = 1 << 16, FIRST_SLOTS = 1 << 11 };

/* ---- memory ------------------------------------------------------------------------------- */

static bool
fail(struct mp_heap *heap)
{
    heap->failed = true;
    return false;
}

/* Room for `needed` items of an array of the heap; false and `failed` when there is no memory. */
#define RESERVE(heap, items, capacity, needed)                                               \
    (MP_ARRAY_RESERVE((heap)->items, (heap)->capacity, needed) || fail(heap))

/* An array that is not grown like others: those by node all at once, the edges, which are most of
 * a heap, by less. */
struct array {
    void *at; /* address of the pointer to the items */
    size_t item;
};

static bool
grow(struct mp_heap *heap, struct array array, size_t old_count, size_t count)
{
    void **at = array.at;
    assert(count > old_count && (*at != NULL) == (old_count != 0));
    void *grown = mp_mem_grow(*at, old_count * array.item, count * array.item);
    if (!grown)
        return fail(heap);
    *at = grown;
    return true;
}

enum { NODE_ARRAYS = 5 };

static void
list_node_arrays(struct mp_heap *heap, struct array arrays[NODE_ARRAYS])
{
    arrays[0] = (struct array){&heap->address, sizeof *heap->address};
    arrays[1] = (struct array){&heap->size, sizeof *heap->size};
    arrays[2] = (struct array){&heap->type, sizeof *heap->type};
    arrays[3] = (struct array){&heap->site, sizeof *heap->site};
    arrays[4] = (struct array){&heap->graph.first, sizeof *heap->graph.first};
}

static size_t
next_node_capacity(const struct mp_heap *heap)
{
    return heap->node_capacity ? (size_t)heap->node_capacity * 2 : FIRST_NODES;
}

static bool
grow_nodes(struct mp_heap *heap)
{
    const size_t count = next_node_capacity(heap);
    struct array arrays[NODE_ARRAYS];
    if (heap->failed || count >= UINT32_MAX / 2)
        return fail(heap);
    list_node_arrays(heap, arrays);
    for (; heap->nodes_grown < NODE_ARRAYS; heap->nodes_grown++)
        if (!grow(heap, arrays[heap->nodes_grown], heap->node_capacity, count))
            return false;
    heap->nodes_grown = 0;
    heap->node_capacity = (uint32_t)count;
    return true;
}

static void
free_nodes(struct mp_heap *heap)
{
    struct array arrays[NODE_ARRAYS];
    list_node_arrays(heap, arrays);
    for (uint32_t i = 0; i < NODE_ARRAYS; i++) {
        const size_t count =
            i < heap->nodes_grown ? next_node_capacity(heap) : heap->node_capacity;
        mp_mem_free(*(void **)arrays[i].at, count * arrays[i].item);
    }
}

bool
mp_heap_grow_edges(struct mp_heap *heap)
{
    const size_t old = heap->edge_capacity, count = old ? old + old / 2 : FIRST_EDGES;
    if (heap->failed || count >= UINT32_MAX)
        return fail(heap);
    if (!grow(heap, (struct array){&heap->graph.target, sizeof *heap->graph.target}, old, count))
        return false;
    heap->edge_capacity = (uint32_t)count;
    return true;
}

#define FREE(array, count) mp_mem_free(array, (size_t)(count) * sizeof *(array))

void
mp_heap_free(struct mp_heap *heap)
{
    free_nodes(heap);
    FREE(heap->graph.target, heap->edge_capacity);
    FREE(heap->types, heap->type_capacity);
    FREE(heap->type_slots, heap->type_slot_count);
    FREE(heap->first_named, heap->first_named_count);
    FREE(heap->roots, heap->root_capacity);
    FREE(heap->buffers, heap->buffer_capacity);
    mp_places_destroy(&heap->places);
    mp_names_destroy(&heap->names);
    *heap = (struct mp_heap){0};
}

size_t
mp_heap_memory(const struct mp_heap *heap)
{
    return heap->node_capacity * (sizeof *heap->address + sizeof *heap->size +
                                  sizeof *heap->type + sizeof *heap->site +
                                  sizeof *heap->graph.first) +
           heap->edge_capacity * sizeof *heap->graph.target +
           mp_places_memory(&heap->places) +
           heap->type_capacity * sizeof *heap->types +
           heap->buffer_capacity * sizeof *heap->buffers;
}

/* ---- nodes and edges ---------------------------------------------------------------------- */

static void
set_place(struct mp_heap *heap, uintptr_t address, uint32_t number)
{
    if (mp_places_set(&heap->places, address, number) != MP_OK)
        heap->failed = true;
}

uint32_t
mp_heap_add_node(struct mp_heap *heap, uintptr_t address, uint32_t type)
{
    assert(address && type && type <= heap->type_count);
    if (heap->failed || (heap->graph.nodes + 3 > heap->node_capacity && !grow_nodes(heap)))
        return 0;
    const uint32_t node = ++heap->graph.nodes;
    assert(node < MP_HEAP_BUFFER);
    heap->address[node] = address;
    heap->type[node] = type;
    set_place(heap, address, node);
    return node;
}

/* Each row moves up by as much as is put into those before it, the last one first. room[n]: how
 * many edges node n gets; afterwards where they go. */
static void
make_room(struct mp_graph *graph, uint32_t *room, size_t count)
{
    uint32_t from = graph->edges, to = from + (uint32_t)count;
    graph->edges = graph->first[graph->nodes + 1] = to;
    for (uint32_t node = graph->nodes; node >= 1 && from != to; node--) {
        to -= room[node];
        room[node] = to;
        while (from > graph->first[node])
            graph->target[--to] = graph->target[--from];
        graph->first[node] = to;
    }
    assert(from == to);
}

void
mp_heap_insert_edges(struct mp_heap *heap, const struct mp_edge *edges, size_t count)
{
    const size_t size = ((size_t)heap->graph.nodes + 1) * sizeof(uint32_t);
    uint32_t *room = count && !heap->failed ? mp_mem_new(size) : NULL;
    assert(heap->failed || heap->rows == heap->graph.nodes);
    heap->failed |= count && !room;
    while (!heap->failed && heap->graph.edges + count >= heap->edge_capacity)
        mp_heap_grow_edges(heap);
    if (count && !heap->failed) {
        for (size_t i = 0; i < count; i++)
            room[edges[i].node]++;
        make_room(&heap->graph, room, count);
        for (size_t i = 0; i < count; i++)
            heap->graph.target[room[edges[i].node]++] = edges[i].target;
    }
    mp_mem_free(room, size);
}

/* ---- types -------------------------------------------------------------------------------- */

/* The slot of a type, or a free one. There is one. */
static size_t
slot_of(const struct mp_heap *heap, uintptr_t identity)
{
    const size_t mask = heap->type_slot_count - 1;
    size_t slot = mp_hash_mix(identity >> 3, 1) >> 16 & mask;
    while (heap->type_slots[slot] && heap->types[heap->type_slots[slot]].identity != identity)
        slot = (slot + 1) & mask;
    return slot;
}

uint32_t
mp_heap_find_type(const struct mp_heap *heap, uintptr_t identity)
{
    return heap->type_slot_count ? heap->type_slots[slot_of(heap, identity)] : 0;
}

static bool
grow_type_slots(struct mp_heap *heap)
{
    const size_t count = heap->type_slot_count ? heap->type_slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = mp_mem_new(count * sizeof *slots);
    if (!slots)
        return fail(heap);
    FREE(heap->type_slots, heap->type_slot_count);
    heap->type_slots = slots;
    heap->type_slot_count = count;
    for (uint32_t i = 1; i <= heap->type_count; i++)
        slots[slot_of(heap, heap->types[i].identity)] = i;
    return true;
}

/* Room for one type more. */
static bool
reserve_type(struct mp_heap *heap)
{
    const size_t count = (size_t)heap->type_count + 1;
    return RESERVE(heap, types, type_capacity, count + 1) &&
           (count * 2 <= heap->type_slot_count || grow_type_slots(heap));
}

/* first_named[name], or NULL. */
static uint32_t *
first_of_name(struct mp_heap *heap, uint32_t name)
{
    return RESERVE(heap, first_named, first_named_count, (size_t)name + 1)
               ? &heap->first_named[name]
               : NULL;
}

/* Classes that a function makes anew each time have one name. */
static uint32_t
find_alike(struct mp_heap *heap, uint32_t index)
{
    const struct mp_heap_type *type = &heap->types[index];
    uint32_t *first = first_of_name(heap, type->name);
    if (first && !*first)
        *first = index;
    return first && heap->types[*first].flags == type->flags ? *first : index;
}

uint32_t
mp_heap_add_type(struct mp_heap *heap, const struct mp_heap_type *type)
{
    assert(type->identity && !mp_heap_find_type(heap, type->identity));
    if (heap->failed || !reserve_type(heap))
        return 0;
    const uint32_t index = heap->type_count + 1;
    heap->types[index] = *type;
    heap->types[index].alike = find_alike(heap, index);
    heap->type_slots[slot_of(heap, type->identity)] = index;
    heap->type_count = index;
    return index;
}

int
mp_heap_init(struct mp_heap *heap)
{
    *heap = (struct mp_heap){0};
    if (mp_names_init(&heap->names) == MP_OK && grow_nodes(heap) && mp_heap_grow_edges(heap) &&
        reserve_type(heap))
        return MP_OK;
    mp_heap_free(heap);
    return MP_NO_MEMORY;
}

/* ---- roots and buffers -------------------------------------------------------------------- */

void
mp_heap_add_root(struct mp_heap *heap, const struct mp_root *root)
{
    assert(root->node <= heap->graph.nodes && root->kind < MP_ROOTS);
    if (root->node && RESERVE(heap, roots, root_capacity, (size_t)heap->root_count + 1))
        heap->roots[heap->root_count++] = *root;
}

/* Where an address is in one granule with an object, the object keeps the place. */
void
mp_heap_add_buffer(struct mp_heap *heap, const struct mp_buffer *buffer)
{
    assert(buffer->address && buffer->owner <= heap->graph.nodes);
    if (heap->buffer_count >= MP_HEAP_BUFFER) {
        heap->failed = true;
        return;
    }
    if (!RESERVE(heap, buffers, buffer_capacity, heap->buffer_count + 1))
        return;
    const uint32_t number = MP_HEAP_BUFFER + (uint32_t)heap->buffer_count;
    heap->buffers[heap->buffer_count++] = *buffer;
    if (!mp_places_find(&heap->places, buffer->address))
        set_place(heap, buffer->address, number);
}

/* ---- is it sound? ------------------------------------------------------------------------- */

static bool
is_name(const struct mp_heap *heap, uint32_t name)
{
    return !name || mp_table_peek(&heap->names.table, name);
}

static const char *
why_types(const struct mp_heap *heap)
{
    for (uint32_t i = 1; i <= heap->type_count; i++) {
        const struct mp_heap_type *type = &heap->types[i];
        if (mp_heap_find_type(heap, type->identity) != i)
            return "a type is not found by its identity";
        if (!is_name(heap, type->name) || !is_name(heap, type->short_name) ||
            !is_name(heap, type->module))
            return "a type has a name that is none";
        if (!type->alike || type->alike > i)
            return "a type is like none before it";
        const struct mp_heap_type *alike = &heap->types[type->alike];
        if (alike->name != type->name || alike->flags != type->flags ||
            alike->alike != type->alike)
            return "types are alike that differ";
    }
    return NULL;
}

/* What is found at an address, or at the neighbour that has its granule. */
static bool
has_place(const struct mp_heap *heap, uintptr_t address)
{
    const uint32_t number = mp_places_find(&heap->places, address);
    const bool buffer = number >= MP_HEAP_BUFFER;
    if (!number || (buffer ? number - MP_HEAP_BUFFER >= heap->buffer_count
                           : number > heap->graph.nodes))
        return false;
    const uintptr_t there = buffer ? heap->buffers[number - MP_HEAP_BUFFER].address
                                   : heap->address[number];
    return there >> 4 == address >> 4;
}

static const char *
why_nodes(const struct mp_heap *heap)
{
    for (uint32_t node = 1; node <= heap->graph.nodes; node++) {
        if (!heap->type[node] || heap->type[node] > heap->type_count)
            return "an object has a type that is none";
        if (!heap->address[node] || !has_place(heap, heap->address[node]))
            return "an object is not found by its address";
    }
    return NULL;
}

static const char *
why_roots(const struct mp_heap *heap)
{
    for (uint32_t i = 0; i < heap->root_count; i++) {
        const struct mp_root *root = &heap->roots[i];
        if (root->node > heap->graph.nodes)
            return "a root is no object";
        if (root->kind >= MP_ROOTS)
            return "a root is of no kind";
        if (!is_name(heap, root->name) || !is_name(heap, root->name2))
            return "a root has a name that is none";
    }
    return NULL;
}

static const char *
why_buffers(const struct mp_heap *heap)
{
    for (size_t i = 0; i < heap->buffer_count; i++) {
        const struct mp_buffer *buffer = &heap->buffers[i];
        if (buffer->owner > heap->graph.nodes)
            return "a buffer is owned by no object";
        if (buffer->owner && heap->size[buffer->owner] < buffer->size)
            return "a buffer is larger than the object with its buffers";
        if (!has_place(heap, buffer->address))
            return "a buffer is not found by its address";
    }
    return NULL;
}

static const char *
why_counts(const struct mp_heap *heap)
{
    if (heap->failed)
        return "it was made without memory";
    if (heap->graph.nodes + (heap->graph.nodes != 0) >= heap->node_capacity ||
        heap->graph.edges > heap->edge_capacity || heap->root_count > heap->root_capacity ||
        heap->buffer_count > heap->buffer_capacity ||
        heap->type_count + (heap->type_count != 0) > heap->type_capacity)
        return "there is more than there is room for";
    if (heap->rows != heap->graph.nodes)
        return "an object has no row of edges";
    return NULL;
}

bool
mp_heap_check(const struct mp_heap *heap, const char **why)
{
    *why = why_counts(heap);
    if (!*why && !mp_graph_check(&heap->graph, why))
        return false;
    const char *(*const parts[])(const struct mp_heap *heap) = {why_types, why_nodes, why_roots,
                                                                why_buffers};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !*why; i++)
        *why = parts[i](heap);
    return *why == NULL;
}
