/* charging: what a line has allocated goes to its counters; the hot part of activations.h.
 *
 * A thread's activations are a stack, written by the thread only. Where two of them stand on the
 * same line, the inner one's share is left out of the outer one's (`outer`, `shared`).
 */
#ifndef MP_CHARGING_H
#define MP_CHARGING_H

#include "base/debug.h"
#include "py/lines/counters.h"
#include "py/lines/readings.h"
#include "record/thread.h"

static inline void
add(mp_number *it, int64_t amount)
{
    atomic_store_explicit(it, atomic_load_explicit(it, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static inline void
raise_to(mp_number *it, int64_t value)
{
    if (MP_UNLIKELY(value > atomic_load_explicit(it, memory_order_relaxed)))
        atomic_store_explicit(it, value, memory_order_relaxed);
}

/* Bytes since the line began that an inner activation has charged to the same line. */
struct share {
    int64_t allocated, freed, rss;
};

struct activation {
    const char *frame;
    uintptr_t ip;               /* of the instruction that began the line */
    struct mp_lines *lines;     /* one reference */
    struct mp_line_slot *slots; /* of the thread, the first one is for the line `first` */
    int first, count;
    int loop;                   /* offset of a jump to the same line; 0: not known */
    struct mp_reading *reading; /* of resident memory, as `lines` wants it */
    struct mp_line_slot *slot;  /* the line it stands on; NULL: none that is counted */
    int64_t entry;              /* the thread's level when it began */
    int64_t allocated, freed, rss; /* when the line began */
    int64_t high;    /* the thread's highest level on this line, as inner ones told it */
    int64_t highest; /* the same for all its lines */
    struct share shared;
    uint32_t session; /* of `lines`: of another one, the activation is void */
    uint32_t outer;   /* stands on the same line, further out: index + 1 */
};

/* What mp_py_thread.activations points to. */
struct activations {
    struct activation *stack;
    uint32_t count, capacity;
    struct mp_readings readings;
};

/* Times that a line has ended without a change of resident memory, after which it is looked at
 * each eighth time only. */
enum { MP_CHARGING_CALM = 64 };

/* Reading the clock is half of what is left of an event's cost: not always. */
static inline bool
is_to_look(struct mp_line_slot *slot)
{
    return slot->calm < MP_CHARGING_CALM || (++slot->skipped & 7) == 0;
}

static inline void
charge_rss(struct activations *all, struct activation *it, const struct mp_meter *meter)
{
    struct mp_line_slot *slot = it->slot;
    assert(it->reading == mp_reading_of(&all->readings, &it->lines->options));
    if (MP_LIKELY(!is_to_look(slot)) && MP_LIKELY(it->reading->bytes == it->rss))
        return;
    const int64_t now = mp_reading_now(it->reading, meter, &it->lines->options);
    const int64_t change = now - it->rss;
    raise_to(&slot->rss, now);
    if (change || it->lines->options.every_line)
        slot->calm = 0;
    else
        slot->calm = (uint16_t)(slot->calm + (slot->calm < MP_CHARGING_CALM));
    if (change - it->shared.rss)
        add(&slot->rss_change, change - it->shared.rss);
    assert(it->outer < all->count); /* further out, so below it on the stack */
    if (it->outer)
        all->stack[it->outer - 1].shared.rss += change;
}

/* The activation's line begins. */
static inline void
begin(struct activations *all, struct activation *it, const struct mp_meter *meter,
      struct mp_line_slot *slot)
{
    assert(it >= all->stack && it < all->stack + all->count);
    assert(!slot || (slot >= it->slots && slot < it->slots + it->count));
    it->slot = slot;
    it->allocated = (int64_t)meter->allocated;
    it->freed = (int64_t)meter->freed;
    it->rss = it->reading->bytes;
    it->high = mp_meter_net(meter);
    it->shared = (struct share){0};
    if (slot) {
        assert(slot->standing <= it - all->stack); /* further out, or none */
        it->outer = slot->standing;
        slot->standing = (uint32_t)(it - all->stack) + 1;
    }
}

/* The activation's line ends: it is charged. */
static inline void
charge(struct activations *all, struct activation *it, const struct mp_meter *meter)
{
    struct mp_line_slot *slot = it->slot;
    if (meter->high > it->high)
        it->high = meter->high;
    if (it->high > it->highest)
        it->highest = it->high;
    if (!slot)
        return;
    assert(slot >= it->slots && slot < it->slots + it->count);
    const int64_t allocated = (int64_t)meter->allocated - it->allocated;
    const int64_t freed = (int64_t)meter->freed - it->freed;
    add(&slot->allocated, allocated - it->shared.allocated);
    add(&slot->freed, freed - it->shared.freed);
    raise_to(&slot->peak, it->high - it->entry);
    raise_to(&slot->level, mp_meter_net(meter) - it->entry);
    charge_rss(all, it, meter);
    slot->standing = it->outer;
    if (MP_UNLIKELY(it->outer != 0)) {
        struct share *outer = &all->stack[it->outer - 1].shared;
        outer->allocated += allocated;
        outer->freed += freed;
    }
}

#endif
