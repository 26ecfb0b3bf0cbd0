/* ticks: a counter of elapsed time that costs a few nanoseconds to read. */
#ifndef MP_CLOCK_H
#define MP_CLOCK_H

#include <stdint.h>

uint64_t mp_nanoseconds(void);

/* Of an unknown, constant rate. */
static inline uint64_t
mp_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return mp_nanoseconds();
#endif
}

/* How many ticks `nanoseconds` are; takes that long. */
uint64_t mp_ticks_of(uint64_t nanoseconds);

#endif
