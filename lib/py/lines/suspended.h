/* suspended: the activations of generators and coroutines between two resumptions.
 *
 * Keyed by the frame, which is part of the generator and stays where it is. An entry whose
 * generator was given up without an event is replaced when another one begins at the same
 * address. All functions may be called from any thread; the lock inside is never held across
 * a call into Python.
 */
#ifndef MP_SUSPENDED_H
#define MP_SUSPENDED_H

#include "py/lines/counters.h"

/* The most that are kept. What finds no room begins anew when it is resumed. */
enum { MP_SUSPENDED_MAX = 1 << 18 };

struct mp_suspended {
    const char *frame;
    struct mp_lines *lines; /* one reference; which of the profilers is meant */
    int64_t rise;           /* bytes above the level at the function's entry */
    int32_t line;           /* index of the line it stands on; -1: none */
    uint32_t session;
};

/* Keep an entry; false when there is no room, and its reference stays the caller's. */
bool mp_suspended_put(const struct mp_suspended *entry);

/* Take out one entry of a frame, the one put last first; false when there is none. */
bool mp_suspended_take(const char *frame, struct mp_suspended *entry);

/* Nothing is suspended: no need to look. */
bool mp_suspended_none(void);

/* The lock inside gets its rank (base/spin.h). */
void mp_suspended_register_lock(void);

#endif
