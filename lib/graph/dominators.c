#include "graph/dominators.h"

#include <assert.h>

/* Everything but the result is numbered in depth-first order, from 1 to `count`. Number 1 is
 * TOP, a root of our own above all start nodes; it stands for no node. */
enum { TOP = 1 };

struct work {
    const struct mp_graph *graph;
    struct mp_graph reversed;
    uint32_t count;
    uint32_t *memory;
    uint32_t *number;    /* by node: its number, 0: not reached */
    uint32_t *node;      /* by number */
    uint32_t *parent;    /* in the depth-first tree */
    uint32_t *semi;
    uint32_t *ancestor;
    uint32_t *label;
    uint32_t *idom;
    uint32_t *bucket;    /* the first number whose semidominator this one is */
    uint32_t *next;      /* the next one in the same bucket; before that, the edge to try next */
    uint32_t *path;      /* a stack */
};

enum { ARRAYS = 10 };

static size_t
row(const struct mp_graph *graph)
{
    return (size_t)graph->nodes + 2;
}

static bool
open_work(struct work *work, const struct mp_graph *graph)
{
    const size_t n = row(graph);
    *work = (struct work){.graph = graph};
    work->memory = mp_mem_new(n * ARRAYS * sizeof(uint32_t));
    if (!work->memory || mp_graph_reverse(graph, &work->reversed) != MP_OK)
        return false;
    uint32_t **const arrays[ARRAYS] = {&work->number,   &work->node,  &work->parent, &work->semi,
                                       &work->ancestor, &work->label, &work->idom,
                                       &work->bucket,   &work->next,  &work->path};
    for (size_t i = 0; i < ARRAYS; i++)
        *arrays[i] = work->memory + i * n;
    return true;
}

static void
close_work(struct work *work)
{
    mp_mem_free(work->memory, row(work->graph) * ARRAYS * sizeof(uint32_t));
    if (work->reversed.first)
        mp_graph_free(&work->reversed);
}

/* ---- depth first -------------------------------------------------------------------------- */

static void
enter(struct work *work, uint32_t node, uint32_t parent)
{
    const uint32_t number = ++work->count;
    assert(number <= work->graph->nodes + 1 && parent < number);
    if (node)
        work->number[node] = number;
    work->node[number] = node;
    work->parent[number] = parent;
    work->semi[number] = work->label[number] = number;
    work->next[number] = node ? work->graph->first[node] : 0;
}

static void
search_depth_first(struct work *work, uint32_t start)
{
    const struct mp_graph *graph = work->graph;
    if (work->number[start])
        return;
    enter(work, start, TOP);
    for (uint32_t at = work->count; at != TOP;) {
        uint32_t *edge = &work->next[at];
        if (*edge == graph->first[work->node[at] + 1]) {
            at = work->parent[at];
            continue;
        }
        const uint32_t node = graph->target[(*edge)++];
        if (!work->number[node]) {
            enter(work, node, at);
            at = work->count;
        }
    }
}

/* ---- Lengauer and Tarjan ------------------------------------------------------------------ */

/* The number with the least semidominator on the way up from v, below the root of its tree. */
static uint32_t
evaluate(struct work *work, uint32_t v)
{
    uint32_t *ancestor = work->ancestor, *label = work->label, *semi = work->semi;
    uint32_t depth = 0;
    if (!ancestor[v])
        return label[v];
    for (uint32_t at = v; ancestor[ancestor[at]]; at = ancestor[at])
        work->path[depth++] = at;
    while (depth) {
        const uint32_t at = work->path[--depth], above = ancestor[at];
        if (semi[label[above]] < semi[label[at]])
            label[at] = label[above];
        ancestor[at] = ancestor[above];
    }
    return label[v];
}

static void
find_semidominator(struct work *work, uint32_t w, const uint8_t *is_start)
{
    const struct mp_graph *reversed = &work->reversed;
    const uint32_t node = work->node[w];
    for (uint32_t e = reversed->first[node]; e < reversed->first[node + 1]; e++) {
        const uint32_t v = work->number[reversed->target[e]];
        if (!v)
            continue;
        const uint32_t u = evaluate(work, v);
        if (work->semi[u] < work->semi[w])
            work->semi[w] = work->semi[u];
    }
    if (is_start[node])
        work->semi[w] = TOP;
}

