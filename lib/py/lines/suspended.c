#include "py/lines/suspended.h"

#include "base/debug.h"
#include "base/spin.h"

/* Chained hash table; an index of 0 is the end of a chain. */
struct node {
    struct mp_suspended entry;
    uint32_t next;
};

enum { BUCKETS = 1 << 12 };

static struct mp_spin lock = {ATOMIC_FLAG_INIT}; /* guards all below */
static uint32_t buckets[BUCKETS];
static struct node *nodes; /* [0] is not used */
static uint32_t capacity, used, vacant; /* vacant: chain of nodes given back */
static _Atomic uint32_t count;

static uint32_t *
bucket_of(const char *frame)
{
    return &buckets[((uintptr_t)frame >> 4) * 0x9e3779b97f4a7c15u >> 52 & (BUCKETS - 1)];
}

static bool
grow(void)
{
    assert(!vacant && used == capacity);
    const uint32_t wanted = capacity ? capacity * 2 : 64;
    if (wanted > MP_SUSPENDED_MAX)
        return false;
    struct node *grown = mp_mem_grow(nodes, capacity * sizeof *nodes, wanted * sizeof *nodes);
    if (!grown)
        return false;
    nodes = grown;
    if (!capacity)
        used = 1;
    capacity = wanted;
    return true;
}

static uint32_t
new_node(void)
{
    uint32_t node = vacant;
    if (node)
        vacant = nodes[node].next;
    else if (used < capacity || grow())
        node = used++;
    assert(node < used && used <= capacity);
    return node;
}

bool
mp_suspended_put(const struct mp_suspended *entry)
{
    assert(entry->frame && entry->lines);
    mp_spin_lock(&lock);
    const uint32_t node = new_node();
    if (node) {
        uint32_t *bucket = bucket_of(entry->frame);
        nodes[node] = (struct node){*entry, *bucket};
        *bucket = node;
        atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    }
    mp_spin_unlock(&lock);
    return node != 0;
}

bool
mp_suspended_take(const char *frame, struct mp_suspended *entry)
{
    if (mp_suspended_none())
        return false;
    mp_spin_lock(&lock);
    uint32_t *link = bucket_of(frame);
    while (*link && nodes[*link].entry.frame != frame)
        link = &nodes[*link].next;
    const uint32_t node = *link;
    assert(node < used || !node);
    if (node) {
        assert(atomic_load_explicit(&count, memory_order_relaxed) > 0);
        *entry = nodes[node].entry;
        *link = nodes[node].next;
        nodes[node].next = vacant;
        vacant = node;
        atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
    }
    mp_spin_unlock(&lock);
    return node != 0;
}

bool
mp_suspended_none(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed) == 0;
}

void
mp_suspended_register_lock(void)
{
    (void)mp_spin_register(&lock, MP_RANK_SUSPENDED);
}
