#include "py/stack/cache.h"

#include <assert.h>
#include <string.h>

_Static_assert(offsetof(struct mp_py_thread, thread) == 0, "a block is both structs");

/* ---- the thread's block ---------------------------------------------------------------- */

static void
move_on(struct mp_py_thread *self)
{
    self->trail.anchor = 0;
    self->path.count = 0;
    memset(self->lines, 0, sizeof self->lines);
}

static void
flush(struct mp_thread *thread)
{
    struct mp_py_thread *self = mp_py_thread(thread);
    move_on(self);
    self->salt = thread->generation * 0xd1342543de82ef95u;
    self->trail.shared = false;
    memset(self->locations, 0, sizeof self->locations);
}

/* Stacks are known by hashes, which do not tell of what, but none of older code only is void. */
static void
forget(struct mp_thread *thread, const struct mp_death *death)
{
    struct mp_py_thread *self = mp_py_thread(thread);
    const uintptr_t size = death->end - death->begin;
    move_on(self);
    const uintptr_t few = size / 2 < MP_LOCATION_SLOTS ? size / 2 + 1 : MP_LOCATION_SLOTS;
    for (uintptr_t i = 0; i < few; i++) {
        struct mp_location_slot *slot = few < MP_LOCATION_SLOTS
                                            ? mp_location_slot(self, death->begin + 2 * i)
                                            : &self->locations[i];
        if (slot->ip - death->begin < size)
            *slot = (struct mp_location_slot){0};
    }
    struct mp_site_way *way = self->sites[0], *last = way + MP_SITE_SETS * MP_SITE_WAYS;
    for (; way < last; way++)
        if (way->youngest >= death->birth)
            *way = (struct mp_site_way){0};
}

static void
end(struct mp_thread *thread)
{
    struct mp_py_thread *self = mp_py_thread(thread);
    self->stack_end = 0;
    self->chained = NULL;
    self->fresh = 0;
}

int
mp_cache_extend(void)
{
    static const struct mp_thread_extension extension = {
        .size = sizeof(struct mp_py_thread),
        .flush = flush,
        .forget = forget,
        .end = end,
    };
    return mp_thread_extend(&extension);
}

/* ---- scratch ------------------------------------------------------------------------------ */

static void *
grow(void *memory, size_t *capacity, size_t needed, size_t unit)
{
    size_t wanted = *capacity ? *capacity : 256;
    if (needed > SIZE_MAX / 4 / unit)
        return NULL;
    while (wanted < needed)
        wanted *= 2;
    void *grown = mp_mem_grow(memory, *capacity * unit, wanted * unit);
    if (grown)
        *capacity = wanted;
    return grown;
}

bool
mp_cache_reserve_frames(struct mp_py_thread *self, size_t count)
{
    if (count <= self->frame_capacity)
        return true;
    void *grown = grow(self->frames, &self->frame_capacity, count, sizeof *self->frames);
    if (grown)
        self->frames = grown;
    return grown != NULL;
}

bool
mp_cache_reserve_text(struct mp_py_thread *self, size_t size)
{
    if (size <= self->text_capacity)
        return true;
    void *grown = grow(self->text, &self->text_capacity, size, 1);
    if (grown)
        self->text = grown;
    return grown != NULL;
}
