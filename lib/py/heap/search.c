/* From the roots to every object: shortest paths in the order of the kinds of roots. */
#include "py/heap/paths.h"

struct starts {
    uint32_t *nodes;
    uint32_t count;
};

/* What leads into memprof itself is no way to an object of the program. The locals of its frames
 * (they have the name of a function) may be anything. */
static void
bar_own(const struct mp_heap *heap, uint8_t *barred)
{
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind == MP_ROOT_OWN && !heap->roots[i].name2)
            barred[heap->roots[i].node] = 1;
}

/* References to an object that no edge stands for. */
static uint32_t
unaccounted(const struct mp_heap *heap, uint32_t node, const uint32_t *degree)
{
    const Py_ssize_t references = mp_object_references(mp_heap_object(heap, node));
    if (references < 0)
        return 1; /* not counted */
    return references > (Py_ssize_t)degree[node] ? (uint32_t)references - degree[node] : 0;
}

static void
collect(const struct mp_heap *heap, uint32_t kind, struct starts *starts)
{
    starts->count = 0;
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind == kind && heap->roots[i].node)
            starts->nodes[starts->count++] = heap->roots[i].node;
}

/* Roots that are believed only for what somebody must hold: a field of the interpreter may be
 * another one in a later release, a slot of an evaluation stack may be a left-over. What a field
 * accounts for cannot be on a stack as well. The others are roots of nothing. */
static void
drop_doubtful(struct mp_heap *heap, uint32_t *degree)
{
    static const uint32_t kinds[] = {MP_ROOT_INTERPRETER, MP_ROOT_STACK};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (uint32_t i = 0; i < heap->root_count; i++) {
            struct mp_root *root = &heap->roots[i];
            if (root->kind != kinds[k] || !root->node)
                continue;
            if (!unaccounted(heap, root->node, degree))
                root->node = 0;
            else if (root->kind == MP_ROOT_INTERPRETER)
                degree[root->node]++;
        }
}

/* Objects that no root leads to: first those that C code must hold. */
static void
reach_rest(struct mp_heap *heap, struct mp_search *search, uint32_t kind, const uint32_t *degree)
{
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++) {
        if (search->parent[node])
            continue;
        const uint32_t references = kind == MP_ROOT_C ? unaccounted(heap, node, degree) : 0;
        if (kind == MP_ROOT_C && !references)
            continue;
        mp_heap_add_root(heap, (struct mp_root){node, kind, 0, references});
        if (kind == MP_ROOT_NOTHING)
            mp_search_from(search, &heap->graph, &node, 1, NULL);
    }
}

static void
search_all(struct mp_heap *heap, struct mp_search *search, struct starts *starts, uint8_t *barred,
           uint32_t *degree)
{
    bar_own(heap, barred);
    mp_graph_in_degrees(&heap->graph, degree);
    drop_doubtful(heap, degree);
    for (uint32_t kind = 0; kind <= MP_ROOT_INTERPRETER; kind++) {
        collect(heap, kind, starts);
        mp_search_from(search, &heap->graph, starts->nodes, starts->count,
                       kind < MP_ROOT_OWN ? barred : NULL);
    }
    reach_rest(heap, search, MP_ROOT_C, degree);
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind == MP_ROOT_C)
            mp_search_from(search, &heap->graph, &heap->roots[i].node, 1, NULL);
    reach_rest(heap, search, MP_ROOT_NOTHING, degree);
}

int
mp_heap_search(struct mp_heap *heap, struct mp_search *search)
{
    const size_t nodes = (size_t)heap->graph.nodes + 1;
    struct starts starts = {mp_mem_new((heap->root_count + 1) * sizeof(uint32_t)), 0};
    const size_t start_size = (heap->root_count + 1) * sizeof(uint32_t);
    uint8_t *barred = mp_mem_new(nodes);
    uint32_t *degree = mp_mem_new(nodes * sizeof *degree);
    int status = mp_search_init(search, &heap->graph);
    if (status == MP_OK && starts.nodes && barred && degree)
        search_all(heap, search, &starts, barred, degree);
    else
        status = MP_NO_MEMORY;
    if (status == MP_OK && heap->failed)
        status = MP_NO_MEMORY;
    if (status != MP_OK)
        mp_search_free(search);
    mp_mem_free(starts.nodes, start_size);
    mp_mem_free(barred, nodes);
    mp_mem_free(degree, nodes * sizeof *degree);
    return status;
}
