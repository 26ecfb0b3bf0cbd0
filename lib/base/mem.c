#define _GNU_SOURCE
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic size_t mapped;
static _Atomic long fail_countdown;

size_t
mp_mem_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
page_round(size_t size)
{
    const size_t page = mp_mem_page();
    return (size + page - 1) & ~(page - 1);
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
            atomic_store(&areas[i].size, 0);
            atomic_store(&areas[i].address, 0);
            return;
        }
    atomic_fetch_sub(&unregistered, size);
}

/* One word for each page of the address space: bit 63 present, bit 62 swapped out. Open it
 * anew for each use: it belongs to the process that opened it. */
static int
open_pagemap(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static bool
read_pagemap(int file, uintptr_t memory, size_t size, uint64_t *pages)
{
    const size_t page = mp_mem_page();
    const size_t length = (size + page - 1) / page * sizeof *pages;
    const off_t offset = (off_t)(memory / page * sizeof *pages);
    return file >= 0 && pread(file, pages, length, offset) == (ssize_t)length;
}

bool
mp_mem_touched(const void *memory, size_t size, uint64_t *touched)
{
    const size_t pages = (size + mp_mem_page() - 1) / mp_mem_page();
    if (pages > MP_MEM_PAGES)
        return false;
    const int file = open_pagemap();
    const bool known = read_pagemap(file, (uintptr_t)memory, size, touched);
    if (file >= 0)
        close(file);
    for (size_t i = 0; known && i < pages; i++)
        touched[i] >>= 62;
    return known;
}

/* Zero for an area that is unmapped meanwhile. */
static size_t
resident_of(int pagemap, uintptr_t memory, size_t size)
{
    uint64_t pages[MP_MEM_PAGES];
    const size_t page = mp_mem_page(), batch = MP_MEM_PAGES * page;
    size_t resident = 0;

    for (size_t at = 0; at < size; at += batch) {
        const size_t length = size - at < batch ? size - at : batch;
        if (!read_pagemap(pagemap, memory + at, length, pages))
            return size; /* not known: all of it */
        for (size_t i = 0; i < (length + page - 1) / page; i++)
            resident += (pages[i] >> 63) * page;
    }
    return resident;
}

size_t
mp_mem_resident(void)
{
    const size_t end = atomic_load(&areas_end);
    const int pagemap = open_pagemap();
    size_t resident = atomic_load(&unregistered);
    for (size_t i = 0; i < end; i++)
        resident += resident_of(pagemap, atomic_load(&areas[i].address),
                                atomic_load(&areas[i].size));
    if (pagemap >= 0)
        close(pagemap);
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

static void *
map_pages(size_t size, int extra_flags)
{
    if (must_fail())
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    register_area(memory, size);
    return memory;
}


void *
mp_mem_new(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = page_round(size ? size : 1);
    void *memory = map_pages(size, 0);
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
    unregister_area(memory, size);
    munmap(memory, size);
    atomic_fetch_sub_explicit(&mapped, size, memory_order_relaxed);
}

void *
mp_mem_new_sparse(size_t size)
{
    size = page_round(size);
    void *memory = map_pages(size, MAP_NORESERVE);
    if (memory)
        madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

void
mp_mem_free_sparse(void *memory, size_t size)
{
    if (!memory)
        return;
    unregister_area(memory, page_round(size));
    munmap(memory, page_round(size));
}

void
mp_mem_clear_sparse(void *memory, size_t size)
{
    madvise(memory, page_round(size), MADV_DONTNEED);
}

void *
mp_mem_grow(void *memory, size_t old_size, size_t size)
{
    if (!memory)
        return mp_mem_new(size);
    if (size > SIZE_MAX / 2 || must_fail())
        return NULL;
    old_size = page_round(old_size ? old_size : 1);
    size = page_round(size ? size : 1);
    if (size == old_size)
        return memory;
    unregister_area(memory, old_size); /* before another thread can get the address */
    void *grown = mremap(memory, old_size, size, MREMAP_MAYMOVE);
    register_area(grown == MAP_FAILED ? memory : grown, grown == MAP_FAILED ? old_size : size);
    if (grown == MAP_FAILED)
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

void
mp_arena_destroy(struct mp_arena *arena)
{
    struct mp_arena_chunk *chunk = atomic_exchange(&arena->chunk, NULL);
    while (chunk) {
        struct mp_arena_chunk *previous = chunk->previous;
        mp_mem_free(chunk, chunk->size);
        chunk = previous;
    }
}
