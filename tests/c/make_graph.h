/* Graphs from literals, and random ones. Include it after test.h and graph.h. */
#ifndef MP_MAKE_GRAPH_H
#define MP_MAKE_GRAPH_H

struct edge {
    uint32_t from, to;
};

static inline struct mp_graph
make_graph(uint32_t nodes, const struct edge *edges, uint32_t count)
{
    struct mp_graph graph = {.nodes = nodes, .edges = count};
    graph.first = mp_mem_new((nodes + 2u) * sizeof *graph.first);
    graph.target = mp_mem_new((count + 1u) * sizeof *graph.target);
    assert_true(graph.first && graph.target);
    uint32_t at = 0;
    for (uint32_t node = 1; node <= nodes + 1; node++) {
        graph.first[node] = at;
        for (uint32_t i = 0; i < count; i++)
            if (edges[i].from == node)
                graph.target[at++] = edges[i].to;
    }
    return graph;
}

/* make_graph of a list of edges {from, to}. */
#define GRAPH(nodes, ...)                                                                   \
    make_graph(nodes, (const struct edge[]){__VA_ARGS__},                                   \
               sizeof((const struct edge[]){__VA_ARGS__}) / sizeof(struct edge))

static uint64_t random_number_state = 7;

static inline uint32_t
next_random_number(uint32_t below)
{
    random_number_state = random_number_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_number_state >> 33) % below);
}

static inline struct mp_graph
random_graph(uint32_t nodes)
{
    struct edge edges[128];
    const uint32_t count = next_random_number(nodes * 3 < 128 ? nodes * 3 + 1 : 128);
    for (uint32_t i = 0; i < count; i++)
        edges[i] = (struct edge){1 + next_random_number(nodes), 1 + next_random_number(nodes)};
    return make_graph(nodes, edges, count);
}

static inline uint32_t
count_edges(const struct mp_graph *graph, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t e = graph->first[from]; e < graph->first[from + 1]; e++)
        count += graph->target[e] == to;
    return count;
}

#endif
