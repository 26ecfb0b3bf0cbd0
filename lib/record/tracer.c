#include "record/tracer.h"

#include <assert.h>
#include <pthread.h>

#include "base/debug.h"

_Static_assert(MP_TABLE_MAX <= MP_SITE_MASK, "an entry has room for each site");
_Static_assert(MP_TABLE_MAX < MP_LANE_CHUNK * MP_LANE_CHUNKS, "a lane has a tally for each site");

struct mp_tracer mp_tracer;

/* ---- checks: the whole is looked at as it changes (debug.h) ----------------------------- */

static bool
check_tables(const struct mp_tracer *tracer, const char **why)
{
    return mp_depot_check(&tracer->depot, why) && mp_shadow_check(&tracer->shadow, why) &&
           mp_side_check(&tracer->side, why) && mp_side_check(&tracer->births, why) &&
           mp_lanes_check(&tracer->lanes, why) &&
           mp_generation_check(&tracer->generation, why);
}

/* Only then is everything at rest: no event is half done. */
static bool
is_alone(void)
{
    return mp_thread_count() == (mp_thread_current != NULL);
}

/* Not whether entries equal tallies: where frees are hidden (py/alloc/chain.h) they may differ. */
static inline bool
check_if_alone(const struct mp_tracer *tracer, const char **why)
{
    return !is_alone() || !tracer->ready || check_tables(tracer, why);
}

/* At each power of two: at each site it would take the square of their number. */
static inline bool
check_new_site(const uint32_t *site, const char **why)
{
    return (*site & (*site - 1)) || !is_alone() || mp_depot_check(&mp_tracer.depot, why);
}

/* ---- fork ------------------------------------------------------------------------ */

static bool
register_locks(void)
{
    return mp_spin_register(&mp_tracer.life, MP_RANK_LIFE) &&
           mp_spin_register(&mp_tracer.lanes.reserve_lock, MP_RANK_RESERVE) &&
           mp_spin_register(&mp_tracer.side.lock, MP_RANK_SIDE) &&
           mp_spin_register(&mp_tracer.births.lock, MP_RANK_BIRTHS);
}

static void
after_fork_in_child(void)
{
    const bool alone = is_alone();
    mp_thread_after_fork();
    assert(is_alone());
    if (alone) /* others may have been in the middle of an event */
        MP_CHECK_WHOLE(check_if_alone, &mp_tracer);
}

/* ---- life ------------------------------------------------------------------------- */

int
mp_tracer_start(void)
{
    if (!mp_tracer.ready) {
        const int status = mp_depot_init(&mp_tracer.depot);
        if (status != MP_OK)
            return status;
        if (!register_locks() || pthread_atfork(NULL, NULL, after_fork_in_child)) {
            mp_depot_destroy(&mp_tracer.depot);
            return MP_NO_MEMORY;
        }
        mp_tracer.ready = true;
    }
    mp_tracer_clear();
    return MP_OK;
}

void
mp_tracer_activate(void)
{
    assert(mp_tracer.ready);
    mp_generation_begin(&mp_tracer.generation);
}

void
mp_tracer_clear(void)
{
    const bool active = mp_generation_end(&mp_tracer.generation);
    atomic_fetch_add(&mp_tracer.clears, 1);
    mp_thread_quiesce(MP_QUIESCE_PATIENCE);
    MP_CHECK_WHOLE(check_if_alone, &mp_tracer);
    mp_shadow_clear(&mp_tracer.shadow);
    mp_side_clear(&mp_tracer.side);
    mp_side_clear(&mp_tracer.births);
    atomic_store(&mp_tracer.last_birth, MP_BIRTH_NEVER_DIES);
    mp_lanes_clear(&mp_tracer.lanes);
    atomic_store(&mp_tracer.lost, 0);
    MP_CHECK_WHOLE(check_if_alone, &mp_tracer);
    if (active) /* with a new generation: the marks of code objects are gone */
        mp_tracer_activate();
}

void
mp_tracer_stop(void)
{
    mp_generation_end(&mp_tracer.generation);
    mp_tracer_clear();
}

