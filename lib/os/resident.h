/* resident: the resident set of this process again and again, cheaply.
 *
 * /proc/self/statm is opened once and read in place (pread, below a microsecond). After
 * fork(), and when somebody has closed the descriptor, it is opened anew. All bytes, any
 * thread; a signal handler may interrupt.
 */
#ifndef MP_RESIDENT_H
#define MP_RESIDENT_H

#include <stdint.h>

/* Resident set size now; -1 when it cannot be read. */
int64_t mp_resident_now(void);

/* The sum over all descendants of this process; 0 when there is none. */
int64_t mp_resident_children(void);

/* Resident set size of a process, -1 when there is none of that id; the sum over its
 * descendants. 0 stands for this process. */
int64_t mp_resident_of(int pid);
int64_t mp_resident_descendants(int pid);

/* Let the kernel's high-water mark begin anew at what is resident now; not 0 when it cannot
 * be. mp_process_memory() (process_memory.h) reads it. */
int mp_resident_reset_peak(void);

#endif
