#include "base/mem.h"

#include "base/debug.h"
#include "os/pages.h"

static _Atomic size_t mapped;
static _Atomic long fail_countdown;

size_t
mp_mem_page(void)
{
    return mp_pages_size();
}

static size_t
page_round(size_t size)
{
    const size_t page = mp_mem_page();
    assert((page & (page - 1)) == 0);
    return (size + page - 1) & ~(page - 1);
}

static inline bool /* for asserts */
is_on_a_page(const void *memory)
{
    return ((uintptr_t)memory & (mp_mem_page() - 1)) == 0;
}

/* ---- register of what is mapped, to ask the kernel what of it is resident ------------- */

enum { AREAS = 1 << 14 };

static struct {
    _Atomic uintptr_t address; /* 0: free */
    _Atomic size_t size;
} areas[AREAS];

static _Atomic size_t areas_end;    /* one past the last slot that was ever used */
static _Atomic size_t unregistered; /* bytes for which there was no slot */

static void
register_area(const void *memory, size_t size)
{
    for (size_t i = 0; i < AREAS; i++) {
        uintptr_t expected = 0;
        if (atomic_load_explicit(&areas[i].address, memory_order_relaxed) ||
            !atomic_compare_exchange_strong(&areas[i].address, &expected, (uintptr_t)memory))
            continue;
        atomic_store(&areas[i].size, size);
        size_t end = atomic_load(&areas_end);
        while (end <= i && !atomic_compare_exchange_weak(&areas_end, &end, i + 1))
            ;
        return;
    }
    atomic_fetch_add(&unregistered, size);
}

static void
unregister_area(const void *memory, size_t size)
{
    const size_t end = atomic_load(&areas_end);
    for (size_t i = 0; i < end; i++)
        if (atomic_load_explicit(&areas[i].address, memory_order_relaxed) == (uintptr_t)memory) {
            assert(atomic_load(&areas[i].size) == size); /* freed with the size it was had with */
            atomic_store(&areas[i].size, 0);
            atomic_store(&areas[i].address, 0);
            return;
        }
    atomic_fetch_sub(&unregistered, size);
}

bool
mp_mem_touched(const void *memory, size_t size, uint64_t *touched)
{
    assert(is_on_a_page(memory));
    if (size > MP_MEM_PAGES * mp_mem_page())
        return false;
    const int file = mp_pages_open_states();
    const bool known = mp_pages_read_states(file, (uintptr_t)memory, size, touched);
    mp_pages_close_states(file);
    return known;
}

/* Zero for an area that is unmapped meanwhile. */
static size_t
resident_of(int file, uintptr_t memory, size_t size)
{
    uint64_t states[MP_MEM_PAGES];
    const size_t page = mp_mem_page(), batch = MP_MEM_PAGES * page;
    size_t resident = 0;

    for (size_t at = 0; at < size; at += batch) {
        const size_t length = size - at < batch ? size - at : batch;
        if (!mp_pages_read_states(file, memory + at, length, states))
            return size; /* not known: all of it */
        for (size_t i = 0; i < (length + page - 1) / page; i++)
            resident += states[i] & MP_PAGE_RESIDENT ? page : 0;
    }
    return resident;
}

size_t
mp_mem_resident(void)
{
    const size_t end = atomic_load(&areas_end);
    const int file = mp_pages_open_states();
    size_t resident = atomic_load(&unregistered);
    for (size_t i = 0; i < end; i++)
        resident += resident_of(file, atomic_load(&areas[i].address),
                                atomic_load(&areas[i].size));
    mp_pages_close_states(file);
    return resident;
}

/* ---- areas ---------------------------------------------------------------------------- */

static bool
must_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0)
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

/* `size` bytes are whole pages here. */
static void *
map_area(size_t size, void *map(size_t))
{
    void *memory = must_fail() ? NULL : map(size);
    assert(is_on_a_page(memory));
    if (memory)
        register_area(memory, size);
    return memory;
}

static void
unmap_area(void *memory, size_t size)
{
    assert(is_on_a_page(memory));
    unregister_area(memory, size); /* before another thread can get the address */
    mp_pages_unmap(memory, size);
}

void *
mp_mem_new(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = page_round(size ? size : 1);
    void *memory = map_area(size, mp_pages_map);
    if (memory)
        atomic_fetch_add_explicit(&mapped, size, memory_order_relaxed);
    return memory;
}

