/* graph: nodes and edges, reachability and shortest paths. Pure: no Python, no globals.
 *
 * Nodes are 1 to `nodes`; 0 means none. The edges of node n are target[first[n]] up to
 * target[first[n + 1]] (compressed rows), in the order in which they were found.
 *
 * A search is breadth-first from one or more sets of start nodes, one set after the other:
 * what an earlier set reaches is no longer open to a later one. The parents make shortest
 * paths; a start node is its own parent.
 *
 * The graph belongs to the caller, and outlives its searches; the arrays of a search are its own.
 */
#ifndef MP_GRAPH_H
#define MP_GRAPH_H

#include "base/mem.h"

struct mp_graph {
    uint32_t nodes;
    uint32_t edges;
    uint32_t *first;  /* nodes + 2 */
    uint32_t *target; /* edges */
};

struct mp_search {
    const struct mp_graph *graph;
    uint32_t nodes;
    uint32_t count;   /* reached */
    uint32_t *parent; /* by node; 0: not reached */
    uint32_t *order;  /* the nodes reached, nearest first within one set of starts */
};

MP_WARN_UNUSED int mp_search_init(struct mp_search *search, const struct mp_graph *graph);
void mp_search_free(struct mp_search *search);

/* Forget what was reached. */
void mp_search_clear(struct mp_search *search);

/* Reach what can be reached from `starts`, but nothing through nodes with barred[n] != 0 (NULL:
 * none is). A start that is barred or was reached is passed over. */
void mp_search_from(struct mp_search *search, const uint32_t *starts, uint32_t count,
                    const uint8_t *barred);

/* The number of edges that lead to each node: degree[n], n up to `nodes`. */
void mp_graph_in_degrees(const struct mp_graph *graph, uint32_t *degree);

/* The graph with all edges turned round; its arrays are new. */
MP_WARN_UNUSED int mp_graph_reverse(const struct mp_graph *graph, struct mp_graph *reversed);
void mp_graph_free(struct mp_graph *graph);

/* Is the structure sound? */
bool mp_graph_check(const struct mp_graph *graph, const char **why);

#endif
