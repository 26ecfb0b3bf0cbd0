#include "base/spin.h"

#include <sched.h>

void
mp_spin_lock(struct mp_spin *lock)
{
    for (int tries = 0; atomic_flag_test_and_set_explicit(&lock->taken, memory_order_acquire);)
        if (++tries % 64 == 0)
            sched_yield();
}

void
mp_spin_unlock(struct mp_spin *lock)
{
    atomic_flag_clear_explicit(&lock->taken, memory_order_release);
}
