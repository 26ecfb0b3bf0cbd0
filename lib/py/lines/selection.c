#include "py/lines/selection.h"

#include <pthread.h>

#include "base/debug.h"
#include "base/spin.h"
#include "py/lines/suspended.h"

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
mp_selection_may_have(const PyCodeObject *code)
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
        assert(index < selections_used && !selections[index].lines);
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
mp_selection_add(struct mp_lines *lines, const PyCodeObject *code, bool is_part)
{
    assert(lines && code);
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
mp_selection_remove(struct mp_lines *lines)
{
    if (!(atomic_load(&lines->session) & 1))
        return;
    mp_spin_lock(&lock);
    atomic_fetch_add(&lines->session, 1);
    assert(!(atomic_load(&lines->session) & 1));
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (uint32_t *link = &buckets[bucket]; *link;) {
            const uint32_t index = *link;
            struct selection *selection = &selections[index];
            if (selection->lines != lines) {
                link = &selection->next;
                continue;
            }
            assert(bucket_of(selection->code) == bucket);
            assert(atomic_load(&filter[bucket]) > 0);
            *link = selection->next;
            *selection = (struct selection){.next = selections_vacant};
            selections_vacant = index;
            atomic_fetch_sub(&filter[bucket], 1);
        }
    }
    mp_spin_unlock(&lock);
}

void
mp_selection_find(const PyCodeObject *code, struct mp_found *found)
{
    found->count = 0;
    if (!mp_selection_may_have(code))
        return;
    mp_spin_lock(&lock);
    uint32_t i = buckets[bucket_of(code)];
    for (; i && found->count < MP_FOUND_MAX; i = selections[i].next)
        if (selections[i].code == code) {
            assert(selections[i].lines->references > 0);
            found->is_part[found->count] = selections[i].is_part;
            found->lines[found->count++] = selections[i].lines;
            atomic_fetch_add(&selections[i].lines->references, 1);
        }
    mp_spin_unlock(&lock);
}

bool
mp_selection_has(const PyCodeObject *code)
{
    struct mp_found found;
    mp_selection_find(code, &found);
    mp_selection_let_go(&found);
    return found.count > 0;
}

void
mp_selection_let_go(const struct mp_found *found)
{
    for (int i = 0; i < found->count; i++)
        mp_lines_release(found->lines[i]);
}
