/* ticks: a counter of elapsed time that costs a few nanoseconds to read. */
#ifndef MP_TICKS_H
#define MP_TICKS_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
mp_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

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
static inline uint64_t
mp_ticks_of(uint64_t nanoseconds)
{
    const uint64_t first = mp_ticks(), end = mp_nanoseconds() + nanoseconds;
    while (mp_nanoseconds() < end)
        ;
    return mp_ticks() - first;
}

#endif
