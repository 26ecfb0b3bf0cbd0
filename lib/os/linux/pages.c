#define _GNU_SOURCE
#include "os/pages.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

size_t
mp_pages_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static inline bool /* for asserts */
is_whole(uintptr_t begin, size_t size)
{
    return ((begin | size) & (mp_pages_size() - 1)) == 0;
}

static void *
map(size_t size, int extra_flags)
{
    assert(is_whole(0, size));
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void *
mp_pages_map(size_t size)
{
    return map(size, 0);
}

void *
mp_pages_map_sparse(size_t size)
{
    void *pages = map(size, MAP_NORESERVE);
    if (pages)
        madvise(pages, size, MADV_NOHUGEPAGE);
    return pages;
}

void
mp_pages_unmap(void *pages, size_t size)
{
    assert(size && is_whole((uintptr_t)pages, size));
    munmap(pages, size);
}

void *
mp_pages_resize(void *pages, size_t old_size, size_t size)
{
    assert(old_size && size && is_whole((uintptr_t)pages, old_size | size));
    void *moved = mremap(pages, old_size, size, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
}

void
mp_pages_discard(void *pages, size_t size)
{
    assert(is_whole((uintptr_t)pages, size));
    madvise(pages, size, MADV_DONTNEED);
}

/* One word for each page of the address space. */
int
mp_pages_open_states(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

void
mp_pages_close_states(int file)
{
    if (file >= 0)
        close(file);
}

bool
mp_pages_read_states(int file, uintptr_t begin, size_t size, uint64_t *states)
{
    const size_t page = mp_pages_size(), count = (size + page - 1) / page;
    const size_t length = count * sizeof *states;
    assert(is_whole(begin, 0) && states);
    const off_t offset = (off_t)(begin / page * sizeof *states);
    if (file < 0 || pread(file, states, length, offset) != (ssize_t)length)
        return false;
    for (size_t i = 0; i < count; i++)
        states[i] >>= 62; /* the highest bit: resident; the next one: in swap */
    return true;
}