/* ---- slow paths ------------------------------------------------------------------- */

void
mp_tracer_lose(void)
{
    atomic_fetch_add_explicit(&mp_tracer.lost, 1, memory_order_relaxed);
}

void
mp_tracer_code_died(bool main, const struct mp_entry *entry)
{
    struct mp_side_entry birth = {.site = 0}; /* not known: all may have been met later */
    assert(entry->word & MP_CODE);
    mp_side_take(&mp_tracer.births, 0, entry->address, &birth);
    const struct mp_death death = {entry->address, entry->address + entry->size, birth.site};
    /* One at a time may tell of its place: whoever may write the main lane. The size is 0 when
     * its allocation was not traced. */
    mp_generation_note_death(&mp_tracer.generation, main && entry->size ? &death : NULL);
}

bool
mp_tracer_enter_slow(struct mp_thread *self, uint32_t before)
{
    const uint32_t now = atomic_load(&mp_tracer.generation.now);
    assert(atomic_load(&self->guard) == MP_GUARD_RECORDING);
    if (!now) {
        mp_tracer_leave(self, before);
        return false;
    }
    mp_generation_renew(&mp_tracer.generation, self, now);
    mp_lanes_note_thread(&mp_tracer.lanes);
    return true;
}

uint32_t
mp_tracer_site(const struct mp_site *site)
{
    assert(site->kind < MP_KINDS && site->small <= MP_SMALL_MAX + 1);
    const uint32_t id = mp_depot_site(&mp_tracer.depot, site);
    MP_CHECK_WHOLE(check_new_site, &id);
    return id && mp_lanes_reach(&mp_tracer.lanes, id) ? id : 0;
}

void
mp_tracer_free_odd(bool main, uintptr_t address)
{
    struct mp_entry entry;
    mp_tracer_take(address, &entry);
    if (entry.word)
        mp_tracer_settle(main, &entry);
}

bool
mp_tracer_take_side(uint64_t domain, uintptr_t address, struct mp_entry *entry)
{
    struct mp_side_entry found;
    if (!mp_side_any(&mp_tracer.side) ||
        !mp_side_take(&mp_tracer.side, domain, address, &found))
        return false;
    *entry = (struct mp_entry){found.site, found.size, address};
    return true;
}

/* A large block keeps its site in the shadow table, so that its free finds it. */
static void
write_oversize(uintptr_t address, uint32_t word)
{
    mp_word *words = mp_shadow_reach(&mp_tracer.shadow, address);
    assert(word & MP_SITE_MASK);
    if (!words)
        return;
    mp_word_store(words, word);
    mp_word_store(words + 1, MP_SIZE_IN_SIDE);
}

uint64_t
mp_site_small_size(uint32_t site)
{
    const struct mp_site *record = mp_table_peek(&mp_tracer.depot.sites, site);
    return record && record->small ? record->small - 1u : 0;
}

bool
mp_word_is_entry(uint32_t word)
{
    return (word & ~(MP_SITE_MASK | MP_CODE | MP_SMALL)) == 0 &&
           (word & MP_SITE_MASK) <= mp_table_count(&mp_tracer.depot.sites);
}

/* Entries are parsed from a word that is no size: one after a 0, or the first of its chunk. */
void
mp_tracer_evict(bool main, uintptr_t address)
{
    const mp_word *words = mp_shadow_find(&mp_tracer.shadow, address);
    const uintptr_t granule = address >> 4 & (MP_CHUNK_WORDS - 1);
    uintptr_t back = 0;
    assert(words && mp_word_load(words));
    while (back < granule && mp_word_load(words - back - 1))
        back++;
    while (back > 0) {
        const uint32_t word = mp_word_load(words - back);
        const uintptr_t length = (word & MP_SMALL) || !(word & MP_SITE_MASK) ? 1 : 2;
        if (length > back)
            break;
        back -= length;
    }
    mp_tracer_free(main, address - back * MP_GRANULE);
}

