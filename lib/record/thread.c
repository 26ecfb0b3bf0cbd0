#include "record/thread.h"

#include <string.h>

_Thread_local struct mp_thread *mp_thread_current;

static struct mp_thread *_Atomic registry; /* push-only list of all blocks */
static _Atomic uint32_t attached;          /* blocks in use */
static pthread_key_t exit_key;
static bool has_exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- life of a block --------------------------------------------------------- */

/* The next thread may have the block; it finds nothing in it that was the last one's alone. */
static void
give_up(struct mp_thread *block)
{
    block->idle = MP_GUARD_FREE;
    block->stack_end = 0;
    block->chained = NULL;
    block->fresh = 0;
    atomic_store_explicit(&block->guard, 0, memory_order_relaxed);
    atomic_store_explicit(&block->in_use, false, memory_order_release);
}

/* Runs as the thread ends. A hook that is called still later attaches again. */
static void
detach(void *block)
{
    mp_thread_current = NULL;
    atomic_fetch_sub(&attached, 1);
    give_up(block);
}

static void
set_up(void)
{
    has_exit_key = pthread_key_create(&exit_key, detach) == 0;
    mp_threads_register_barrier();
}

static struct mp_thread *
reuse_block(void)
{
    struct mp_thread *block = mp_thread_first();
    for (; block; block = block->next) {
        bool expected = false;
        if (atomic_compare_exchange_strong(&block->in_use, &expected, true))
            return block;
    }
    return NULL;
}

static struct mp_thread *
new_block(void)
{
    struct mp_thread *block = mp_mem_new(sizeof *block);
    if (!block)
        return NULL;
    atomic_store(&block->in_use, true);
    struct mp_thread *head = atomic_load(&registry);
    do {
        block->next = head;
    } while (!atomic_compare_exchange_weak(&registry, &head, block));
    return block;
}

struct mp_thread *
mp_thread_attach(void)
{
    pthread_once(&once, set_up);
    struct mp_thread *self = reuse_block();
    if (!self)
        self = new_block();
    if (!self)
        return NULL;
    mp_thread_current = self;
    atomic_fetch_add(&attached, 1);
    self->generation = MP_NO_GENERATION;
    /* glibc allocates for a key beyond the first 32: libc's own, never hooked here */
    if (has_exit_key) /* otherwise the block stays taken when the thread ends */
        pthread_setspecific(exit_key, self);
    return self;
}

struct mp_thread *
mp_thread_first(void)
{
    return atomic_load_explicit(&registry, memory_order_acquire);
}

uint32_t
mp_thread_count(void)
{
    return atomic_load_explicit(&attached, memory_order_relaxed);
}

void
mp_thread_quiesce(int patience)
{
    mp_threads_barrier();
    struct mp_thread *block = mp_thread_first();
    for (; block; block = block->next) {
        if (block == mp_thread_current)
            continue;
        while (atomic_load_explicit(&block->guard, memory_order_acquire) == MP_GUARD_RECORDING &&
               patience-- > 0)
            mp_threads_sleep(1000000);
    }
}

void
mp_thread_after_fork(void)
{
    struct mp_thread *block = mp_thread_first();
    atomic_store(&attached, mp_thread_current != NULL);
    for (; block; block = block->next)
        if (block != mp_thread_current)
            give_up(block);
}

static void
move_to(struct mp_thread *self, uint32_t generation)
{
    self->generation = generation;
    self->salt = generation * 0xd1342543de82ef95u;
    self->trail.anchor = 0;
    self->path.count = 0;
}

void
mp_thread_flush(struct mp_thread *self, uint32_t generation)
{
    move_to(self, generation);
    self->trail.shared = false;
    memset(self->locations, 0, sizeof self->locations);
    memset(self->lines, 0, sizeof self->lines);
}

void
mp_thread_forget(struct mp_thread *self, uint32_t generation, uintptr_t begin, uintptr_t end)
{
    move_to(self, generation);
    memset(self->lines, 0, sizeof self->lines);
    for (int i = 0; i < MP_LOCATION_SLOTS; i++)
        if (self->locations[i].ip - begin < end - begin)
            self->locations[i] = (struct mp_location_slot){0};
}

/* ---- scratch ------------------------------------------------------------------ */

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
mp_thread_reserve_frames(struct mp_thread *self, size_t count)
{
    if (count <= self->frame_capacity)
        return true;
    void *grown = grow(self->frames, &self->frame_capacity, count, sizeof *self->frames);
    if (grown)
        self->frames = grown;
    return grown != NULL;
}

bool
mp_thread_reserve_text(struct mp_thread *self, size_t size)
{
    if (size <= self->text_capacity)
        return true;
    void *grown = grow(self->text, &self->text_capacity, size, 1);
    if (grown)
        self->text = grown;
    return grown != NULL;
}
