/* charging: what a line has allocated goes to its counters. The hot part of activations.c. */
#ifndef MP_CHARGING_H
#define MP_CHARGING_H

#include "py/lines/activations.h"

#include "os/clock.h"

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
    struct reading *reading;    /* of resident memory, as `lines` wants it */
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
    struct reading {
        int64_t bytes;
        int64_t traffic; /* of the meter, at the last reading */
        uint64_t ticks;
    } rss[MP_RESIDENT_METRICS][2]; /* [1]: with that of child processes */
};

static inline struct reading *
last_reading(struct activations *all, const struct mp_lines *lines)
{
    return &all->rss[lines->options.metric][lines->options.children];
}

/* Ticks after which resident memory is read again. */
extern uint64_t mp_rss_patience;

/* Slow path of rss_now. */
void mp_charging_read_rss(struct reading *reading, const struct mp_lines_options *options);

/* Resident memory, read again if it can have changed enough. */
static inline int64_t
rss_now(struct reading *reading, const struct mp_meter *meter, const struct mp_lines *lines)
{
    const int64_t traffic = (int64_t)(meter->allocated + meter->freed);
    if (MP_UNLIKELY(lines->options.every_line || traffic - reading->traffic >= MP_RSS_TRAFFIC ||
                    mp_ticks() - reading->ticks >= mp_rss_patience)) {
        reading->traffic = traffic;
        mp_charging_read_rss(reading, &lines->options);
    }
    return reading->bytes;
}

/* The end of a line that has ended MP_RSS_CALM times without a change is looked at each eighth
 * time only: reading the clock is half of what is left of an event's cost. */
static inline bool
is_to_look(struct mp_line_slot *slot)
{
    return slot->calm < MP_RSS_CALM || (++slot->skipped & 7) == 0;
}

static inline void
charge_rss(struct activations *all, struct activation *it, const struct mp_meter *meter)
{
    struct mp_line_slot *slot = it->slot;
    if (MP_LIKELY(!is_to_look(slot)) && MP_LIKELY(it->reading->bytes == it->rss))
        return;
    const int64_t now = rss_now(it->reading, meter, it->lines), change = now - it->rss;
    raise_to(&slot->rss, now);
    if (change || it->lines->options.every_line)
        slot->calm = 0;
    else
        slot->calm = (uint16_t)(slot->calm + (slot->calm < MP_RSS_CALM));
    if (change - it->shared.rss)
        add(&slot->rss_change, change - it->shared.rss);
    if (it->outer)
        all->stack[it->outer - 1].shared.rss += change;
}

/* The activation's line begins. */
static inline void
begin(struct activations *all, struct activation *it, const struct mp_meter *meter,
      struct mp_line_slot *slot)
{
    it->slot = slot;
    it->allocated = (int64_t)meter->allocated;
    it->freed = (int64_t)meter->freed;
    it->rss = it->reading->bytes;
    it->high = mp_meter_net(meter);
    it->shared = (struct share){0};
    if (slot) {
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
