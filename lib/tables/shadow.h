/* shadow: address -> {site, size} for every traced block.
 *
 * Not a hash table: memory is shadowed, one 32-bit word for each 16-byte granule,
 * in chunks that cover 64 MiB and are found through one directory. Only the shadow
 * of memory that is really used is ever touched: the rest is address space.
 *
 *   block of 17 bytes or more    word 0: site      word 1: size
 *   block of 0 to 16 bytes       word 0: site | MP_SMALL (size belongs to the site)
 *
 * so an entry lies within the granules of its own block and two blocks never
 * share a word. A chunk has one word more than granules: the size of a block
 * that begins in the last one.
 *
 * Flags beside the site id in word 0:
 *   MP_CODE    the block holds a code object that captured stacks refer to
 *   MP_SMALL   see above
 * No other bit above the site id is ever set in a word 0: a word with one is the size of a
 * block whose free was hidden from us.
 * A word 0 of MP_CODE alone is a code object whose allocation was not traced.
 *
 * Thread rule: an entry is written by whoever owns the block (see the order of
 * recording in tracer.h), who needs no order to read it again; chunks are added
 * lock-free. mp_shadow_clear needs the hooks to be quiet.
 */
#ifndef MP_SHADOW_H
#define MP_SHADOW_H

#include <assert.h>

#include "base/mem.h"

#define MP_GRANULE 16u
#define MP_CODE 0x80000000u
#define MP_SMALL 0x40000000u
#define MP_SITE_MASK 0x00ffffffu
#define MP_SMALL_MAX 16u           /* largest size of a one-word block */
#define MP_SIZE_IN_SIDE UINT32_MAX /* word 1: the exact size is in the side table */

enum {
#if defined(__x86_64__)
    MP_ADDRESS_BITS = 47, /* of a user's addresses, unless a program asks for others */
#else
    MP_ADDRESS_BITS = 48,
#endif
    MP_CHUNK_SHIFT = 26,
    MP_CHUNKS = 1 << (MP_ADDRESS_BITS - MP_CHUNK_SHIFT),
    MP_CHUNK_WORDS = 1 << (MP_CHUNK_SHIFT - 4),
    MP_CHUNK_GROUP = 512, /* a page of the directory */
};

typedef _Atomic uint32_t mp_word;

struct mp_shadow {
    mp_word *_Atomic chunks[MP_CHUNKS];
    _Atomic bool used[MP_CHUNKS / MP_CHUNK_GROUP]; /* groups that have a chunk */
};

/* True for an address that the table can describe: a multiple of 16 below 2^MP_ADDRESS_BITS. */
static inline bool
mp_shadow_covers(uintptr_t address)
{
    const uintptr_t rotated = address >> 4 | address << 60; /* one comparison for both */
    return rotated >> (MP_ADDRESS_BITS - 4) == 0;
}

/* The words of a covered address, NULL when nothing near it was ever traced. */
static inline mp_word *
mp_shadow_find(const struct mp_shadow *shadow, uintptr_t address)
{
    assert(mp_shadow_covers(address));
    mp_word *chunk =
        atomic_load_explicit(&shadow->chunks[address >> MP_CHUNK_SHIFT], memory_order_acquire);
    if (MP_UNLIKELY(!chunk))
        return NULL;
    return chunk + (address >> 4 & (MP_CHUNK_WORDS - 1));
}

/* Slow path of mp_shadow_reach. */
mp_word *mp_shadow_add(struct mp_shadow *shadow, uintptr_t address);

/* The same, adding the chunk when it is missing; NULL when there is no memory. */
static inline mp_word *
mp_shadow_reach(struct mp_shadow *shadow, uintptr_t address)
{
    mp_word *words = mp_shadow_find(shadow, address);
    return MP_LIKELY(words != NULL) ? words : mp_shadow_add(shadow, address);
}

static inline uint32_t
mp_word_load(const mp_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Who walks over all entries meets those that other threads write now, and sees what they refer
 * to. */
static inline void
mp_word_store(mp_word *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

/* Call visit(address, word 0, word 1, data) for every entry, in order of address. */
void mp_shadow_each(const struct mp_shadow *shadow,
                    void (*visit)(uintptr_t address, uint32_t site, uint32_t size, void *data),
                    void *data);

/* Forget all entries; chunks stay, their memory goes back to the kernel. */
void mp_shadow_clear(struct mp_shadow *shadow);

void mp_shadow_destroy(struct mp_shadow *shadow);

/* Are the chunks found, and is what is in them entries? At rest. */
bool mp_shadow_check(const struct mp_shadow *shadow, const char **why);

#endif
