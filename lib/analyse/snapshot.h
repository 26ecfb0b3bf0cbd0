/* snapshot: the tallies of all sites at one moment, frozen.
 *
 * Rows and symbols never change once made; analysis (group, diff, growth) and the
 * profile file work on snapshots only: no Python, no globals, no threads. A
 * snapshot is used by one thread at a time.
 */
#ifndef MP_SNAPSHOT_H
#define MP_SNAPSHOT_H

#include "tables/series.h"
#include "analyse/explained.h"
#include "analyse/symbols.h"
#include "tables/tally.h"

/* The numbers of one site. Several rows may have the same stack and kind. */
struct mp_row {
    uint32_t stack;
    uint32_t domain; /* of memprof_track, else 0 */
    uint32_t kind;   /* enum mp_kind */
    uint32_t padding;
    struct mp_totals totals;
};

/* What is known of the whole process: name, and what the number means. All bytes
 * unless the name says otherwise; -1 where it is not known. */
#define MP_FACTS(FACT)                                                                    \
    FACT(pid, "process id")                                                               \
    FACT(started_ns, "start of the trace, nanoseconds since 1970")                        \
    FACT(duration_ns, "from the start of the trace to the snapshot, nanoseconds")         \
    FACT(traced, "bytes of traced blocks that are live")                                  \
    FACT(peak, "the most there ever were")                                                \
    FACT(total_bytes, "bytes of all allocations")                                         \
    FACT(total_blocks, "number of all allocations")                                       \
    FACT(lost, "events that could not be recorded")                                       \
    FACT(own, "memory of memprof itself")                                                 \
    FACT(rss, "resident set of the process")                                              \
    FACT(peak_rss, "the largest it ever was")                                             \
    FACT(rss_files, "resident pages of mapped files")                                     \
    FACT(rss_shared, "resident shared memory")                                            \
    FACT(stack, "stack of the main thread")                                               \
    FACT(traced_small, "live traced blocks of at most 512 bytes in pymalloc's arenas")    \
    FACT(traced_c_heap, "live traced blocks on the C heap")                               \
    FACT(arenas, "memory of pymalloc's arenas")                                           \
    FACT(c_heap_in_use, "handed out by the C library's allocator")                        \
    FACT(c_heap_free, "kept by it for later")                                             \
    FACT(jemalloc, "1 when jemalloc is the C heap")                                       \
    FACT(jemalloc_active, "pages in use by jemalloc")                                     \
    FACT(jemalloc_resident, "pages resident in jemalloc")                                 \
    FACT(jemalloc_retained, "address space that jemalloc retains")

#define MP_FACT_MEMBER(name, meaning) int64_t name;

struct mp_facts {
    MP_FACTS(MP_FACT_MEMBER)
};

/* The facts as a table: MP_FACT_COUNT entries, and the value of one. */
#define MP_FACT_ONE(name, meaning) +1
enum { MP_FACT_COUNT = 0 MP_FACTS(MP_FACT_ONE), MP_FACT_NAME_SIZE = 24 };

extern const char mp_fact_names[MP_FACT_COUNT][MP_FACT_NAME_SIZE];
int64_t *mp_fact_value(struct mp_facts *facts, size_t index);

struct mp_snapshot {
    struct mp_symbols *symbols; /* one reference */
    size_t count;
    size_t capacity;            /* rows that `rows` has memory for */
    struct mp_row *rows;
    struct mp_facts facts;
    struct mp_series series;    /* of call stacks; empty when none was recorded */
    char *note;                 /* "key=value" lines, UTF-8: command line, versions */
    size_t note_size;
    struct mp_explained explained; /* of its leaks; empty where none were explained */
};

/* A snapshot without rows but with room for `capacity`; takes over a reference to
 * `symbols`. NULL when there is no memory (the reference is released). */
MP_WARN_UNUSED struct mp_snapshot *mp_snapshot_new(struct mp_symbols *symbols, size_t capacity);
void mp_snapshot_free(struct mp_snapshot *snapshot);

/* Replace the note by a copy of `size` bytes. */
MP_WARN_UNUSED int mp_snapshot_set_note(struct mp_snapshot *snapshot, const char *note,
                                        size_t size);

/* A copy with the rows for which keep[i] is true; symbols are shared, facts and note
 * copied, the series and what explains its leaks left out. */
MP_WARN_UNUSED struct mp_snapshot *mp_snapshot_select(const struct mp_snapshot *snapshot,
                                                      const bool *keep);

bool mp_snapshot_check(const struct mp_snapshot *snapshot, const char **why);

static inline void
mp_totals_add(struct mp_totals *sum, const struct mp_totals *more)
{
    sum->live.bytes += more->live.bytes;
    sum->live.blocks += more->live.blocks;
    sum->peak.bytes += more->peak.bytes;
    sum->peak.blocks += more->peak.blocks;
    sum->total.bytes += more->total.bytes;
    sum->total.blocks += more->total.blocks;
}

#endif
