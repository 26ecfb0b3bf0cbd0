#include "graph/graph.h"

#include <assert.h>
#include <string.h>

int
mp_search_init(struct mp_search *search, const struct mp_graph *graph)
{
    const size_t size = ((size_t)graph->nodes + 1) * sizeof(uint32_t);
    *search = (struct mp_search){.graph = graph, .nodes = graph->nodes};
    search->parent = mp_mem_new(size);
    search->order = mp_mem_new(size);
    if (search->parent && search->order)
        return MP_OK;
    mp_search_free(search);
    return MP_NO_MEMORY;
}

void
mp_search_free(struct mp_search *search)
{
    const size_t size = ((size_t)search->nodes + 1) * sizeof(uint32_t);
    mp_mem_free(search->parent, size);
    mp_mem_free(search->order, size);
    *search = (struct mp_search){0};
}

void
mp_search_clear(struct mp_search *search)
{
    for (uint32_t i = 0; i < search->count; i++)
        search->parent[search->order[i]] = 0;
    search->count = 0;
}

static void
reach(struct mp_search *search, uint32_t node, uint32_t parent, const uint8_t *barred)
{
    assert(node && node <= search->nodes && parent && parent <= search->nodes);
    if (search->parent[node] || (barred && barred[node]))
        return;
    search->parent[node] = parent;
    search->order[search->count++] = node;
}

void
mp_search_from(struct mp_search *search, const uint32_t *starts, uint32_t count,
               const uint8_t *barred)
{
    const struct mp_graph *graph = search->graph;
    uint32_t at = search->count;
    assert(graph->nodes == search->nodes && search->count <= search->nodes);
    for (uint32_t i = 0; i < count; i++)
        reach(search, starts[i], starts[i], barred);
    for (; at < search->count; at++) {
        const uint32_t node = search->order[at];
        for (uint32_t edge = graph->first[node]; edge < graph->first[node + 1]; edge++)
            reach(search, graph->target[edge], node, barred);
    }
}

void
mp_graph_in_degrees(const struct mp_graph *graph, uint32_t *degree)
{
    memset(degree, 0, ((size_t)graph->nodes + 1) * sizeof *degree);
    for (uint32_t edge = 0; edge < graph->edges; edge++)
        degree[graph->target[edge]]++;
}

/* ---- turned round ------------------------------------------------------------------------- */

static void
fill_reversed(const struct mp_graph *graph, struct mp_graph *reversed)
{
    uint32_t *first = reversed->first; /* first[n + 1] counts, then points to the next free */
    for (uint32_t edge = 0; edge < graph->edges; edge++)
        first[graph->target[edge] + 1]++;
    for (uint32_t node = 1; node <= graph->nodes + 1; node++)
        first[node] += first[node - 1];
    for (uint32_t node = graph->nodes; node >= 1; node--)
        for (uint32_t edge = graph->first[node + 1]; edge-- > graph->first[node];)
            reversed->target[--first[graph->target[edge] + 1]] = node;
    for (uint32_t node = 1; node <= graph->nodes; node++)
        first[node] = first[node + 1];
    first[graph->nodes + 1] = graph->edges;
}

int
mp_graph_reverse(const struct mp_graph *graph, struct mp_graph *reversed)
{
    *reversed = (struct mp_graph){.nodes = graph->nodes, .edges = graph->edges};
    reversed->first = mp_mem_new(((size_t)graph->nodes + 2) * sizeof(uint32_t));
    reversed->target = mp_mem_new(((size_t)graph->edges + 1) * sizeof(uint32_t));
    if (!reversed->first || !reversed->target) {
        mp_graph_free(reversed);
        return MP_NO_MEMORY;
    }
    fill_reversed(graph, reversed);
    return MP_OK;
}

void
mp_graph_free(struct mp_graph *graph)
{
    mp_mem_free(graph->first, ((size_t)graph->nodes + 2) * sizeof(uint32_t));
    mp_mem_free(graph->target, ((size_t)graph->edges + 1) * sizeof(uint32_t));
    *graph = (struct mp_graph){0};
}

bool
mp_graph_check(const struct mp_graph *graph, const char **why)
{
    *why = NULL;
    if (graph->nodes && graph->first[1] != 0)
        *why = "the first row does not begin at 0";
    for (uint32_t node = 1; node <= graph->nodes && !*why; node++)
        if (graph->first[node] > graph->first[node + 1])
            *why = "rows overlap";
    if (!*why && graph->nodes && graph->first[graph->nodes + 1] != graph->edges)
        *why = "the last row does not end at the last edge";
    for (uint32_t edge = 0; edge < graph->edges && !*why; edge++)
        if (graph->target[edge] == 0 || graph->target[edge] > graph->nodes)
            *why = "an edge leads nowhere";
    return *why == NULL;
}
