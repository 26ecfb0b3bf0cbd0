/* process_memory: what the kernel says about the memory of this process.
 *
 * One mechanism per function, all bytes. Allocates nothing, takes no lock;
 * any thread.
 */
#ifndef MP_PROCESS_MEMORY_H
#define MP_PROCESS_MEMORY_H

#include <stdint.h>

struct mp_process_memory {
    int64_t rss, peak_rss;       /* VmRSS, VmHWM */
    int64_t anonymous;           /* RssAnon: private memory */
    int64_t files;               /* RssFile: mapped files, the binary and its libraries */
    int64_t shared;              /* RssShmem */
    int64_t stack;               /* VmStk: stack of the main thread (mapped) */
};

/* Resident set size now, from /proc/self/statm; -1 when it cannot be read. */
int64_t mp_process_rss(void);

/* From /proc/self/status; fields that the kernel does not tell are -1. */
void mp_process_memory(struct mp_process_memory *memory);

#endif
