#define _GNU_SOURCE
#include "os/malloc_stats.h"

#include <dlfcn.h>
#include <malloc.h>
#include <string.h>

typedef int mallctl_function(const char *name, void *old, size_t *old_size, void *value,
                             size_t value_size);

static int64_t
jemalloc_statistic(mallctl_function *mallctl, const char *name)
{
    size_t value = 0, size = sizeof value;
    return mallctl(name, &value, &size, NULL, 0) == 0 ? (int64_t)value : -1;
}

/* True when jemalloc is the process's allocator (preloaded or linked). */
static bool
read_jemalloc(struct mp_malloc_stats *heap)
{
    mallctl_function *mallctl = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "mallctl");
    memcpy(&mallctl, &symbol, sizeof mallctl); /* ISO C has no cast for it */
    if (!mallctl)
        return false;
    uint64_t epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    heap->jemalloc = true;
    heap->in_use = jemalloc_statistic(mallctl, "stats.allocated");
    heap->active = jemalloc_statistic(mallctl, "stats.active");
    heap->resident = jemalloc_statistic(mallctl, "stats.resident");
    heap->retained = jemalloc_statistic(mallctl, "stats.retained");
    heap->known = heap->in_use >= 0 && heap->resident >= 0;
    heap->free = heap->known ? heap->resident - heap->in_use : 0;
    return true;
}

void
mp_malloc_stats(struct mp_malloc_stats *heap)
{
    memset(heap, 0, sizeof *heap);
    if (read_jemalloc(heap))
        return;
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    const struct mallinfo2 info = mallinfo2();
    heap->known = true;
    heap->in_use = (int64_t)(info.uordblks + info.hblkhd);
    heap->free = (int64_t)info.fordblks;
#endif
}
