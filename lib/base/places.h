/* places: address -> number, for one pass over the memory of the process.
 *
 * One word for each 16-byte granule, in chunks of 4 MiB of address space that are found by
 * hashing. Neighbours in memory are neighbours in the table: what lies close together is looked
 * up without a cache miss for each, as a hash table of millions of addresses would have.
 *
 * Two addresses in one granule share a word: the later one has it. Numbers are not 0. For one
 * thread at a time. Zero-initialised is empty.
 */
#ifndef MP_PLACES_H
#define MP_PLACES_H

#include "base/mem.h"

enum { MP_PLACES_SHIFT = 22, MP_PLACES_WORDS = 1 << (MP_PLACES_SHIFT - 4) };

struct mp_places_chunk {
    uintptr_t region; /* address >> MP_PLACES_SHIFT */
    uint32_t *words;  /* NULL: a free slot */
};

struct mp_places {
    struct mp_places_chunk *chunks; /* an open-addressing table */
    size_t slots, count;
};

/* The slot of a region, or a free one. There is one. */
static inline struct mp_places_chunk *
mp_places_chunk(const struct mp_places *places, uintptr_t region)
{
    size_t slot = (region * 0x9e3779b97f4a7c15u) >> 32 & (places->slots - 1);
    while (places->chunks[slot].words && places->chunks[slot].region != region)
        slot = (slot + 1) & (places->slots - 1);
    return &places->chunks[slot];
}

/* The number at an address, 0 for none. */
static inline uint32_t
mp_places_find(const struct mp_places *places, uintptr_t address)
{
    if (!places->slots)
        return 0;
    const uint32_t *words = mp_places_chunk(places, address >> MP_PLACES_SHIFT)->words;
    return words ? words[address >> 4 & (MP_PLACES_WORDS - 1)] : 0;
}

MP_WARN_UNUSED int mp_places_set(struct mp_places *places, uintptr_t address, uint32_t number);
void mp_places_destroy(struct mp_places *places);

/* Bytes of address space that it has, of which only what is used is resident. */
size_t mp_places_memory(const struct mp_places *places);

/* True when each region is found where it is; otherwise *why says what is broken. */
bool mp_places_check(const struct mp_places *places, const char **why);

#endif
