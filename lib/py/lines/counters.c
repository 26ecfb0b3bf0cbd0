#include "py/lines/counters.h"

#include <pthread.h>

#include "py/lines/suspended.h"

/* ---- counters ------------------------------------------------------------------------- */

static inline int64_t
get(const mp_number *it)
{
    return atomic_load_explicit(it, memory_order_relaxed);
}

static size_t
block_size(const struct mp_lines *lines)
{
    return sizeof(struct mp_line_block) + (size_t)lines->options.count * sizeof(struct mp_line_slot);
}

struct mp_lines *
mp_lines_new(const struct mp_lines_options *options)
{
    struct mp_lines *lines = mp_mem_new(sizeof *lines);
    if (!lines)
        return NULL;
    lines->options = *options;
    atomic_store(&lines->references, 1);
    atomic_store(&lines->baseline, -1);
    return lines;
}

void
mp_lines_release(struct mp_lines *lines)
{
    if (atomic_fetch_sub(&lines->references, 1) > 1)
        return;
    for (struct mp_line_block *next, *block = atomic_load(&lines->blocks); block; block = next) {
        next = block->next;
        mp_mem_free(block, block_size(lines));
    }
    mp_mem_free(lines, sizeof *lines);
}

struct mp_line_block *
mp_lines_block(struct mp_lines *lines, const struct mp_thread *self)
{
    struct mp_line_block *head = atomic_load_explicit(&lines->blocks, memory_order_acquire);
    for (struct mp_line_block *block = head; block; block = block->next)
        if (block->owner == self)
            return block;
    struct mp_line_block *block = mp_mem_new(block_size(lines));
    if (!block)
        return NULL;
    block->owner = self;
    for (int i = 0; i < lines->options.count; i++)
        atomic_init(&block->slots[i].level, INT64_MIN);
    block->next = head;
    while (!atomic_compare_exchange_weak(&lines->blocks, &block->next, block))
        ;
    return block;
}

bool
mp_lines_read(const struct mp_lines *lines, int line, struct mp_line *sum)
{
    const int index = line - lines->options.first;
    *sum = (struct mp_line){.level = INT64_MIN};
    if (index < 0 || index >= lines->options.count)
        return false;
    for (const struct mp_line_block *block = atomic_load(&lines->blocks); block; block = block->next) {
        const struct mp_line_slot *slot = &block->slots[index];
        sum->hits += get(&slot->hits);
        sum->allocated += get(&slot->allocated);
        sum->freed += get(&slot->freed);
        sum->rss_change += get(&slot->rss_change);
        if (get(&slot->peak) > sum->peak)
            sum->peak = get(&slot->peak);
        if (get(&slot->level) > sum->level)
            sum->level = get(&slot->level);
        if (get(&slot->rss) > sum->rss)
            sum->rss = get(&slot->rss);
    }
    return sum->hits || sum->allocated || sum->freed || sum->rss;
}

/* ---- selected code -------------------------------------------------------------------- */

struct selection {
    const PyCodeObject *code;
    struct mp_lines *lines;
    bool is_part;
    uint32_t next; /* in its bucket; 0 is the end */
};

enum { BUCKETS = 1 << 12 };

static struct mp_spin lock = {ATOMIC_FLAG_INIT}; /* guards all but `filter` */
static uint32_t buckets[BUCKETS];
static struct selection *selections; /* [0] is not used */
static uint32_t selections_capacity, selections_used = 1, selections_vacant;
static _Atomic uint32_t filter[BUCKETS]; /* selections in each bucket */

static uint32_t
bucket_of(const PyCodeObject *code)
{
    return ((uintptr_t)code >> 4) * 0x9e3779b97f4a7c15u >> 52 & (BUCKETS - 1);
}

bool
mp_lines_may_select(const PyCodeObject *code)
{
    return atomic_load_explicit(&filter[bucket_of(code)], memory_order_relaxed) != 0;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
set_up(void)
{
    (void)mp_spin_register(&lock, MP_RANK_SELECTION);
    mp_suspended_register_lock();
}

static uint32_t
new_selection(void)
{
    uint32_t index = selections_vacant;
    if (index) {
        selections_vacant = selections[index].next;
        return index;
    }
    if (selections_used >= selections_capacity) {
        const uint32_t wanted = selections_capacity ? selections_capacity * 2 : 64;
        void *grown = mp_mem_grow(selections, selections_capacity * sizeof *selections,
                                  wanted * sizeof *selections);
        if (!grown)
            return 0;
        selections = grown;
        selections_capacity = wanted;
    }
    return selections_used++;
}

int
mp_lines_select(struct mp_lines *lines, const PyCodeObject *code, bool is_part)
{
    pthread_once(&once, set_up);
    mp_spin_lock(&lock);
    const uint32_t index = new_selection(), bucket = bucket_of(code);
    if (index) {
        selections[index] = (struct selection){code, lines, is_part, buckets[bucket]};
        buckets[bucket] = index;
        atomic_fetch_add(&filter[bucket], 1);
        atomic_fetch_or(&lines->session, 1);
    }
    mp_spin_unlock(&lock);
    return index ? MP_OK : MP_NO_MEMORY;
}

void
mp_lines_deselect(struct mp_lines *lines)
{
    if (!(atomic_load(&lines->session) & 1))
        return;
    mp_spin_lock(&lock);
    atomic_fetch_add(&lines->session, 1);
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (uint32_t *link = &buckets[bucket]; *link;) {
            const uint32_t index = *link;
            struct selection *selection = &selections[index];
            if (selection->lines != lines) {
                link = &selection->next;
                continue;
            }
            *link = selection->next;
            *selection = (struct selection){.next = selections_vacant};
            selections_vacant = index;
            atomic_fetch_sub(&filter[bucket], 1);
        }
    }
    mp_spin_unlock(&lock);
}

void
mp_lines_find(const PyCodeObject *code, struct mp_found *found)
{
    found->count = 0;
    if (!mp_lines_may_select(code))
        return;
    mp_spin_lock(&lock);
    for (uint32_t i = buckets[bucket_of(code)]; i && found->count < MP_FOUND_MAX; i = selections[i].next)
        if (selections[i].code == code) {
            found->is_part[found->count] = selections[i].is_part;
            found->lines[found->count++] = selections[i].lines;
            atomic_fetch_add(&selections[i].lines->references, 1);
        }
    mp_spin_unlock(&lock);
}

bool
mp_lines_is_selected(const PyCodeObject *code)
{
    struct mp_found found;
    mp_lines_find(code, &found);
    for (int i = 0; i < found.count; i++)
        mp_lines_release(found.lines[i]);
    return found.count > 0;
}
