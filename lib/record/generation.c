#include "record/generation.h"

#include <assert.h>

#include "base/debug.h"

/* Wraps to a number that is neither 0 nor MP_NO_GENERATION. */
static uint32_t
generation_after(uint32_t generation, uint32_t steps)
{
    return generation < MP_NO_GENERATION - steps ? generation + steps : MP_DEATHS;
}

void
mp_generation_begin(struct mp_generation *it)
{
    mp_generation_end(it);
    it->last = generation_after(it->last, MP_DEATHS); /* too far for anybody to catch up */
    atomic_store(&it->now, it->last);
    MP_CHECK_WHOLE(mp_generation_check, it);
}

bool
mp_generation_end(struct mp_generation *it)
{
    const uint32_t generation = atomic_exchange(&it->now, 0);
    if (generation)
        it->last = generation;
    return generation != 0;
}

void
mp_generation_note_death(struct mp_generation *it, const struct mp_death *death)
{
    assert(!death || death->begin < death->end);
    uint32_t next, generation = atomic_load(&it->now);
    do {
        if (!generation)
            return;
        next = generation_after(generation, death ? 1 : MP_DEATHS);
        if (death) {
            atomic_store(&it->deaths[next % MP_DEATHS].begin, death->begin);
            atomic_store(&it->deaths[next % MP_DEATHS].end, death->end);
            atomic_store(&it->deaths[next % MP_DEATHS].birth, death->birth);
        }
    } while (!atomic_compare_exchange_weak(&it->now, &generation, next));
}

/* False when the thread is too far behind, or so much has died meanwhile that it may have read
 * what was written in the place of the deaths it looked for. */
static bool
catch_up(const struct mp_generation *it, struct mp_thread *self, uint32_t now)
{
    const uint32_t behind = now - self->generation;
    if (self->generation == MP_NO_GENERATION || behind > MP_FEW_DEATHS)
        return false;
    for (uint32_t i = now - behind + 1; i != now + 1; i++) {
        const struct mp_death death = {
            .begin = atomic_load(&it->deaths[i % MP_DEATHS].begin),
            .end = atomic_load(&it->deaths[i % MP_DEATHS].end),
            .birth = atomic_load(&it->deaths[i % MP_DEATHS].birth),
        };
        mp_thread_forget(self, i, &death);
    }
    return atomic_load(&it->now) - now < MP_DEATHS - MP_FEW_DEATHS;
}

void
mp_generation_renew(const struct mp_generation *it, struct mp_thread *self, uint32_t now)
{
    assert(now != 0 && now != MP_NO_GENERATION);
    if (!catch_up(it, self, now))
        mp_thread_flush(self, now);
    assert(self->generation == now);
}

bool
mp_generation_check(const struct mp_generation *it, const char **why)
{
    const uint32_t now = atomic_load(&it->now);
    *why = NULL;
    if (now == MP_NO_GENERATION || it->last == MP_NO_GENERATION)
        *why = "a trace has the generation of none";
    else if (now && now < MP_DEATHS)
        *why = "a generation is lower than those of traces";
    for (int i = 0; i < MP_DEATHS && !*why; i++)
        if (atomic_load(&it->deaths[i].begin) > atomic_load(&it->deaths[i].end))
            *why = "a code object ends in front of its begin";
    return *why == NULL;
}
