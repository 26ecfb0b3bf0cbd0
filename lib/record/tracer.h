/* tracer: what happens when a block is allocated, freed or moved.
 *
 * One per process: allocators are process-wide. It ties the tables together and
 * knows nothing of Python; hooks (lib/py/alloc/hook.c) and the C API call it.
 *
 * Order of recording, on which the absence of locks rests:
 *     free      the entry is taken out before the block is given back
 *     malloc    the entry is written after the block was received
 *     realloc   taken out before; written again after, or put back if it failed
 * so an address never has two owners, and only its owner touches its entry.
 *
 * `main` says that the caller may write the main lane, that is, holds the GIL of
 * the main interpreter. With false every function may be called from any thread.
 */
#ifndef MP_TRACER_H
#define MP_TRACER_H

#include <assert.h>

#include "record/generation.h"
#include "record/lanes.h"
#include "tables/depot.h"
#include "tables/shadow.h"
#include "tables/side.h"

struct mp_tracer {
    struct mp_generation generation; /* its `now` is 0 while nothing is traced */
    _Atomic uint32_t clears;         /* how often all entries were forgotten */
    _Atomic uint64_t lost;           /* events that could not be recorded */
    struct mp_lanes lanes;
    struct mp_spin life;             /* taken by whoever starts, stops or clears */
    struct mp_side side;
    struct mp_side births;           /* of marked code objects: address, and birth as the site */
    _Atomic uint32_t last_birth;
    struct mp_depot depot;           /* made by the first start, kept for ever */
    struct mp_shadow shadow;
    bool ready;
};

extern MP_HIDDEN struct mp_tracer mp_tracer;

/* An entry that was taken out. */
struct mp_entry {
    uint32_t word; /* site and flags; 0: the block was not traced */
    uint64_t size;
    uintptr_t address;
};

/* These take no lock: the caller holds mp_tracer.life where others may call them, too. */

/* Begin with empty tables. The caller lets it record when its hooks stand. */
MP_WARN_UNUSED int mp_tracer_start(void);
void mp_tracer_activate(void);

/* Switch recording off, wait for hooks in flight, forget all entries and numbers. */
void mp_tracer_stop(void);

/* Forget all entries and numbers and go on. */
void mp_tracer_clear(void);

static inline bool
mp_tracer_is_active(void)
{
    return atomic_load_explicit(&mp_tracer.generation.now, memory_order_relaxed) != 0;
}

/* ---- entering and leaving --------------------------------------------------------- */

/* Slow path of mp_tracer_enter. */
bool mp_tracer_enter_slow(struct mp_thread *self, uint32_t before);

/* Set the calling thread's guard, so that nothing below is recorded, and make its caches
 * good. False when nothing is traced: the guard is then `before` again, as it was. The
 * guard is set before the generation is read: see mp_thread_quiesce. */
