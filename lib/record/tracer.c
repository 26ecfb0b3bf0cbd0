#include "record/tracer.h"

#include <pthread.h>

struct mp_tracer mp_tracer;

/* ---- fork ------------------------------------------------------------------------ */

static bool
register_locks(void)
{
    return mp_spin_register(&mp_tracer.life, MP_RANK_LIFE) &&
           mp_spin_register(&mp_tracer.lanes.reserve_lock, MP_RANK_RESERVE) &&
           mp_spin_register(&mp_tracer.side.lock, MP_RANK_SIDE);
}

/* ---- life ------------------------------------------------------------------------- */

int
mp_tracer_start(void)
{
    if (!mp_tracer.ready) {
        const int status = mp_depot_init(&mp_tracer.depot);
        if (status != MP_OK)
            return status;
        if (!register_locks() || pthread_atfork(NULL, NULL, mp_thread_after_fork)) {
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
    mp_generation_begin(&mp_tracer.generation);
}

void
mp_tracer_clear(void)
{
    const bool active = mp_generation_end(&mp_tracer.generation);
    atomic_fetch_add(&mp_tracer.clears, 1);
    mp_thread_quiesce(MP_QUIESCE_PATIENCE);
    mp_shadow_clear(&mp_tracer.shadow);
    mp_side_clear(&mp_tracer.side);
    mp_lanes_clear(&mp_tracer.lanes);
    atomic_store(&mp_tracer.lost, 0);
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
    /* one at a time may tell of its place: whoever may write the main lane */
    const size_t size = main ? entry->size : 0; /* 0, too, when its allocation was not traced */
    mp_generation_note_death(&mp_tracer.generation, entry->address, size);
}

bool
mp_tracer_enter_slow(struct mp_thread *self, uint32_t before)
{
    const uint32_t now = atomic_load(&mp_tracer.generation.now);
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
    const uint32_t id = mp_depot_site(&mp_tracer.depot, site);
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
        !mp_side_get(&mp_tracer.side, domain, address, true, &found))
        return false;
    *entry = (struct mp_entry){found.site, found.size, address};
    return true;
}

/* A large block keeps its site in the shadow table, so that its free finds it. */
static void
write_oversize(uintptr_t address, uint32_t word)
{
    mp_word *words = mp_shadow_reach(&mp_tracer.shadow, address);
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
mp_tracer_record_side(bool main, uint64_t domain, uintptr_t address, size_t size, uint32_t site)
{
    const struct mp_side_entry entry = {domain, address, size, site};
    struct mp_side_entry old;
    struct mp_entry stale;
    const bool hooked = domain == MP_SIDE_HOOK && mp_shadow_covers(address);

    if (hooked)
        mp_tracer_free(main, address); /* an entry whose free was hidden from us */
    else if (mp_tracer_take_side(domain, address, &stale))
        mp_tracer_settle(main, &stale);
    if (!site || (hooked && !mp_shadow_reach(&mp_tracer.shadow, address)) ||
        mp_side_put(&mp_tracer.side, &entry, &old) != MP_OK) {
        mp_tracer_lose();
        return false;
    }
    mp_lanes_count_alloc(&mp_tracer.lanes, main, site, size);
    if (hooked)
        write_oversize(address, site);
    if (old.site)
        mp_lanes_count_free(&mp_tracer.lanes, main, old.site & MP_SITE_MASK, old.size);
    return true;
}

void
mp_tracer_record_odd(bool main, uintptr_t address, size_t size, uint32_t site)
{
    if (!mp_shadow_covers(address) || size >= MP_SIZE_IN_SIDE) {
        mp_tracer_record_side(main, MP_SIDE_HOOK, address, size, site);
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
    if (word & MP_SMALL)
        return mp_site_small_size(word & MP_SITE_MASK);
    if (size == MP_SIZE_IN_SIDE &&
        mp_side_get(&mp_tracer.side, MP_SIDE_HOOK, address, false, &found))
        return found.size;
    return size;
}

bool
mp_tracer_look_up(uintptr_t address, struct mp_entry *entry)
{
    struct mp_side_entry found;
    if (!mp_shadow_covers(address)) {
        if (!mp_side_get(&mp_tracer.side, MP_SIDE_HOOK, address, false, &found))
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

bool
mp_tracer_mark_code(uintptr_t address)
{
    if (!mp_shadow_covers(address))
        return true; /* not a block of an allocator: a code object built into the binary */
    mp_word *words = mp_shadow_reach(&mp_tracer.shadow, address);
    if (words)
        mp_word_store(words, mp_word_load(words) | MP_CODE);
    return words != NULL;
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

bool
mp_tracer_check(const char **why)
{
    if (!mp_depot_check(&mp_tracer.depot, why))
        return false;
    struct check check = {.sites = mp_table_count(&mp_tracer.depot.sites)};
    const size_t size = (check.sites + 1) * sizeof *check.live;
    int64_t sum = 0;

    *why = "no memory for the check";
    check.live = mp_mem_new(size);
    if (!check.live)
        return false;
    mp_tracer_each(add_block, &check);
    *why = check.bad_site ? "an entry has a site that does not exist" : NULL;
    for (uint32_t site = 1; site <= check.sites && !*why; site++) {
        struct mp_totals totals;
        mp_lanes_totals(&mp_tracer.lanes, site, &totals);
        if (totals.live.bytes != check.live[site].bytes)
            *why = "live bytes of a site differ from the sum of its entries";
        else if (totals.live.blocks != check.live[site].blocks)
            *why = "live blocks of a site differ from the number of its entries";
        sum += (int64_t)totals.live.bytes;
    }
    if (!*why && sum != mp_lanes_live(&mp_tracer.lanes))
        *why = "the clock differs from the sum of the tallies";
    mp_mem_free(check.live, size);
    return *why == NULL;
}
