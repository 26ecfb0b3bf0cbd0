/* side: the entries that the shadow table cannot hold.
 *
 *   hook domain      sizes of 4 GiB and more, addresses that are not multiples of
 *                    16 or lie beyond MP_ADDRESS_BITS; keyed by the address alone
 *   other domains    blocks of memprof_track, which may lie within a traced block
 *                    and carry the same address in several domains
 *
 * A small open-addressing table under one spin lock. Thread
 * rule: any thread, any time.
 */
#ifndef MP_SIDE_H
#define MP_SIDE_H

#include "base/mem.h"
#include "base/spin.h"

#define MP_SIDE_HOOK UINT64_MAX /* the domain of entries made by the hooks */

struct mp_side_entry {
    uint64_t domain;
    uintptr_t address;
    uint64_t size;
    uint32_t site; /* 0: free slot. A hook entry may carry MP_CODE. */
};

struct mp_side {
    struct mp_spin lock;
    struct mp_side_entry *slots;
    size_t capacity; /* power of two, or 0 */
    _Atomic size_t used;
};

/* Insert or replace. *old is what was there (site 0: nothing). MP_NO_MEMORY changes nothing. */
MP_WARN_UNUSED int mp_side_put(struct mp_side *side, const struct mp_side_entry *entry,
                               struct mp_side_entry *old);

/* Look an entry up, or take it out. False when there is none. */
bool mp_side_find(struct mp_side *side, uint64_t domain, uintptr_t address,
                  struct mp_side_entry *entry);
bool mp_side_take(struct mp_side *side, uint64_t domain, uintptr_t address,
                  struct mp_side_entry *entry);

/* True when the table may have entries: a cheap test before mp_side_take. */
static inline bool
mp_side_any(const struct mp_side *side)
{
    return atomic_load_explicit(&side->used, memory_order_relaxed) != 0;
}

/* Visit each entry under the lock; `visit` must not come back here. */
void mp_side_each(struct mp_side *side, void (*visit)(const struct mp_side_entry *, void *data),
                  void *data);

void mp_side_clear(struct mp_side *side);

/* While nobody changes it. */
bool mp_side_check(const struct mp_side *side, const char **why);

#endif
