/* clock: what time it is, and a counter of elapsed time that costs a few nanoseconds to read.
 *
 * Times are nanoseconds where nothing else is said. Any thread.
 */
#ifndef MP_CLOCK_H
#define MP_CLOCK_H

#include <stdint.h>

/* Of a clock that nobody sets: what counts is the difference of two. */
uint64_t mp_time_now(void);

/* Since 1970. */
int64_t mp_time_of_day(void);

/* Of an unknown, constant rate. By the machine: a counter that is read without a call, or the
 * time. */
static inline uint64_t mp_ticks(void);

#if defined(__x86_64__)
static inline uint64_t
mp_ticks(void)
{
    return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
static inline uint64_t
mp_ticks(void)
{
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
static inline uint64_t
mp_ticks(void)
{
    return mp_time_now();
}
#endif

/* How many ticks `nanoseconds` are; takes that long. */
uint64_t mp_ticks_of(uint64_t nanoseconds);

#endif