static void
empty_bucket(struct work *work, uint32_t parent)
{
    for (uint32_t v = work->bucket[parent], next; v; v = next) {
        next = work->next[v];
        const uint32_t u = evaluate(work, v);
        work->idom[v] = work->semi[u] < work->semi[v] ? u : parent;
    }
    work->bucket[parent] = 0;
}

static void
find_immediate(struct work *work, const uint8_t *is_start)
{
    for (uint32_t i = 1; i <= work->count; i++)
        work->next[i] = 0;
    for (uint32_t w = work->count; w > TOP; w--) {
        find_semidominator(work, w, is_start);
        work->next[w] = work->bucket[work->semi[w]];
        work->bucket[work->semi[w]] = w;
        work->ancestor[w] = work->parent[w];
        empty_bucket(work, work->parent[w]);
    }
    for (uint32_t w = TOP + 1; w <= work->count; w++) {
        assert(work->idom[w] && work->idom[w] < w && work->semi[w] && work->semi[w] < w);
        if (work->idom[w] != work->semi[w])
            work->idom[w] = work->idom[work->idom[w]];
    }
}

/* ---- the result --------------------------------------------------------------------------- */

static void
copy_result(const struct work *work, struct mp_dominators *dominators)
{
    dominators->count = work->count - TOP;
    for (uint32_t w = TOP + 1; w <= work->count; w++) {
        dominators->order[w - TOP - 1] = work->node[w];
        dominators->immediate[work->node[w]] = work->node[work->idom[w]];
    }
}

static bool
open_result(struct mp_dominators *dominators, const struct mp_graph *graph)
{
    *dominators = (struct mp_dominators){.nodes = graph->nodes};
    dominators->immediate = mp_mem_new(row(graph) * sizeof(uint32_t));
    dominators->order = mp_mem_new(row(graph) * sizeof(uint32_t));
    return dominators->immediate && dominators->order;
}

int
mp_dominators(const struct mp_graph *graph, const uint32_t *starts, uint32_t count,
              struct mp_dominators *dominators)
{
    struct work work;
    uint8_t *is_start = mp_mem_new(row(graph));
    const bool opened = open_work(&work, graph);
    const bool ready = open_result(dominators, graph) && opened && is_start;
    for (uint32_t i = 0; ready && i < count; i++) {
        assert(starts[i] && starts[i] <= graph->nodes);
        is_start[starts[i]] = 1;
    }
    if (ready)
        enter(&work, 0, 0);
    for (uint32_t i = 0; ready && i < count; i++)
        search_depth_first(&work, starts[i]);
    if (ready) {
        find_immediate(&work, is_start);
        copy_result(&work, dominators);
    } else {
        mp_dominators_free(dominators);
    }
    close_work(&work);
    mp_mem_free(is_start, row(graph));
    return ready ? MP_OK : MP_NO_MEMORY;
}

void
mp_dominators_free(struct mp_dominators *dominators)
{
    const size_t size = ((size_t)dominators->nodes + 2) * sizeof(uint32_t);
    mp_mem_free(dominators->immediate, size);
    mp_mem_free(dominators->order, size);
    *dominators = (struct mp_dominators){0};
}

void
mp_dominators_retained(const struct mp_dominators *dominators, const uint64_t *size,
                       uint64_t *retained)
{
    for (uint32_t node = 0; node <= dominators->nodes; node++)
        retained[node] = 0;
    for (uint32_t i = 0; i < dominators->count; i++)
        retained[dominators->order[i]] = size[dominators->order[i]];
    for (uint32_t i = dominators->count; i-- > 0;) {
        const uint32_t node = dominators->order[i], above = dominators->immediate[node];
        assert(above != node && above <= dominators->nodes);
        if (above)
            retained[above] += retained[node];
    }
}
