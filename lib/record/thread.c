#include "record/thread.h"

#include <assert.h>

#include "base/debug.h"

_Thread_local struct mp_thread *mp_thread_current;

static struct mp_thread *_Atomic registry; /* push-only list of all blocks */
static _Atomic uint32_t attached;          /* blocks in use */
static const struct mp_thread_extension *_Atomic extension; /* or NULL */
static pthread_key_t exit_key;
static bool has_exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- the room above ------------------------------------------------------------------- */

int
mp_thread_extend(const struct mp_thread_extension *wanted)
{
    assert(wanted->size >= sizeof(struct mp_thread));
    assert(wanted->flush && wanted->forget && wanted->end);
    const struct mp_thread_extension *expected = NULL;
    if (!mp_thread_first() && atomic_compare_exchange_strong(&extension, &expected, wanted))
        return MP_OK;
    return atomic_load(&extension) == wanted ? MP_OK : MP_BAD_ARGUMENT;
}

size_t
mp_thread_size(void)
{
    const struct mp_thread_extension *more = atomic_load(&extension);
    return more ? more->size : sizeof(struct mp_thread);
}

/* ---- life of a block --------------------------------------------------------------------- */

/* The next thread may have the block; it finds nothing in it that was the last one's alone. */
static void
give_up(struct mp_thread *block)
{
    const struct mp_thread_extension *more = atomic_load(&extension);
    block->idle = MP_GUARD_FREE;
    if (more)
        more->end(block);
    atomic_store_explicit(&block->guard, MP_GUARD_FREE, memory_order_relaxed);
    atomic_store_explicit(&block->in_use, false, memory_order_release);
}

/* Runs as the thread ends. A hook that is called still later attaches again. */
static void
detach(void *block)
{
    assert(block == mp_thread_current || !mp_thread_current);
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
    struct mp_thread *block = mp_mem_new(mp_thread_size());
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
    assert(!mp_thread_current);
    pthread_once(&once, set_up);
    struct mp_thread *self = reuse_block();
    if (!self)
        self = new_block();
    if (!self)
        return NULL;
    assert(atomic_load(&self->guard) == MP_GUARD_FREE && self->idle == MP_GUARD_FREE);
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
mp_thread_after_fork(void)
{
    struct mp_thread *block = mp_thread_first();
    atomic_store(&attached, mp_thread_current != NULL);
    for (; block; block = block->next)
        if (block != mp_thread_current)
            give_up(block);
    MP_CHECK_WHOLE(mp_thread_check, mp_thread_first());
}

bool
mp_thread_check(const struct mp_thread *first, const char **why)
{
    *why = NULL;
    for (const struct mp_thread *block = first; block && !*why; block = block->next) {
        if (atomic_load(&block->in_use))
            continue;
        if (atomic_load(&block->guard) != MP_GUARD_FREE)
            *why = "a block that is free is in a hook";
        else if (block->idle != MP_GUARD_FREE)
            *why = "a block that is free has a meter that counts";
        if (atomic_load(&block->in_use))
            *why = NULL; /* taken meanwhile */
    }
    return *why == NULL;
}

/* ---- hooks in flight --------------------------------------------------------------------- */

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

/* ---- caches of instructions -------------------------------------------------------------- */

void
mp_thread_flush(struct mp_thread *self, uint32_t generation)
{
    const struct mp_thread_extension *more = atomic_load(&extension);
    assert(generation != MP_NO_GENERATION);
    self->generation = generation;
    if (more)
        more->flush(self);
}

void
mp_thread_forget(struct mp_thread *self, uint32_t generation, const struct mp_death *death)
{
    const struct mp_thread_extension *more = atomic_load(&extension);
    assert(generation != MP_NO_GENERATION);
    self->generation = generation;
    if (more)
        more->forget(self, death);
}
