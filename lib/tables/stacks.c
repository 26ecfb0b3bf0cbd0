#include "tables/stacks.h"

#include <assert.h>
#include <string.h>

/* Where a run begins. Its words say on which stack, and with which location. */
struct branch {
    struct mp_record record;
    uint32_t first;
};

/* A branch that is looked for. */
struct key {
    struct branch branch;
    const struct mp_stacks *stacks;
    uint32_t parent, location;
};

/* ---- words ------------------------------------------------------------------------------ */

static _Atomic uint32_t *
word_at(const struct mp_stacks *stacks, uint32_t id)
{
    _Atomic uint32_t *chunk = atomic_load_explicit(&stacks->chunks[id / MP_STACKS_CHUNK_WORDS],
                                                   memory_order_acquire);
    return chunk ? chunk + id % MP_STACKS_CHUNK_WORDS : NULL;
}

/* 0 where there is none yet. */
static uint32_t
read_word(const struct mp_stacks *stacks, uint32_t id)
{
    const _Atomic uint32_t *word = word_at(stacks, id);
    return word ? atomic_load_explicit(word, memory_order_relaxed) : 0;
}

static bool
is_location(uint32_t word)
{
    return word && !(word & MP_STACKS_HEADER);
}

static bool
branch_equal(const void *record, const void *key)
{
    const struct branch *branch = record;
    const struct key *wanted = key;
    const _Atomic uint32_t *first = word_at(wanted->stacks, branch->first);
    return atomic_load_explicit(first, memory_order_relaxed) == wanted->location &&
           atomic_load_explicit(first - 1, memory_order_relaxed) ==
               (wanted->parent | MP_STACKS_HEADER);
}

static uint64_t
hash_of(const struct key *key)
{
    return mp_hash_mix(0, (uint64_t)key->parent << 32 | key->location);
}

/* ---- life ----------------------------------------------------------------------------------- */

int
mp_stacks_init(struct mp_stacks *stacks)
{
    memset(stacks, 0, sizeof *stacks);
    return mp_table_init(&stacks->branches, sizeof(struct branch), 12, branch_equal);
}

void
mp_stacks_destroy(struct mp_stacks *stacks)
{
    mp_table_destroy(&stacks->branches);
    for (unsigned i = 0; i < MP_STACKS_CHUNKS; i++)
        mp_mem_free((void *)atomic_load(&stacks->chunks[i]),
                    MP_STACKS_CHUNK_WORDS * sizeof(uint32_t));
    memset(stacks, 0, sizeof *stacks);
}

/* ---- new runs --------------------------------------------------------------------------------- */

static bool
reach_chunk(struct mp_stacks *stacks, uint32_t id)
{
    _Atomic uint32_t *_Atomic *slot = &stacks->chunks[id / MP_STACKS_CHUNK_WORDS];
    if (MP_LIKELY(atomic_load_explicit(slot, memory_order_acquire) != NULL))
        return true;
    _Atomic uint32_t *fresh = mp_mem_new(MP_STACKS_CHUNK_WORDS * sizeof(uint32_t));
    _Atomic uint32_t *none = NULL;
    if (!fresh)
        return false;
    if (!atomic_compare_exchange_strong(slot, &none, fresh))
        mp_mem_free((void *)fresh, MP_STACKS_CHUNK_WORDS * sizeof(uint32_t));
    return true;
}

/* Take `count` words of one chunk, for the caller alone; the id of the first, 0: none are left. */
static uint32_t
take_words(struct mp_stacks *stacks, uint32_t count)
{
    for (;;) {
        if (atomic_load_explicit(&stacks->used, memory_order_relaxed) >= MP_STACKS_MAX - count)
            return 0;
        const uint32_t first = atomic_fetch_add(&stacks->used, count) + 1;
        const uint32_t last = first + count - 1;
        if (last > MP_STACKS_MAX)
            return 0;
        if (first / MP_STACKS_CHUNK_WORDS == last / MP_STACKS_CHUNK_WORDS)
            return reach_chunk(stacks, first) ? first : 0;
    }
}

