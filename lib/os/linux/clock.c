#define _GNU_SOURCE
#include "os/clock.h"

#include <time.h>
#include <assert.h>

enum { SECOND = 1000000000 };

static uint64_t
read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    assert(now.tv_sec >= 0 && now.tv_nsec >= 0 && now.tv_nsec < SECOND);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

uint64_t
mp_time_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
mp_time_of_day(void)
{
    return (int64_t)read_clock(CLOCK_REALTIME);
}

uint64_t
mp_ticks_of(uint64_t nanoseconds)
{
    const uint64_t first = mp_ticks(), end = mp_time_now() + nanoseconds;
    while (mp_time_now() < end)
        ;
    return mp_ticks() - first;
}