static inline bool
mp_tracer_enter(struct mp_thread *self, uint32_t before)
{
    assert(self == mp_thread_current && before != MP_GUARD_RECORDING);
    atomic_store_explicit(&self->guard, MP_GUARD_RECORDING, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (MP_LIKELY(atomic_load_explicit(&mp_tracer.generation.now, memory_order_acquire) ==
                  self->generation))
        return true;
    return mp_tracer_enter_slow(self, before);
}

static inline void
mp_tracer_leave(struct mp_thread *self, uint32_t before)
{
    assert(self == mp_thread_current && before != MP_GUARD_RECORDING);
    atomic_store_explicit(&self->guard, before, memory_order_release);
}

/* ---- slow paths of the functions below ------------------------------------------ */

void mp_tracer_lose(void);
void mp_tracer_code_died(bool main, const struct mp_entry *entry);
bool mp_tracer_record_side(bool main, const struct mp_side_entry *entry); /* false: it is lost */
bool mp_tracer_take_side(uint64_t domain, uintptr_t address, struct mp_entry *entry);
void mp_tracer_put_back_side(uintptr_t address, const struct mp_entry *entry);

/* Size of the blocks of a site with mp_site.small; 0 for other sites. */
uint64_t mp_site_small_size(uint32_t site);

/* False for what can be no word 0 of an entry. */
bool mp_word_is_entry(uint32_t word);

/* Free the stale entry that the word at `address` belongs to. */
void mp_tracer_evict(bool main, uintptr_t address);

/* ---- events --------------------------------------------------------------------------- */

/* Take out the entry of a hooked block; entry->word is 0 when it has none. */
static inline void
mp_tracer_take(uintptr_t address, struct mp_entry *entry)
{
    *entry = (struct mp_entry){.address = address};
    if (MP_UNLIKELY(!mp_shadow_covers(address))) {
        mp_tracer_take_side(MP_SIDE_HOOK, address, entry);
        return;
    }
    mp_word *words = mp_shadow_find(&mp_tracer.shadow, address);
    if (!words)
        return;
    const uint32_t word = mp_word_load(words);
    if (!word)
        return;
    mp_word_store(words, 0);
    if (MP_UNLIKELY(!mp_word_is_entry(word)))
        return; /* the size of a block whose free was hidden */
    entry->word = word;
    if (word & MP_SMALL) {
        entry->size = mp_site_small_size(word & MP_SITE_MASK);
    } else if (MP_LIKELY((word & MP_SITE_MASK) != 0)) {
        entry->size = mp_word_load(words + 1);
        mp_word_store(words + 1, 0);
        if (MP_UNLIKELY(entry->size == MP_SIZE_IN_SIDE)) {
            mp_tracer_take_side(MP_SIDE_HOOK, address, entry);
            entry->word = word; /* with its flags */
        }
    }
}

/* Count an entry that was taken out as freed. */
static inline void
mp_tracer_settle(bool main, const struct mp_entry *entry)
{
    if (MP_UNLIKELY(entry->word & MP_CODE))
        mp_tracer_code_died(main, entry);
    if (MP_LIKELY((entry->word & MP_SITE_MASK) != 0))
        mp_lanes_count_free(&mp_tracer.lanes, main, entry->word & MP_SITE_MASK, entry->size);
}

/* Slow path of mp_tracer_free: whatever is not a plain entry of two words. */
void mp_tracer_free_odd(bool main, uintptr_t address);

static inline __attribute__((always_inline)) void
mp_tracer_free(bool main, uintptr_t address)
{
    mp_word *words = MP_LIKELY(mp_shadow_covers(address))
                         ? mp_shadow_find(&mp_tracer.shadow, address)
                         : NULL;
    const uint32_t word = words ? mp_word_load(words) : 0;
    if (MP_UNLIKELY(!word)) {
        if (!words && !mp_shadow_covers(address))
            mp_tracer_free_odd(main, address);
        return;
    }
    const uint32_t size = mp_word_load(words + 1);
    if (MP_UNLIKELY((word & ~MP_SITE_MASK) || size == MP_SIZE_IN_SIDE)) {
        mp_tracer_free_odd(main, address);
        return;
    }
    mp_word_store(words, 0);
    mp_word_store(words + 1, 0);
    mp_lanes_count_free(&mp_tracer.lanes, main, word, size);
}

/* Slow path of mp_tracer_record: whatever is not a plain entry of two words in free ones. */
void mp_tracer_record_odd(bool main, uintptr_t address, size_t size, uint32_t site);

/* Record a new block. `site` must be that of this size (mp_site_small). 0: it is lost. */
static inline __attribute__((always_inline)) void
mp_tracer_record(bool main, uintptr_t address, size_t size, uint32_t site)
{
    assert(site <= mp_table_count(&mp_tracer.depot.sites));
    mp_word *words = MP_LIKELY(mp_shadow_covers(address))
                         ? mp_shadow_find(&mp_tracer.shadow, address)
                         : NULL;
    if (MP_UNLIKELY(!words || !site || size <= MP_SMALL_MAX || size >= MP_SIZE_IN_SIDE ||
                    (mp_word_load(words) | mp_word_load(words + 1)))) {
        mp_tracer_record_odd(main, address, size, site);
        return;
    }
    mp_lanes_count_alloc(&mp_tracer.lanes, main, site, size);
    mp_word_store(words, site);
    mp_word_store(words + 1, (uint32_t)size);
}

/* Undo mp_tracer_take after a realloc that failed. */
static inline void
mp_tracer_put_back(uintptr_t address, const struct mp_entry *entry)
{
    if (!entry->word)
        return;
    if (!mp_shadow_covers(address) || entry->size >= MP_SIZE_IN_SIDE) {
        mp_tracer_put_back_side(address, entry);
        return;
    }
    mp_word *words = mp_shadow_find(&mp_tracer.shadow, address);
    assert(words && entry->address == address);
    mp_word_store(words, entry->word);
    if (!(entry->word & MP_SMALL) && (entry->word & MP_SITE_MASK))
        mp_word_store(words + 1, (uint32_t)entry->size);
}

/* What mp_site.small is for a block of this size. */
static inline uint16_t
mp_site_small(size_t size)
{
    return size <= MP_SMALL_MAX ? (uint16_t)(size + 1) : 0;
}

/* Id of a site, which has its tallies in the main and the reserve lane from now on: events
 * need no memory for theirs. 0 when there is no memory. Sites come from here only. */
uint32_t mp_tracer_site(const struct mp_site *site);

/* ---- questions ---------------------------------------------------------------------------- */

/* The entry of a hooked block, without taking it out; false when it has none. */
bool mp_tracer_look_up(uintptr_t address, struct mp_entry *entry);

/* Remember that captured stacks refer to the code object in the block at `address`. When it was
 * met first: its birth, higher than those of all that were met before it; MP_BIRTH_UNKNOWN, the
 * highest, where that is not known. 0 when there is no memory: its death would not be seen. */
#define MP_BIRTH_NEVER_DIES 1u /* a code object built into the binary */
#define MP_BIRTH_UNKNOWN 0x7fffffffu
uint32_t mp_tracer_mark_code(uintptr_t address);

/* Visit every live block: site id, size in bytes, and address. Fuzzy while others record. */
void mp_tracer_each(void (*visit)(uint32_t site, uint64_t size, uintptr_t address, void *data),
                    void *data);

/* Own memory in bytes: all tables, caches and results that are resident. */
size_t mp_tracer_memory(void);

/* The invariant of tally.h and those of the tables; at rest only. */
bool mp_tracer_check(const char **why);

#endif
