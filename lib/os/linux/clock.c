#define _GNU_SOURCE
#include "os/clock.h"

#include <time.h>

uint64_t
mp_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
mp_ticks_of(uint64_t nanoseconds)
{
    const uint64_t first = mp_ticks(), end = mp_nanoseconds() + nanoseconds;
    while (mp_nanoseconds() < end)
        ;
    return mp_ticks() - first;
}