/* Write a run; the id of its first location, 0: no memory. */
static uint32_t
write_run(struct mp_stacks *stacks, uint32_t parent, const uint32_t *locations, uint32_t count)
{
    const uint32_t header = take_words(stacks, count + 1);
    if (!header)
        return 0;
    _Atomic uint32_t *word = word_at(stacks, header);
    atomic_store_explicit(word, parent | MP_STACKS_HEADER, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        atomic_store_explicit(word + 1 + i, locations[i], memory_order_relaxed);
    return header + 1;
}

/* Another thread was first, or there is no memory for the branch. */
static void
erase_run(struct mp_stacks *stacks, uint32_t first, uint32_t count)
{
    for (uint32_t id = first + count; id-- > first - 1;)
        atomic_store_explicit(word_at(stacks, id), 0, memory_order_relaxed);
}

/* Begin a run with all locations; the id of the first. *written: how many of them are new. */
static uint32_t
add_run(struct mp_stacks *stacks, struct key *key, const uint32_t *locations, uint32_t count,
        uint32_t *written)
{
    if (count > MP_STACKS_RUN_MAX)
        count = MP_STACKS_RUN_MAX;
    const uint32_t first = write_run(stacks, key->parent, locations, count);
    if (!first)
        return 0;
    key->branch.first = first;
    const uint32_t branch = mp_table_intern(&stacks->branches, hash_of(key), key);
    const struct branch *found = branch ? mp_table_at(&stacks->branches, branch) : NULL;
    *written = count;
    if (found && found->first == first)
        return first;
    erase_run(stacks, first, count);
    *written = 1;
    return found ? found->first : 0;
}

uint32_t
mp_stacks_push(struct mp_stacks *stacks, uint32_t parent, const uint32_t *locations,
               uint32_t count, uint32_t *ids)
{
    struct key key = {.stacks = stacks, .parent = parent};
    assert(!parent || is_location(read_word(stacks, parent)));
    for (uint32_t i = 0; i < count;) {
        uint32_t known = 1;
        key.location = locations[i];
        assert(is_location(key.location));
        uint32_t id = key.parent + 1;
        if (!key.parent || id % MP_STACKS_CHUNK_WORDS == 0 ||
            read_word(stacks, id) != key.location) {
            const uint32_t branch = mp_table_find(&stacks->branches, hash_of(&key), &key);
            id = branch ? ((const struct branch *)mp_table_at(&stacks->branches, branch))->first
                        : add_run(stacks, &key, locations + i, count - i, &known);
        }
        if (!id)
            return 0;
        for (; known; known--, i++, id++)
            if (ids)
                ids[i] = id;
        key.parent = id - 1;
    }
    return key.parent;
}

/* ---- questions ------------------------------------------------------------------------------------ */

bool
mp_stacks_at(const struct mp_stacks *stacks, uint32_t id, uint32_t *parent, uint32_t *location)
{
    if (id < 2 || id > mp_stacks_count(stacks) || id % MP_STACKS_CHUNK_WORDS == 0)
        return false;
    const uint32_t word = read_word(stacks, id), before = read_word(stacks, id - 1);
    if (!is_location(word) || !before)
        return false;
    *location = word;
    *parent = before & MP_STACKS_HEADER ? before & MP_STACKS_LOCATION : id - 1;
    return true;
}

/* Does a branch lead to the run whose header is at `id`? */
static bool
is_led_to(const struct mp_stacks *stacks, uint32_t id)
{
    const struct key key = {.stacks = stacks,
                            .parent = read_word(stacks, id) & MP_STACKS_LOCATION,
                            .location = read_word(stacks, id + 1)};
    const uint32_t branch = mp_table_find(&stacks->branches, hash_of(&key), &key);
    return branch &&
           ((const struct branch *)mp_table_at(&stacks->branches, branch))->first == id + 1;
}

bool
mp_stacks_check(const struct mp_stacks *stacks, const char **why)
{
    if (!mp_table_check(&stacks->branches, why))
        return false;
    for (uint32_t id = 1; id <= mp_stacks_count(stacks) && !*why; id++) {
        const uint32_t word = read_word(stacks, id), before = read_word(stacks, id - 1);
        if (word & MP_STACKS_HEADER) {
            if ((word & ~MP_STACKS_HEADER) >= id)
                *why = "a stack is older than its caller";
            else if (!is_location(read_word(stacks, id + 1)))
                *why = "a run is empty";
            else if (!is_led_to(stacks, id))
                *why = "no branch leads to a run";
        } else if (word && !before)
            *why = "a location is in no run";
    }
    return *why == NULL;
}
