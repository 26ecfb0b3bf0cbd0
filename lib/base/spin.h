/* spin: a lock that waits by spinning, and gives the processor up now and then.
 *
 * Zero-initialised is free. The locks of memprof and their order: record/thread.h.
 */
#ifndef MP_SPIN_H
#define MP_SPIN_H

#include <stdatomic.h>

struct mp_spin {
    atomic_flag taken;
};

void mp_spin_lock(struct mp_spin *lock);
void mp_spin_unlock(struct mp_spin *lock);

#endif
