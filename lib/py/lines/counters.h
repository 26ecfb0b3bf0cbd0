/* counters: those of the lines of selected functions.
 *
 * activations.h counts in them. A line has a slot in each thread that reached it, written by
 * that thread only; who reads while a function runs sees a moment of it.
 *
 * Ownership: a `struct mp_lines` has one reference for its maker and one for each
 * activation. No Python and no lock in here.
 */
#ifndef MP_COUNTERS_H
#define MP_COUNTERS_H

#include "base/mem.h"
#include "os/process.h"

struct mp_thread;

struct mp_lines_options {
    int first, count; /* the lines that are counted: those of a function and what is in it */
    bool every_line;  /* read the resident memory at each line */
    bool children;    /* with that of child processes */
    enum mp_process_metric metric; /* what is meant by resident memory */
};

/* The numbers of a line; bytes. What an inner function's lines have is in the outer one's. */
struct mp_line {
    int64_t hits;      /* times it was begun; of a function's first line: calls */
    int64_t allocated, freed;
    int64_t peak;      /* most above the level at the entry, not below 0 */
    int64_t level;     /* most above the level at the entry when it ended */
    int64_t rss;       /* most when it ended */
    int64_t rss_change;
};

typedef _Atomic int64_t mp_number; /* one writer; others read relaxed */

/* One line in one thread: a cache line. */
struct mp_line_slot {
    mp_number hits, allocated, freed, peak, level, rss, rss_change;
    uint32_t standing; /* the innermost activation that stands here: index + 1, 0 for none */
    uint16_t calm;     /* times that it ended without a change of resident memory */
    uint16_t skipped;  /* times that nobody looked */
};

/* The lines of a function in one thread. */
struct mp_line_block {
    const struct mp_thread *owner;
    struct mp_line_block *next;
    struct mp_line_slot slots[];
};

/* The lines of one function, for one profiler. */
struct mp_lines {
    struct mp_lines_options options;
    _Atomic uint32_t references;
    _Atomic uint32_t session;     /* odd while selected; one more each time that changes */
    _Atomic int64_t baseline;     /* resident memory when the first activation began, or -1 */
    struct mp_line_block *_Atomic blocks; /* push-only */
};

MP_WARN_UNUSED struct mp_lines *mp_lines_new(const struct mp_lines_options *options);
void mp_lines_release(struct mp_lines *lines);

/* Sum over all threads; false for a line that was never reached. */
bool mp_lines_read(const struct mp_lines *lines, int line, struct mp_line *sum);

/* The calling thread's block; NULL when there is no memory for one. */
struct mp_line_block *mp_lines_block(struct mp_lines *lines, const struct mp_thread *self);

#endif
