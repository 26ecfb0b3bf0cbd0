#include "tables/shadow.h"

#include <assert.h>
#include <string.h>

#include "base/debug.h"

enum { CHUNK_BYTES = (MP_CHUNK_WORDS + 1) * sizeof(mp_word) };

mp_word *
mp_shadow_add(struct mp_shadow *shadow, uintptr_t address)
{
    const uintptr_t index = address >> MP_CHUNK_SHIFT;
    assert(mp_shadow_covers(address));
    mp_word *chunk = atomic_load(&shadow->chunks[index]);
    if (!chunk) {
        mp_word *fresh = mp_mem_new_sparse(CHUNK_BYTES);
        if (!fresh)
            return NULL;
        atomic_store(&shadow->used[index / MP_CHUNK_GROUP], true);
        if (atomic_compare_exchange_strong(&shadow->chunks[index], &chunk, fresh))
            chunk = fresh;
        else
            mp_mem_free_sparse(fresh, CHUNK_BYTES);
    }
    return chunk + (address >> 4 & (MP_CHUNK_WORDS - 1));
}

/* ---- walks over all chunks ---------------------------------------------------- */

static void
each_chunk(const struct mp_shadow *shadow,
           void (*visit)(mp_word *chunk, uintptr_t base, void *data), void *data)
{
    for (uintptr_t i = 0; i < MP_CHUNKS; i++) {
        if (i % MP_CHUNK_GROUP == 0 && !atomic_load(&shadow->used[i / MP_CHUNK_GROUP])) {
            i += MP_CHUNK_GROUP - 1; /* its page was never touched */
            continue;
        }
        mp_word *chunk = atomic_load(&shadow->chunks[i]);
        if (chunk)
            visit(chunk, i << MP_CHUNK_SHIFT, data);
    }
}

struct walk {
    mp_word *chunk;
    uintptr_t base; /* the address that its first word is of */
    void (*visit)(uintptr_t address, uint32_t site, uint32_t size, void *data);
    void *data;
};

/* Visit the entries that begin in the words `i` up to `end`; the word to go on with. */
static uint32_t
walk_words(const struct walk *walk, uint32_t i, uint32_t end)
{
    const mp_word *chunk = walk->chunk;
    assert(end <= MP_CHUNK_WORDS);
    for (; i < end; i++) {
        const uint32_t site = atomic_load_explicit(chunk + i, memory_order_acquire);
        if (!site)
            continue;
        const bool one_word = (site & MP_SMALL) || !(site & MP_SITE_MASK);
        const uint32_t size = one_word ? 0 : mp_word_load(chunk + i + 1);
        walk->visit(walk->base + (uintptr_t)i * MP_GRANULE, site, size, walk->data);
        i += !one_word;
    }
    return i;
}

/* Pages that were never touched are passed over: reading would map them. */
static void
walk_chunk(mp_word *chunk, uintptr_t base, void *data)
{
    struct walk *walk = data;
    const uint32_t page_words = (uint32_t)(mp_mem_page() / sizeof(mp_word));
    uint64_t touched[MP_MEM_PAGES];
    bool known = false;
    uint32_t i = 0;

    walk->chunk = chunk;
    walk->base = base;
    for (uint32_t page = 0; page * page_words < MP_CHUNK_WORDS; page++) {
        const uint32_t begin = page * page_words, left = MP_CHUNK_WORDS - begin;
        const uint32_t batch = left / page_words < MP_MEM_PAGES ? left / page_words : MP_MEM_PAGES;
        if (page % MP_MEM_PAGES == 0)
            known = mp_mem_touched((const void *)(chunk + begin), batch * mp_mem_page(), touched);
        if (i < begin)
            i = begin;
        if (!known || touched[page % MP_MEM_PAGES])
            i = walk_words(walk, i, begin + page_words);
    }
}

void
mp_shadow_each(const struct mp_shadow *shadow,
               void (*visit)(uintptr_t address, uint32_t site, uint32_t size, void *data),
               void *data)
{
    struct walk walk = {.visit = visit, .data = data};
    each_chunk(shadow, walk_chunk, &walk);
}

static void
clear_chunk(mp_word *chunk, uintptr_t base, void *data)
{
    (void)base, (void)data;
    mp_mem_clear_sparse((void *)chunk, CHUNK_BYTES);
}

void
mp_shadow_clear(struct mp_shadow *shadow)
{
    each_chunk(shadow, clear_chunk, NULL);
    MP_CHECK_WHOLE(mp_shadow_check, shadow);
}

static void
free_chunk(mp_word *chunk, uintptr_t base, void *data)
{
    (void)base, (void)data;
    mp_mem_free_sparse((void *)chunk, CHUNK_BYTES);
}

void
mp_shadow_destroy(struct mp_shadow *shadow)
{
    each_chunk(shadow, free_chunk, NULL);
    for (uintptr_t i = 0; i < MP_CHUNKS; i++)
        if (atomic_load(&shadow->used[i / MP_CHUNK_GROUP]))
            atomic_store(&shadow->chunks[i], NULL);
    memset((void *)shadow->used, 0, sizeof shadow->used);
}

/* ---- check ---------------------------------------------------------------------- */

static void
check_entry(uintptr_t address, uint32_t word, uint32_t size, void *data)
{
    const char **why = data;
    (void)address, (void)size;
    if (word & ~(MP_SITE_MASK | MP_CODE | MP_SMALL))
        *why = "an entry of the shadow table has flags that there are not";
    else if ((word & MP_SMALL) && !(word & MP_SITE_MASK))
        *why = "a small block has no site, which would say its size";
}

bool
mp_shadow_check(const struct mp_shadow *shadow, const char **why)
{
    *why = NULL;
    for (uintptr_t i = 0; i < MP_CHUNKS; i++) {
        if (i % MP_CHUNK_GROUP == 0 && atomic_load(&shadow->used[i / MP_CHUNK_GROUP]))
            i += MP_CHUNK_GROUP - 1;
        else if (atomic_load_explicit(&shadow->chunks[i], memory_order_relaxed))
            *why = "a chunk of the shadow table is in a group that is not used";
    }
    if (!*why)
        mp_shadow_each(shadow, check_entry, (void *)why);
    return *why == NULL;
}
