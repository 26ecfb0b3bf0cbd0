/* mem: the one door to memory.
 *
 * Everything memprof keeps for itself comes from here, straight from the
 * kernel: it never shows up in the numbers of the program that is traced, it
 * cannot re-enter an allocator that we hook, and it is safe in a forked child.
 *
 * All functions are thread-safe and lock-free. Memory comes zeroed.
 */
#ifndef MP_MEM_H
#define MP_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_HIDDEN __attribute__((visibility("hidden")))
#define MP_WARN_UNUSED __attribute__((warn_unused_result))
#define MP_LIKELY(x) __builtin_expect(!!(x), 1)
#define MP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Status of every fallible function: 0 is success, negative is one of these. */
enum mp_status {
    MP_OK = 0,
    MP_NO_MEMORY = -1,
    MP_NOT_TRACING = -2,
    MP_BAD_ARGUMENT = -3,
    MP_SYSTEM = -4,      /* errno says what */
    MP_FOREIGN = -5,     /* not a memprof profile */
    MP_NEWER = -6,       /* a profile of a later version */
    MP_TRUNCATED = -7,
    MP_CORRUPT = -8,
};

/* Zeroed memory of at least `size` bytes, or NULL. Free with the same size. */
MP_WARN_UNUSED void *mp_mem_new(size_t size);
void mp_mem_free(void *memory, size_t size);

/* As mp_mem_new, for a large area of which little will be touched: nothing is
 * reserved for it and it is kept out of huge pages. Not in mp_mem_mapped(). */
MP_WARN_UNUSED void *mp_mem_new_sparse(size_t size);
void mp_mem_free_sparse(void *memory, size_t size);

/* Give the pages of a sparse area back; it reads as zero again. */
void mp_mem_clear_sparse(void *memory, size_t size);

/* Grow to `size` bytes, keeping the contents; NULL leaves the old one valid. */
MP_WARN_UNUSED void *mp_mem_grow(void *memory, size_t old_size, size_t size);

/* Bytes mapped now by mp_mem_new, and bytes resident of all that was obtained here. */
size_t mp_mem_mapped(void);
size_t mp_mem_resident(void);

/* Which pages of an area, at most MP_MEM_PAGES, were ever written: touched[i] is not 0. A
 * walk that reads only those does not make the kernel map the others. False: not known. */
enum { MP_MEM_PAGES = 512 };
MP_WARN_UNUSED bool mp_mem_touched(const void *memory, size_t size, uint64_t *touched);
size_t mp_mem_page(void);

/* Tests only: the n-th request from now fails (1 is the next one), 0 is off. */
void mp_mem_fail_nth(long n);

/* An arena hands out small pieces that live as long as it does. Zero-initialised
 * is empty. mp_arena_new may be called from several threads at once. */
struct mp_arena_chunk;
struct mp_arena {
    struct mp_arena_chunk *_Atomic chunk;
};

MP_WARN_UNUSED void *mp_arena_new(struct mp_arena *arena, size_t size);
void mp_arena_destroy(struct mp_arena *arena);

/* True when its chunks are sound; otherwise *why says what is broken. At rest only. */
bool mp_arena_check(const struct mp_arena *arena, const char **why);

#endif
