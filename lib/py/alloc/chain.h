/* chain: the hooks' place in CPython's chain of allocators: in, out, and left out for a while.
 *
 * A trace that is there for the meters of line profiles alone (meter.h) has to see calls only
 * while a meter counts. Outside of that the hooks of MEM and OBJ are taken out, and those of RAW
 * pass on what they are asked for and look at frees and moves of blocks that are known:
 *   - a block above 512 bytes, which comes from RAW, is known until it is freed, wherever that is;
 *   - a smaller one that is freed meanwhile stays known until its address is seen again. Should
 *     another block take its place unseen, freeing that one counts as freeing it: both are of
 *     one size class, so what counts as freed was freed, to within 16 bytes.
 *     To see these frees too takes hooks of free and realloc that stay: 1 ns a free, 5 to 6 % of a
 *     loop that allocates on each line, where code that is not selected has 5 % in all.
 * Where large blocks do not come from RAW (PYTHONMALLOC=malloc or debug, free-threaded builds)
 * the hooks stay in.
 *
 * Call all functions with the GIL of the main interpreter.
 */
#ifndef MP_CHAIN_H
#define MP_CHAIN_H

#include "py/cpython/compat.h"

#include "record/tracer.h"

/* What is below the hooks, by enum mp_kind; good from before a hook is put in until the process
 * ends. */
extern MP_HIDDEN PyMemAllocatorEx mp_chain_below[3];

/* Where a hook that finds MP_GUARD_PROBING notes that it was reached: bits of kinds. */
extern MP_HIDDEN unsigned mp_chain_probed;

extern MP_HIDDEN _Atomic bool mp_chain_paused;

static inline bool
mp_chain_is_paused(void)
{
    return MP_HAS_GIL && atomic_load_explicit(&mp_chain_paused, memory_order_relaxed);
}

/* Put the hooks in front, unless they are in the chain already: one of each kind, without
 * context, and always the same. The tracer records already. */
void mp_chain_install(const PyMemAllocatorEx own[3]);

/* Take the hooks out where nobody has put others in front of them; elsewhere they
 * stay and only call through. The tracer must have been stopped. */
void mp_chain_remove(void);

/* False when somebody has replaced the allocators, so that we see nothing any more. */
bool mp_chain_is_reached(void);

/* Whether the trace is to see every call, or those only that are made while a meter counts.
 * False when the hooks have been out: there are blocks whose free was not seen. */
bool mp_chain_see_all(bool all);

/* One more thread has a meter that counts, or one less. */
void mp_chain_meter(bool more);

/* So many threads have one. */
void mp_chain_meters_are(uint32_t count);

#endif
