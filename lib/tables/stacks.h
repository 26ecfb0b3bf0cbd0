/* stacks: every call stack once, as a tree of locations.
 *
 * A stack is its caller's stack and the location on top of it. Most of the tree has no branches:
 * what is new of a stack is a run of nodes with ids one after the other, so that to find a known
 * stack again is to compare the next node. Only where a run begins that is not the next node it is
 * found by hash.
 *
 * Ids start at 1 and are dense; stack 0 is the empty stack. The caller of a stack has a smaller
 * id. Nothing is moved or removed; of two threads that make the same run at once one leaves
 * nodes behind that no stack uses (holes).
 *
 * Thread rule as table.h: any thread, any time, without a lock; a run is complete before its
 * branch leads to it.
 */
#ifndef MP_STACKS_H
#define MP_STACKS_H

#include "base/table.h"

#define MP_FOLDED 0x80000000u /* of a location: frames outside of it were left out */

#define MP_STACKS_CHUNK (1u << 17) /* nodes */
#define MP_STACKS_CHUNKS 1024u
#define MP_STACKS_MAX (MP_STACKS_CHUNK * MP_STACKS_CHUNKS - 1)

/* A node as one word, written at once; 0 is a hole, or not written yet. */
typedef _Atomic uint64_t mp_node;

struct mp_stacks {
    struct mp_table branches;  /* (stack, location) -> first node of a run */
    _Atomic uint32_t used;     /* ids handed out */
    mp_node *_Atomic chunks[MP_STACKS_CHUNKS];
};

MP_WARN_UNUSED int mp_stacks_init(struct mp_stacks *stacks);
void mp_stacks_destroy(struct mp_stacks *stacks);

/* The id of `count` locations (each may carry MP_FOLDED), outermost first, on top of `parent`;
 * 0: full, or no memory. frames[i], a location, becomes the id of the stack with it on top; after
 * a failure some have. */
uint32_t mp_stacks_push(struct mp_stacks *stacks, uint32_t parent, uint32_t *frames,
                        uint32_t count);

/* Highest id handed out. */
static inline uint32_t
mp_stacks_count(const struct mp_stacks *stacks)
{
    const uint32_t used = atomic_load_explicit(&stacks->used, memory_order_acquire);
    return used < MP_STACKS_MAX ? used : MP_STACKS_MAX;
}

/* The stack of an id up to the count: its caller's stack and its location. False for a hole. */
bool mp_stacks_at(const struct mp_stacks *stacks, uint32_t id, uint32_t *parent,
                  uint32_t *location);

/* Can every node be found? At rest. */
bool mp_stacks_check(const struct mp_stacks *stacks, const char **why);

#endif
