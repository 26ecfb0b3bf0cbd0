/* dominators: what keeps what alive. Pure: no Python, no globals, no recursion.
 *
 * A node is dominated by another when every path to it from the start nodes goes through that
 * one; its immediate dominator is the nearest such node. If a node went away, all that it
 * dominates would go with it: the sum of their sizes is its retained size.
 *
 * Lengauer and Tarjan's algorithm with path compression: O(edges * log(nodes)) at any shape,
 * 100,000-deep chains included.
 */
#ifndef MP_DOMINATORS_H
#define MP_DOMINATORS_H

#include "graph/graph.h"

struct mp_dominators {
    uint32_t nodes;
    uint32_t count;      /* nodes that can be reached */
    uint32_t *immediate; /* by node; 0: dominated by none, or not reached */
    uint32_t *order;     /* nodes that can be reached, a dominator before what it dominates */
};

MP_WARN_UNUSED int mp_dominators(const struct mp_graph *graph, const uint32_t *starts,
                                 uint32_t count, struct mp_dominators *dominators);
void mp_dominators_free(struct mp_dominators *dominators);

/* retained[n] of all nodes from the sizes of each; 0 for what cannot be reached. */
void mp_dominators_retained(const struct mp_dominators *dominators, const uint64_t *size,
                            uint64_t *retained);

#endif
