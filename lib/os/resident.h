/* resident: the resident set of this process again and again, cheaply.
 *
 * /proc/self/statm is opened once and read in place (pread, below a microsecond). After
 * fork(), and when somebody has closed the descriptor, it is opened anew. All bytes, any
 * thread; a signal handler may interrupt.
 */
#ifndef MP_RESIDENT_H
#define MP_RESIDENT_H

#include <stdint.h>

/* What is meant by memory: the resident set, with shared pages divided among those who share
 * them (PSS), or without them (USS). The last two cost 0.1 ms and more each time. */
enum mp_resident_metric { MP_RSS, MP_PSS, MP_USS, MP_RESIDENT_METRICS };

/* Resident set size of this process now; -1 when it cannot be read. */
int64_t mp_resident_now(void);

/* The same of any process and metric, -1 when there is none of that id (or it is not ours); the
 * sum over its descendants. A pid of 0 stands for this process. */
int64_t mp_resident_of(int pid, enum mp_resident_metric metric);
int64_t mp_resident_descendants(int pid, enum mp_resident_metric metric);

/* Let the kernel's high-water mark begin anew at what is resident now; not 0 when it cannot
 * be. mp_process_memory() (process_memory.h) reads it. */
int mp_resident_reset_peak(void);

#endif