bool
mp_tracer_record_side(bool main, const struct mp_side_entry *entry)
{
    const uintptr_t address = entry->address;
    struct mp_side_entry old;
    struct mp_entry stale;
    const bool hooked = entry->domain == MP_SIDE_HOOK && mp_shadow_covers(address);

    if (hooked)
        mp_tracer_free(main, address); /* an entry whose free was hidden from us */
    else if (mp_tracer_take_side(entry->domain, address, &stale))
        mp_tracer_settle(main, &stale);
    if (!entry->site || (hooked && !mp_shadow_reach(&mp_tracer.shadow, address)) ||
        mp_side_put(&mp_tracer.side, entry, &old) != MP_OK) {
        mp_tracer_lose();
        return false;
    }
    mp_lanes_count_alloc(&mp_tracer.lanes, main, entry->site, entry->size);
    if (hooked)
        write_oversize(address, entry->site);
    if (old.site)
        mp_lanes_count_free(&mp_tracer.lanes, main, old.site & MP_SITE_MASK, old.size);
    return true;
}

void
mp_tracer_record_odd(bool main, uintptr_t address, size_t size, uint32_t site)
{
    if (!mp_shadow_covers(address) || size >= MP_SIZE_IN_SIDE) {
        const struct mp_side_entry entry = {MP_SIDE_HOOK, address, size, site};
        mp_tracer_record_side(main, &entry);
        return;
    }
    mp_word *words = mp_shadow_reach(&mp_tracer.shadow, address);
    if (words && mp_word_load(words) != 0) /* its free was hidden from us */
        mp_tracer_evict(main, address);
    if (words && size > MP_SMALL_MAX && mp_word_load(words + 1) != 0)
        mp_tracer_free(main, address + MP_GRANULE);
    if (!words || !site) {
        mp_tracer_lose();
        return;
    }
    mp_lanes_count_alloc(&mp_tracer.lanes, main, site, size);
    if (size <= MP_SMALL_MAX) {
        mp_word_store(words, site | MP_SMALL);
        return;
    }
    mp_word_store(words, site);
    mp_word_store(words + 1, (uint32_t)size);
}

void
mp_tracer_put_back_side(uintptr_t address, const struct mp_entry *entry)
{
    assert(entry->word != 0 && entry->address == address);
    const struct mp_side_entry back = {MP_SIDE_HOOK, address, entry->size, entry->word};
    struct mp_side_entry old;
    if (mp_side_put(&mp_tracer.side, &back, &old) != MP_OK) {
        mp_lanes_count_free(&mp_tracer.lanes, false, entry->word & MP_SITE_MASK, entry->size);
        mp_tracer_lose();
    } else if (mp_shadow_covers(address))
        write_oversize(address, entry->word);
}

/* ---- questions ----------------------------------------------------------------------- */

static uint64_t
exact_size(uintptr_t address, uint32_t word, uint32_t size)
{
    struct mp_side_entry found;
    assert(word & MP_SITE_MASK);
    if (word & MP_SMALL)
        return mp_site_small_size(word & MP_SITE_MASK);
    if (size == MP_SIZE_IN_SIDE &&
        mp_side_find(&mp_tracer.side, MP_SIDE_HOOK, address, &found))
        return found.size;
    return size;
}

bool
mp_tracer_look_up(uintptr_t address, struct mp_entry *entry)
{
    struct mp_side_entry found;
    if (!mp_shadow_covers(address)) {
        if (!mp_side_find(&mp_tracer.side, MP_SIDE_HOOK, address, &found))
            return false;
        *entry = (struct mp_entry){found.site, found.size, address};
        return true;
    }
    const mp_word *words = mp_shadow_find(&mp_tracer.shadow, address);
    const uint32_t word = words ? mp_word_load(words) : 0;
    if (!(word & MP_SITE_MASK) || !mp_word_is_entry(word))
        return false;
    *entry =
        (struct mp_entry){word, exact_size(address, word, mp_word_load(words + 1)), address};
    return true;
}

