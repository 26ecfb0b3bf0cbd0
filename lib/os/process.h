/* process: what the kernel says about the memory of this process and of others.
 *
 * All sizes are bytes, -1 stands for what it does not say. Any thread may call any of these, and
 * a signal handler may interrupt; nothing is locked. Nothing is allocated, but by
 * mp_process_descendants(), which lists a folder.
 */
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#include <stdint.h>

/* What is meant by memory: the resident set, with shared pages divided among those who share
 * them (PSS), or without them (USS). The last two cost 0.1 ms and more each time. */
enum mp_process_metric { MP_RSS, MP_PSS, MP_USS, MP_PROCESS_METRICS };

/* The resident set of this process now; some 5 microseconds. */
int64_t mp_process_rss(void);

/* The same of any process and metric, -1 when there is none of that id (or it is not ours); the
 * sum over its descendants. A pid of 0 stands for this process: its resident set can be asked for
 * again and again, below a microsecond each time, since what is read stays open (until fork(), or
 * until somebody closes it). */
int64_t mp_process_resident(int pid, enum mp_process_metric metric);
int64_t mp_process_descendants(int pid, enum mp_process_metric metric);

struct mp_process_memory {
    int64_t rss, peak_rss; /* the resident set, and the kernel's high-water mark of it */
    int64_t anonymous;     /* of these private memory, */
    int64_t files;         /* pages of mapped files (the binary, its libraries), */
    int64_t shared;        /* and shared memory */
    int64_t stack;         /* of the main thread, mapped */
};

/* All of these for this process; some 20 microseconds. */
void mp_process_memory(struct mp_process_memory *memory);

/* Let the kernel's high-water mark begin anew at what is resident now; not 0 when it cannot be. */
int mp_process_reset_peak(void);

#endif
