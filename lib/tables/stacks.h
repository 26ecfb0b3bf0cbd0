/* stacks: every call stack once, as a tree of locations.
 *
 * A stack is its caller's stack and the location on top of it. Most of the tree has no branches,
 * so what is new of a stack is kept as a run: one word for each location, the outermost first,
 * behind a header that says on which stack the run stands. The id of a stack is the index of its
 * word. A branch, where a run begins that is not the first on its stack, is found by hash;
 * within a run the next word is compared.
 *
 *     word      0        header: the caller's stack, with MP_STACKS_HEADER
 *     run   ... header   location  location  location ...
 *     id                 n         n + 1     n + 2
 *
 * Ids of headers are no stacks, nor are those of words that were taken and not used (0): see
 * mp_stacks_at. The caller of a stack has a smaller id. Stack 0 is the empty stack.
 *
 * Nothing is moved or removed. Thread rule as table.h: any thread, any time, without a lock; a run
 * is complete before its branch leads to it.
 */
#ifndef MP_STACKS_H
#define MP_STACKS_H

#include "base/table.h"

#define MP_FOLDED 0x80000000u        /* of a location: frames outside of it were left out */
#define MP_STACKS_HEADER 0x40000000u
#define MP_STACKS_LOCATION 0x3fffffffu

#define MP_STACKS_CHUNK_WORDS (1u << 18)
#define MP_STACKS_CHUNKS 1024u
#define MP_STACKS_MAX (MP_STACKS_CHUNK_WORDS * MP_STACKS_CHUNKS - 1)
#define MP_STACKS_RUN_MAX 1024u      /* locations of a run */

struct mp_stacks {
    struct mp_table branches;        /* (stack, location) -> first word of a run */
    _Atomic uint32_t used;           /* words taken */
    _Atomic uint32_t *_Atomic chunks[MP_STACKS_CHUNKS];
};

MP_WARN_UNUSED int mp_stacks_init(struct mp_stacks *stacks);
void mp_stacks_destroy(struct mp_stacks *stacks);

/* The id of `count` locations (each may carry MP_FOLDED), outermost first, on top of `parent`;
 * 0: full, or no memory. ids[i] becomes that of the stack with locations[i] on top, also of those
 * found or made before memory was short; `ids` may be NULL. */
uint32_t mp_stacks_push(struct mp_stacks *stacks, uint32_t parent, const uint32_t *locations,
                        uint32_t count, uint32_t *ids);

/* Highest id so far. */
static inline uint32_t
mp_stacks_count(const struct mp_stacks *stacks)
{
    const uint32_t used = atomic_load_explicit(&stacks->used, memory_order_acquire);
    return used < MP_STACKS_MAX ? used : MP_STACKS_MAX;
}

/* The stack of an id: its caller's stack and its location. False where the id is of none. */
bool mp_stacks_at(const struct mp_stacks *stacks, uint32_t id, uint32_t *parent,
                  uint32_t *location);

/* Is every run sound, and does a branch lead to it? At rest. */
bool mp_stacks_check(const struct mp_stacks *stacks, const char **why);

#endif
