#include "graph/search.h"

struct work {
    struct mp_heap *heap;
    const struct mp_inspector *inspector;
    struct mp_search *search;
    uint8_t *barred;  /* by node */
    uint32_t *degree; /* by node: edges to it, and what else accounts for a reference */
    uint32_t *starts; /* room for all roots */
    size_t start_room;
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
unaccounted(const struct work *work, uint32_t node)
{
    const int64_t references = work->inspector->references(work->inspector, node);
    if (references < 0)
        return 1; /* not counted */
    const int64_t degree = work->degree[node];
    assert(references <= UINT32_MAX);
    return references > degree ? (uint32_t)(references - degree) : 0;
}

static void
search_from_kind(struct work *work, uint32_t kind)
{
    const struct mp_heap *heap = work->heap;
    uint32_t count = 0;
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind == kind && heap->roots[i].node)
            work->starts[count++] = heap->roots[i].node;
    assert(count < work->start_room);
    mp_search_from(work->search, work->starts, count,
                   kind < MP_ROOT_OWN ? work->barred : NULL);
}

/* Roots that are believed only for what somebody must hold: a field of the interpreter may be
 * another one in a later release, a slot of an evaluation stack may be a left-over. What a field
 * accounts for cannot be on a stack as well. The others are roots of nothing. */
static void
drop_doubtful(struct work *work)
{
    static const uint32_t kinds[] = {MP_ROOT_INTERPRETER, MP_ROOT_STACK};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (uint32_t i = 0; i < work->heap->root_count; i++) {
            struct mp_root *root = &work->heap->roots[i];
            if (root->kind != kinds[k] || !root->node)
                continue;
            if (!unaccounted(work, root->node))
                root->node = 0;
            else if (root->kind == MP_ROOT_INTERPRETER)
                work->degree[root->node]++;
        }
}

/* Objects that no root leads to: first those that C code must hold. */
static void
add_roots_of_rest(struct work *work, uint32_t kind)
{
    struct mp_heap *heap = work->heap;
    for (uint32_t node = 1; node <= heap->graph.nodes && !heap->failed; node++) {
        if (work->search->parent[node])
            continue;
        const uint32_t references = kind == MP_ROOT_C ? unaccounted(work, node) : 0;
        if (kind == MP_ROOT_C && !references)
            continue;
        mp_heap_add_root(heap, &(struct mp_root){.node = node, .kind = kind,
                                                 .references = references});
        if (kind == MP_ROOT_NOTHING)
            mp_search_from(work->search, &node, 1, NULL);
    }
}

static void
search_all(struct work *work)
{
    struct mp_heap *heap = work->heap;
    bar_own(heap, work->barred);
    mp_graph_in_degrees(&heap->graph, work->degree);
    drop_doubtful(work);
    for (uint32_t kind = 0; kind <= MP_ROOT_INTERPRETER; kind++)
        search_from_kind(work, kind);
    add_roots_of_rest(work, MP_ROOT_C);
    for (uint32_t i = 0; i < heap->root_count; i++)
        if (heap->roots[i].kind == MP_ROOT_C)
            mp_search_from(work->search, &heap->roots[i].node, 1, NULL);
    add_roots_of_rest(work, MP_ROOT_NOTHING);
    assert(heap->failed || work->search->count == heap->graph.nodes);
}

int
mp_heap_search(const struct mp_inspector *inspector, struct mp_search *search)
{
    struct mp_heap *heap = inspector->heap;
    const size_t nodes = (size_t)heap->graph.nodes + 1, roots = (size_t)heap->root_count + 1;
    struct work work = {.heap = heap, .inspector = inspector, .search = search,
                        .start_room = roots};
    work.starts = mp_mem_new(roots * sizeof *work.starts);
    work.barred = mp_mem_new(nodes);
    work.degree = mp_mem_new(nodes * sizeof *work.degree);
    int status = mp_search_init(search, &heap->graph);
    if (status == MP_OK && work.starts && work.barred && work.degree)
        search_all(&work);
    else
        status = MP_NO_MEMORY;
    if (status == MP_OK && heap->failed)
        status = MP_NO_MEMORY;
    if (status != MP_OK)
        mp_search_free(search);
    mp_mem_free(work.starts, roots * sizeof *work.starts);
    mp_mem_free(work.barred, nodes);
    mp_mem_free(work.degree, nodes * sizeof *work.degree);
    return status;
}