void
mp_mem_free(void *memory, size_t size)
{
    if (!memory)
        return;
    size = page_round(size ? size : 1);
    unmap_area(memory, size);
    atomic_fetch_sub_explicit(&mapped, size, memory_order_relaxed);
}

void *
mp_mem_new_sparse(size_t size)
{
    return map_area(page_round(size), mp_pages_map_sparse);
}

void
mp_mem_free_sparse(void *memory, size_t size)
{
    if (memory)
        unmap_area(memory, page_round(size));
}

void
mp_mem_clear_sparse(void *memory, size_t size)
{
    assert(memory && is_on_a_page(memory));
    mp_pages_discard(memory, page_round(size));
}

void *
mp_mem_grow(void *memory, size_t old_size, size_t size)
{
    if (!memory)
        return mp_mem_new(size);
    if (size > SIZE_MAX / 2 || must_fail())
        return NULL;
    assert(is_on_a_page(memory));
    old_size = page_round(old_size ? old_size : 1);
    size = page_round(size ? size : 1);
    if (size == old_size)
        return memory;
    unregister_area(memory, old_size); /* before another thread can get the address */
    void *grown = mp_pages_resize(memory, old_size, size);
    register_area(grown ? grown : memory, grown ? size : old_size);
    if (!grown)
        return NULL;
    atomic_fetch_add_explicit(&mapped, size - old_size, memory_order_relaxed);
    return grown;
}

size_t
mp_mem_mapped(void)
{
    return atomic_load_explicit(&mapped, memory_order_relaxed);
}

void
mp_mem_fail_nth(long n)
{
    atomic_store(&fail_countdown, n);
}

/* ---- arena ---------------------------------------------------------------- */

enum { CHUNK_SIZE = 1 << 18 };

struct mp_arena_chunk {
    struct mp_arena_chunk *previous;
    size_t size;
    _Atomic size_t used;
};

static struct mp_arena_chunk *
new_chunk(size_t payload, struct mp_arena_chunk *previous)
{
    const size_t needed = payload + sizeof(struct mp_arena_chunk);
    const size_t size = needed > CHUNK_SIZE ? needed : CHUNK_SIZE;
    struct mp_arena_chunk *chunk = mp_mem_new(size);
    if (!chunk)
        return NULL;
    assert(size > payload);
    chunk->previous = previous;
    chunk->size = size;
    atomic_store(&chunk->used, sizeof(struct mp_arena_chunk));
    return chunk;
}

void *
mp_arena_new(struct mp_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 7) & ~(size_t)7;
    for (;;) {
        struct mp_arena_chunk *chunk = atomic_load(&arena->chunk);
        if (chunk && size <= chunk->size) { /* larger ones must not move `used` round */
            const size_t at = atomic_fetch_add(&chunk->used, size);
            if (at <= chunk->size && size <= chunk->size - at)
                return (char *)chunk + at;
        }
        struct mp_arena_chunk *fresh = new_chunk(size, chunk);
        if (!fresh)
            return NULL;
        if (!atomic_compare_exchange_strong(&arena->chunk, &chunk, fresh))
            mp_mem_free(fresh, fresh->size); /* another thread was first */
    }
}

/* What is used of a chunk goes beyond its end where pieces that did not fit were asked for. */
static const char *
why_bad(const struct mp_arena_chunk *chunk)
{
    const size_t used = atomic_load(&chunk->used);
    if (chunk->size < CHUNK_SIZE)
        return "a chunk of the arena is too small";
    if (used < sizeof *chunk || used % 8 != 0)
        return "a chunk of the arena is used in part of a piece";
    return NULL;
}

bool
mp_arena_check(const struct mp_arena *arena, const char **why)
{
    size_t total = 0;
    *why = NULL;
    for (const struct mp_arena_chunk *chunk = atomic_load(&arena->chunk); chunk && !*why;
         chunk = chunk->previous) {
        *why = why_bad(chunk);
        total += chunk->size;
        if (!*why && total > mp_mem_mapped())
            *why = "the chunks of the arena are more than there is, or a cycle";
    }
    return *why == NULL;
}

void
mp_arena_destroy(struct mp_arena *arena)
{
    MP_CHECK_WHOLE(mp_arena_check, arena);
    struct mp_arena_chunk *chunk = atomic_exchange(&arena->chunk, NULL);
    while (chunk) {
        struct mp_arena_chunk *previous = chunk->previous;
        mp_mem_free(chunk, chunk->size);
        chunk = previous;
    }
}
