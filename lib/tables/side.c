#include "tables/side.h"

#include <assert.h>
#include <string.h>

#include "base/debug.h"
#include "base/table.h"

static size_t
home_of(const struct mp_side *side, uint64_t domain, uintptr_t address)
{
    return mp_hash_mix(domain, address) >> 20 & (side->capacity - 1);
}

/* The slot of a key, or the free one where it belongs. The table is never full. */
static struct mp_side_entry *
slot_of(const struct mp_side *side, uint64_t domain, uintptr_t address)
{
    size_t i = home_of(side, domain, address);
    assert(atomic_load(&side->used) < side->capacity);
    while (side->slots[i].site &&
           (side->slots[i].address != address || side->slots[i].domain != domain))
        i = (i + 1) & (side->capacity - 1);
    return &side->slots[i];
}

static bool
make_room(struct mp_side *side)
{
    if (side->capacity && atomic_load(&side->used) < side->capacity / 2)
        return true;
    struct mp_side larger = {.capacity = side->capacity ? side->capacity * 2 : 256};
    larger.slots = mp_mem_new(larger.capacity * sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < side->capacity; i++) {
        const struct mp_side_entry *entry = &side->slots[i];
        if (entry->site)
            *slot_of(&larger, entry->domain, entry->address) = *entry;
    }
    mp_mem_free(side->slots, side->capacity * sizeof *side->slots);
    side->slots = larger.slots;
    side->capacity = larger.capacity;
    return true;
}

/* Backward-shift deletion: close the gap that a removed entry leaves. */
static void
remove_slot(struct mp_side *side, size_t gap)
{
    const size_t mask = side->capacity - 1;
    assert(gap <= mask && side->slots[gap].site && atomic_load(&side->used) > 0);
    for (size_t i = (gap + 1) & mask; side->slots[i].site; i = (i + 1) & mask) {
        const size_t home = home_of(side, side->slots[i].domain, side->slots[i].address);
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        side->slots[gap] = side->slots[i];
        gap = i;
    }
    memset(&side->slots[gap], 0, sizeof side->slots[gap]);
    atomic_fetch_sub(&side->used, 1);
}

int
mp_side_put(struct mp_side *side, const struct mp_side_entry *entry, struct mp_side_entry *old)
{
    int status = MP_NO_MEMORY;
    assert(entry->site != 0);
    mp_spin_lock(&side->lock);
    if (make_room(side)) {
        struct mp_side_entry *slot = slot_of(side, entry->domain, entry->address);
        *old = *slot;
        if (!slot->site)
            atomic_fetch_add(&side->used, 1);
        *slot = *entry;
        status = MP_OK;
        MP_CHECK_WHOLE(mp_side_check, side);
    }
    mp_spin_unlock(&side->lock);
    return status;
}

/* The slot of an entry that is there, or NULL. */
static struct mp_side_entry *
find_slot(const struct mp_side *side, uint64_t domain, uintptr_t address)
{
    struct mp_side_entry *slot = side->capacity ? slot_of(side, domain, address) : NULL;
    return slot && slot->site ? slot : NULL;
}

bool
mp_side_find(struct mp_side *side, uint64_t domain, uintptr_t address, struct mp_side_entry *entry)
{
    mp_spin_lock(&side->lock);
    const struct mp_side_entry *slot = find_slot(side, domain, address);
    if (slot)
        *entry = *slot;
    mp_spin_unlock(&side->lock);
    return slot != NULL;
}

bool
mp_side_take(struct mp_side *side, uint64_t domain, uintptr_t address, struct mp_side_entry *entry)
{
    mp_spin_lock(&side->lock);
    const struct mp_side_entry *slot = find_slot(side, domain, address);
    if (slot) {
        *entry = *slot;
        remove_slot(side, (size_t)(slot - side->slots));
        MP_CHECK_WHOLE(mp_side_check, side);
    }
    mp_spin_unlock(&side->lock);
    return slot != NULL;
}

void
mp_side_each(struct mp_side *side, void (*visit)(const struct mp_side_entry *, void *data),
             void *data)
{
    mp_spin_lock(&side->lock);
    for (size_t i = 0; i < side->capacity; i++)
        if (side->slots[i].site)
            visit(&side->slots[i], data);
    mp_spin_unlock(&side->lock);
}

void
mp_side_clear(struct mp_side *side)
{
    mp_spin_lock(&side->lock);
    mp_mem_free(side->slots, side->capacity * sizeof *side->slots);
    side->slots = NULL;
    side->capacity = 0;
    atomic_store(&side->used, 0);
    mp_spin_unlock(&side->lock);
}

bool
mp_side_check(const struct mp_side *side, const char **why)
{
    const size_t capacity = side->capacity;
    size_t used = 0;
    *why = NULL;
    if ((capacity == 0) != (side->slots == NULL) || (capacity & (capacity - 1)))
        *why = "the side table's capacity is no power of two";
    for (size_t i = 0; i < capacity && !*why; i++)
        used += side->slots[i].site != 0;
    if (!*why && used != atomic_load(&side->used))
        *why = "the side table has another number of entries than it says";
    else if (!*why && capacity && used >= capacity)
        *why = "the side table is full";
    for (size_t i = 0; i < capacity && !*why; i++) {
        const struct mp_side_entry *entry = &side->slots[i];
        if (entry->site && slot_of(side, entry->domain, entry->address) != entry)
            *why = "an entry of the side table cannot be found";
    }
    return *why == NULL;
}