static uint32_t
birth_of(uintptr_t address)
{
    struct mp_side_entry birth;
    return mp_side_find(&mp_tracer.births, 0, address, &birth) ? birth.site : MP_BIRTH_UNKNOWN;
}

static uint32_t
note_birth(uintptr_t address)
{
    if (atomic_load(&mp_tracer.last_birth) >= MP_BIRTH_UNKNOWN - 1)
        return MP_BIRTH_UNKNOWN;
    struct mp_side_entry old, birth = {.address = address};
    birth.site = atomic_fetch_add(&mp_tracer.last_birth, 1) + 1;
    return mp_side_put(&mp_tracer.births, &birth, &old) == MP_OK ? birth.site : MP_BIRTH_UNKNOWN;
}

uint32_t
mp_tracer_mark_code(uintptr_t address)
{
    assert(address != 0);
    if (!mp_shadow_covers(address))
        return MP_BIRTH_NEVER_DIES; /* not a block of an allocator */
    mp_word *words = mp_shadow_reach(&mp_tracer.shadow, address);
    if (!words)
        return 0;
    /* Of two threads one marks it; until it has noted the birth that is not known to the other. */
    const uint32_t before = atomic_fetch_or(words, MP_CODE);
    return before & MP_CODE ? birth_of(address) : note_birth(address);
}

struct each {
    void (*visit)(uint32_t site, uint64_t size, uintptr_t address, void *data);
    void *data;
};

static void
visit_shadow(uintptr_t address, uint32_t word, uint32_t size, void *data)
{
    const struct each *each = data;
    if ((word & MP_SITE_MASK) && mp_word_is_entry(word))
        each->visit(word & MP_SITE_MASK, exact_size(address, word, size), address, each->data);
}

static void
visit_side(const struct mp_side_entry *entry, void *data)
{
    const struct each *each = data;
    assert(entry->site & MP_SITE_MASK);
    if (entry->domain != MP_SIDE_HOOK || !mp_shadow_covers(entry->address))
        each->visit(entry->site & MP_SITE_MASK, entry->size, entry->address, each->data);
}

void
mp_tracer_each(void (*visit)(uint32_t site, uint64_t size, uintptr_t address, void *data),
               void *data)
{
    struct each each = {visit, data};
    mp_shadow_each(&mp_tracer.shadow, visit_shadow, &each);
    mp_side_each(&mp_tracer.side, visit_side, &each);
}

size_t
mp_tracer_memory(void)
{
    return mp_mem_resident();
}

/* ---- check --------------------------------------------------------------------------- */

struct check {
    struct mp_counts *live; /* by site, from the entries */
    uint32_t sites;
    bool bad_site;
};

static void
add_block(uint32_t site, uint64_t size, uintptr_t address, void *data)
{
    struct check *check = data;
    (void)address;
    if (site > check->sites) {
        check->bad_site = true;
        return;
    }
    check->live[site].bytes += size;
    check->live[site].blocks++;
}

/* Do the tallies of each site say what its entries add up to? */
static const char *
compare_with_tallies(const struct check *check)
{
    if (check->bad_site)
        return "an entry has a site that does not exist";
    for (uint32_t site = 1; site <= check->sites; site++) {
        struct mp_totals totals;
        mp_lanes_totals(&mp_tracer.lanes, site, &totals);
        if (totals.live.bytes != check->live[site].bytes)
            return "live bytes of a site differ from the sum of its entries";
        if (totals.live.blocks != check->live[site].blocks)
            return "live blocks of a site differ from the number of its entries";
    }
    return NULL;
}

bool
mp_tracer_check(const char **why)
{
    if (!check_tables(&mp_tracer, why))
        return false;
    struct check check = {.sites = mp_table_count(&mp_tracer.depot.sites)};
    const size_t size = (check.sites + 1) * sizeof *check.live;

    *why = "no memory for the check";
    check.live = mp_mem_new(size);
    if (!check.live)
        return false;
    mp_tracer_each(add_block, &check);
    *why = compare_with_tallies(&check);
    mp_mem_free(check.live, size);
    return *why == NULL;
}
