/* malloc_stats: what the C library's allocator, or jemalloc in its place, says of itself.
 *
 * Any thread. The allocator's own locks are taken for a moment; never call from a hook.
 */
#ifndef MP_MALLOC_STATS_H
#define MP_MALLOC_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct mp_malloc_stats {
    bool known;
    bool jemalloc;
    int64_t in_use;   /* bytes handed out: glibc uordblks + hblkhd, jemalloc stats.allocated */
    int64_t free;     /* bytes kept for later: glibc fordblks, jemalloc resident - allocated */
    int64_t active, resident, retained; /* jemalloc only */
};

void mp_malloc_stats(struct mp_malloc_stats *heap);

#endif
