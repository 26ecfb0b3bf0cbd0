/* threads: what the system knows of threads beyond POSIX's locks.
 *
 * Times are nanoseconds. Any thread may call any of these.
 */
#ifndef MP_THREADS_H
#define MP_THREADS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start a thread of our own: signals are the program's, so none is delivered to it, and its stack
 * is small. 0, or what pthread_create() says. */
int mp_threads_start(pthread_t *thread, void *(*run)(void *), void *data);

/* After the barrier all that other threads wrote before it is seen here, and they see all that
 * was written here, although they write plainly: the one who waits pays, and they do not. Before
 * the first barrier the process registers for it. Where the kernel has no such call (before
 * Linux 4.14) there is nothing to be had, and who waits has to rely on time. */
void mp_threads_register_barrier(void);
void mp_threads_barrier(void);

/* At least so long, unless a signal comes. */
void mp_threads_sleep(uint64_t nanoseconds);

/* Is the caller the thread that the process began with? In a forked child: the one that forked. */
bool mp_threads_is_main(void);

/* The stack of the calling thread: its lowest address, and its size in bytes. False when the
 * system does not say. */
bool mp_threads_stack(uintptr_t *lowest, size_t *size);

#endif
