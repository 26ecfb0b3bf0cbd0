/* intern: the slow path of mp_stack_site (stack.h): the thread's cache does not know the hash.
 *
 * The other ways of the cache are looked at first. Then the frames are walked once more, with
 * their code objects this time, and put into the depot, the outermost first; those that the
 * trail and the stack before (mp_path) know are not looked up again.
 *
 * Runs within hooks: reads Python's structs only, allocates from our own memory.
 */
#ifndef MP_INTERN_H
#define MP_INTERN_H

#include "py/cpython/compat.h"

#include "py/stack/cache.h"
#include "tables/depot.h"

/* The nodes of call stacks (stacks.h) after which new ones are cut to their innermost frames. */
#define MP_STACKS_BEFORE_CUT (1u << 20)
#define MP_CUT_DEPTH 16

/* The site with the stack of now, which has this hash, and what `site` says of kind, domain and
 * size; 0 when it cannot be kept. A NULL tstate stands for the empty stack. */
uint32_t mp_intern_site(struct mp_py_thread *self, const PyThreadState *tstate, uint64_t hash,
                        struct mp_site site);

#ifdef MP_CHECK_WALKS
/* What the cache knows of a hash: is it the stack of now? Aborts. */
void mp_intern_check(struct mp_py_thread *self, const PyThreadState *tstate, uint64_t hash);
#endif

#endif
