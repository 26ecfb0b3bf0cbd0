#include "py/alloc/chain.h"

#include <assert.h>

#include "py/stack/cache.h"

PyMemAllocatorEx mp_chain_below[3]; /* written with the GIL held */
unsigned mp_chain_probed;           /* written while probing, with the GIL held */
_Atomic bool mp_chain_paused;

static const PyMemAllocatorDomain domains[3] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM,
                                                PYMEM_DOMAIN_OBJ};

/* Written with the GIL held; without one the hooks are never left out. */
static const PyMemAllocatorEx *hooks; /* by enum mp_kind; from the first time on that they are in */
static bool sees_all = true, is_in, has_paused;
static enum { UNKNOWN, NO, YES } may_pause;
static _Atomic uint32_t meters;

/* ---- is somebody else in front? ------------------------------------------------------------- */

static void
probe_domain(enum mp_kind kind)
{
    if (kind == MP_RAW)
        PyMem_RawFree(PyMem_RawMalloc(1));
    else if (kind == MP_MEM)
        PyMem_Free(PyMem_Malloc(1));
    else
        PyObject_Free(PyObject_Malloc(1));
}

/* Does a call in this domain reach our hook, however many others lie in front? */
static bool
is_reached(enum mp_kind kind)
{
    struct mp_thread *self = mp_thread_self();
    if (!self)
        return false;
    const uint32_t before = atomic_load(&self->guard);
    mp_chain_probed = 0;
    atomic_store(&self->guard, MP_GUARD_PROBING);
    probe_domain(kind);
    atomic_store(&self->guard, before);
    return mp_chain_probed >> kind & 1;
}

static bool
is_same(const PyMemAllocatorEx *a, const PyMemAllocatorEx *b)
{
    return a->malloc == b->malloc && a->ctx == b->ctx;
}

bool
mp_chain_is_reached(void)
{
    const bool paused = mp_chain_is_paused();
    for (int kind = MP_RAW; kind <= MP_OBJ; kind++) {
        PyMemAllocatorEx current;
        PyMem_GetAllocator(domains[kind], &current);
        const bool is_out = paused && kind != MP_RAW && is_same(&current, &mp_chain_below[kind]);
        if (!is_out && !is_reached((enum mp_kind)kind))
            return false;
    }
    return true;
}

/* ---- in and out ----------------------------------------------------------------------------- */

/* True when what is below has changed. */
static bool
put_in(enum mp_kind kind)
{
    PyMemAllocatorEx current, hook = hooks[kind];
    assert(kind <= MP_OBJ && hook.malloc);
    PyMem_GetAllocator(domains[kind], &current);
    if (current.malloc == hook.malloc)
        return false;
    const bool changed = !is_same(&current, &mp_chain_below[kind]);
    if (changed && mp_chain_below[kind].malloc && is_reached(kind))
        return false;
    if (changed) /* other threads read it, without a GIL in the middle of this */
        mp_chain_below[kind] = current;
    hook.ctx = current.ctx;
    atomic_thread_fence(memory_order_seq_cst);
    PyMem_SetAllocator(domains[kind], &hook);
    return changed;
}

static void
take_out(enum mp_kind kind)
{
    PyMemAllocatorEx current;
    PyMem_GetAllocator(domains[kind], &current);
    assert(current.malloc);
    if (current.malloc == hooks[kind].malloc)
        PyMem_SetAllocator(domains[kind], &mp_chain_below[kind]);
}

/* Is a large block of this domain one of RAW, at the same address, and seen by our hook? */
static bool
is_raw_when_large(enum mp_kind kind)
{
    enum { LARGE = 1024 };
    struct mp_thread *self = mp_thread_self();
    if (!self)
        return false;
    const PyMemAllocatorEx *below = &mp_chain_below[kind];
    assert(below->malloc && kind != MP_RAW);
    const uint32_t before = atomic_load(&self->guard);
    atomic_store(&self->guard, MP_GUARD_FREE);
    mp_py_thread(self)->fresh = 0;
    void *block = below->malloc(below->ctx, LARGE);
    const bool is_raw = block && mp_py_thread(self)->fresh == (uintptr_t)block;
    below->free(below->ctx, block);
    atomic_store(&self->guard, before);
    return is_raw;
}

/* Found out when first asked: it takes allocations, which no trace of the user's shall have. */
static bool
can_pause(void)
{
    if (may_pause == UNKNOWN)
        may_pause = is_raw_when_large(MP_MEM) && is_raw_when_large(MP_OBJ) ? YES : NO;
    return may_pause == YES;
}

static void
put_in_objects(void)
{
    bool changed = false;
    for (int kind = MP_MEM; kind <= MP_OBJ; kind++)
        changed |= put_in((enum mp_kind)kind);
    if (MP_UNLIKELY(changed))
        may_pause = UNKNOWN;
}

static void
resume(void)
{
    atomic_store(&mp_chain_paused, false);
    put_in_objects();
}

static void
adapt(void)
{
    const bool pause =
        MP_HAS_GIL && !sees_all && is_in && atomic_load(&meters) == 0 && can_pause();
    if (pause == mp_chain_is_paused())
        return;
    if (!pause) {
        resume();
        return;
    }
    assert(is_in && may_pause == YES);
    atomic_store(&mp_chain_paused, true);
    has_paused = true;
    take_out(MP_MEM);
    take_out(MP_OBJ);
}

void
mp_chain_install(const PyMemAllocatorEx own[3])
{
    assert(!hooks || hooks == own);
    hooks = own;
    atomic_store(&mp_chain_paused, false);
    for (int kind = MP_RAW; kind <= MP_OBJ; kind++)
        put_in((enum mp_kind)kind);
    is_in = true;
    has_paused = false;
    may_pause = UNKNOWN;
    adapt();
}

void
mp_chain_remove(void)
{
    is_in = false;
    for (int kind = MP_RAW; hooks && kind <= MP_OBJ; kind++)
        take_out((enum mp_kind)kind);
    atomic_store(&mp_chain_paused, false);
}

/* ---- who needs them ------------------------------------------------------------------------- */

bool
mp_chain_see_all(bool all)
{
    const bool is_whole = !is_in || !has_paused;
    sees_all = all;
    adapt();
    if (all)
        has_paused = false;
    return is_whole;
}

void
mp_chain_meter(bool more)
{
    if (more)
        atomic_fetch_add(&meters, 1);
    else
        atomic_fetch_sub(&meters, 1);
    const bool was_paused = mp_chain_is_paused();
    adapt();
    if (MP_HAS_GIL && more && !was_paused && !sees_all && is_in)
        put_in_objects(); /* tracemalloc.stop() may have taken them out */
}

void
mp_chain_meters_are(uint32_t count)
{
    atomic_store(&meters, count);
    adapt();
}
