#include "py/lines/counters.h"

#include "base/debug.h"
#include "base/mem.h"

static inline int64_t
get(const mp_number *it)
{
    return atomic_load_explicit(it, memory_order_relaxed);
}

static size_t
block_size(const struct mp_lines *lines)
{
    const size_t count = (size_t)lines->options.count;
    return sizeof(struct mp_line_block) + count * sizeof(struct mp_line_slot);
}

struct mp_lines *
mp_lines_new(const struct mp_lines_options *options)
{
    assert(options->first >= 0 && options->count > 0);
    assert(options->metric >= 0 && options->metric < MP_PROCESS_METRICS);
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
    assert(atomic_load(&lines->references) > 0);
    if (atomic_fetch_sub(&lines->references, 1) > 1)
        return;
    assert(!(atomic_load(&lines->session) & 1)); /* who selects has a reference */
    for (struct mp_line_block *next, *block = atomic_load(&lines->blocks); block; block = next) {
        next = block->next;
        mp_mem_free(block, block_size(lines));
    }
    mp_mem_free(lines, sizeof *lines);
}

struct mp_line_block *
mp_lines_block(struct mp_lines *lines, const struct mp_thread *self)
{
    assert(self);
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
    const struct mp_line_block *block = atomic_load(&lines->blocks);
    for (; block; block = block->next) {
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
