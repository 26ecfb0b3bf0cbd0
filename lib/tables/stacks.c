#include "tables/stacks.h"

#include <string.h>

#include "base/debug.h"

/* Where a run begins. */
struct branch {
    struct mp_record record;
    uint32_t first;
};

/* A branch that is looked for. */
struct key {
    struct branch branch;
    const struct mp_stacks *stacks;
    uint64_t node;
    struct mp_table_gap gap;
};

/* Of the first node of a run: until a branch leads to it nobody may take it for a stack. */
#define FIRST ((uint64_t)1 << 63)

enum { CHUNK_BYTES = MP_STACKS_CHUNK * sizeof(mp_node) };

/* ---- nodes ------------------------------------------------------------------------------ */

static uint64_t
node_of(uint32_t parent, uint32_t location)
{
    return (uint64_t)parent << 32 | location;
}

static uint32_t
parent_of(uint64_t node)
{
    return (uint32_t)((node & ~FIRST) >> 32);
}

/* 0 where there is none yet. */
static uint64_t
read_node(const struct mp_stacks *stacks, uint32_t id)
{
    const mp_node *chunk = id > MP_STACKS_MAX
                               ? NULL
                               : atomic_load_explicit(&stacks->chunks[id / MP_STACKS_CHUNK],
                                                      memory_order_acquire);
    return chunk ? atomic_load_explicit(&chunk[id % MP_STACKS_CHUNK], memory_order_relaxed) : 0;
}

/* Only into memory that was reached. */
static void
write_node(struct mp_stacks *stacks, uint32_t id, uint64_t node)
{
    mp_node *chunk = atomic_load_explicit(&stacks->chunks[id / MP_STACKS_CHUNK],
                                          memory_order_relaxed);
    atomic_store_explicit(&chunk[id % MP_STACKS_CHUNK], node, memory_order_relaxed);
}

static bool
branch_equal(const void *record, const void *key)
{
    const struct key *wanted = key;
    return read_node(wanted->stacks, ((const struct branch *)record)->first) == wanted->node;
}

/* The first node of a branch, 0 for none. */
static uint32_t
first_of(const struct mp_stacks *stacks, uint32_t branch)
{
    return branch ? ((const struct branch *)mp_table_at(&stacks->branches, branch))->first : 0;
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
    MP_CHECK_WHOLE(mp_stacks_check, stacks);
    mp_table_destroy(&stacks->branches);
    for (unsigned i = 0; i < MP_STACKS_CHUNKS; i++)
        mp_mem_free((void *)atomic_load(&stacks->chunks[i]), CHUNK_BYTES);
    memset(stacks, 0, sizeof *stacks);
}

/* ---- new runs ------------------------------------------------------------------------------- */

static bool
reach(struct mp_stacks *stacks, uint32_t id)
{
    mp_node *_Atomic *slot = &stacks->chunks[id / MP_STACKS_CHUNK];
    if (MP_LIKELY(atomic_load_explicit(slot, memory_order_acquire) != NULL))
        return true;
    mp_node *fresh = mp_mem_new(CHUNK_BYTES);
    mp_node *none = NULL;
    if (!fresh)
        return false;
    if (!atomic_compare_exchange_strong(slot, &none, fresh))
        mp_mem_free((void *)fresh, CHUNK_BYTES);
    return true;
}

/* Take ids one after the other, and the memory of their nodes; the first, 0: there is none. */
static uint32_t
take_ids(struct mp_stacks *stacks, uint32_t count)
{
    assert(count && count <= MP_STACKS_CHUNK);
    if (atomic_load_explicit(&stacks->used, memory_order_relaxed) > MP_STACKS_MAX - count)
        return 0;
    const uint32_t first = atomic_fetch_add(&stacks->used, count) + 1;
    if (first > MP_STACKS_MAX - count)
        return 0; /* another thread has taken the last ones */
    return reach(stacks, first) && reach(stacks, first + count - 1) ? first : 0;
}

static void
erase(struct mp_stacks *stacks, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        write_node(stacks, first + i, 0);
}

/* Make a run of *known locations in the key's gap; the id of its first node, 0: no memory. *known
 * becomes how many nodes of it there are: 1 when another thread was first. */
static uint32_t
add_run(struct mp_stacks *stacks, struct key *key, const uint32_t *locations, uint32_t *known)
{
    const uint32_t count = *known < MP_STACKS_CHUNK ? *known : MP_STACKS_CHUNK;
    const uint32_t first = take_ids(stacks, count);
    if (!first)
        return 0;
    write_node(stacks, first, key->node);
    for (uint32_t i = 1; i < count; i++)
        write_node(stacks, first + i, node_of(first + i - 1, locations[i]));

    key->branch.first = first;
    const uint32_t found = first_of(stacks, mp_table_insert(&stacks->branches, &key->gap));
    *known = found == first ? count : 1;
    if (found != first)
        erase(stacks, first, count);
    return found;
}

/* The first node of the branch that the key is of, found or made with all locations from there
 * on. *known: how many those are; becomes how many of them have nodes from that one on. */
static uint32_t
reach_branch(struct mp_stacks *stacks, struct key *key, const uint32_t *locations, uint32_t *known)
{
    const uint32_t branch = mp_table_search(&stacks->branches, mp_hash_mix(0, key->node), key,
                                            &key->gap);
    if (!branch)
        return add_run(stacks, key, locations, known);
    *known = 1;
    return first_of(stacks, branch);
}

uint32_t
mp_stacks_push(struct mp_stacks *stacks, uint32_t parent, uint32_t *frames, uint32_t count)
{
    struct key key = {.stacks = stacks};
    assert(!parent || read_node(stacks, parent));
    for (uint32_t i = 0; i < count;) {
        const uint64_t node = node_of(parent, frames[i]);
        uint32_t id = parent + 1, known = 1;
        assert(frames[i]);
        if (read_node(stacks, id) != node) {
            key.node = node | FIRST;
            known = count - i;
            id = reach_branch(stacks, &key, frames + i, &known);
            if (!id)
                return 0;
        }
        for (; known; known--)
            frames[i++] = id++;
        parent = id - 1;
    }
    return parent;
}

/* ---- questions ------------------------------------------------------------------------------ */

bool
mp_stacks_at(const struct mp_stacks *stacks, uint32_t id, uint32_t *parent, uint32_t *location)
{
    const uint64_t node = read_node(stacks, id);
    *parent = parent_of(node);
    *location = (uint32_t)node;
    return node != 0;
}

static uint32_t
find_branch(const struct key *key)
{
    const struct mp_table *branches = &key->stacks->branches;
    return first_of(key->stacks, mp_table_find(branches, mp_hash_mix(0, key->node), key));
}

bool
mp_stacks_check(const struct mp_stacks *stacks, const char **why)
{
    if (!mp_table_check(&stacks->branches, why))
        return false;
    for (uint32_t id = 1; id <= mp_stacks_count(stacks) && !*why; id++) {
        const struct key key = {.stacks = stacks, .node = read_node(stacks, id)};
        const uint32_t parent = parent_of(key.node);
        if (!key.node)
            continue;
        if (parent >= id)
            *why = "a stack is older than its caller";
        else if (parent && !read_node(stacks, parent))
            *why = "the caller of a stack is a hole";
        else if (key.node & FIRST ? find_branch(&key) != id : parent + 1 != id)
            *why = key.node & FIRST ? "no branch leads to a run" : "a run is broken";
    }
    return *why == NULL;
}
