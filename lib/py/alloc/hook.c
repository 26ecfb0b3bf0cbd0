#include "py/alloc/hook.h"

#include <assert.h>

#include "py/alloc/chain.h"
#include "py/cpython/compat.h"
#include "py/alloc/ending.h"
#include "py/stack/stack.h"
#include "record/source.h"

static PyInterpreterState *main_interpreter;
static _Atomic bool many_interpreters; /* one that is not `main_interpreter` was seen */
static _Atomic uint32_t guarded_frees; /* threads with a meter, and one for many interpreters */
static bool stackless; /* metered threads leave out the stack; written with the GIL held */

/* ---- who is calling ------------------------------------------------------------- */

struct caller {
    const PyThreadState *tstate; /* NULL: no stack to walk */
    bool main;                   /* may write the main lane */
};

static __attribute__((noinline)) void
note_interpreter(void)
{
    if (!atomic_exchange(&many_interpreters, true))
        atomic_fetch_add(&guarded_frees, 1);
}

static inline __attribute__((always_inline)) struct caller
find_caller(enum mp_kind kind)
{
    bool attached = true;
    const PyThreadState *tstate = kind == MP_RAW ? mp_tstate_any(&attached) : mp_tstate_attached();
    struct caller caller = {tstate, attached && mp_tstate_is_main(tstate, main_interpreter)};
    if (MP_UNLIKELY(MP_HAS_GIL && !caller.main && attached && tstate))
        note_interpreter();
    if (!attached && mp_ending_is_near())
        caller.tstate = NULL;
    return caller;
}

/* As find_caller().main, without the cost where there is one interpreter only. */
static inline bool
caller_is_main(enum mp_kind kind)
{
    if (MP_LIKELY(MP_HAS_GIL && kind != MP_RAW &&
                  !atomic_load_explicit(&many_interpreters, memory_order_relaxed)))
        return true;
    return find_caller(kind).main;
}

/* ---- entering and leaving a hook ---------------------------------------------------- */

/* Each operation has two bodies, one for threads whose meter is off and one for the others;
 * `idle` says which, and is the guard to leave behind. */

static inline bool
has_guard(const struct mp_thread *self, uint32_t guard)
{
    return self && atomic_load_explicit(&self->guard, memory_order_relaxed) == guard;
}

/* The calling thread is in a hook already, or probing, or quiet, or has no block. */
static void
pass_on(const struct mp_thread *self, enum mp_kind kind)
{
    if (!self && mp_tracer_is_active())
        mp_tracer_lose();
    else if (self && atomic_load_explicit(&self->guard, memory_order_relaxed) == MP_GUARD_PROBING)
        mp_chain_probed |= 1u << kind;
}

/* The allocator below may wait, even for the GIL (tracemalloc's does): nobody waits for us
 * meanwhile, and so whatever was found out before is void. */
static inline void
go_below(struct mp_thread *self)
{
    assert(self == mp_thread_current);
    atomic_store_explicit(&self->guard, MP_GUARD_BELOW, memory_order_release);
}

static __attribute__((noinline)) void
record_elsewhere(struct mp_thread *self, const PyThreadState *tstate, enum mp_kind kind,
                 void *block, size_t size)
{
    const uint32_t site = mp_stack_site(self, tstate, kind, 0, size);
    mp_tracer_record(false, (uintptr_t)block, size, site);
}

static inline __attribute__((always_inline)) void
record_with_stack(struct mp_thread *self, enum mp_kind kind, void *block, size_t size)
{
    const struct caller caller = find_caller(kind);
    if (MP_LIKELY(caller.main)) {
        const uint32_t site = mp_stack_site(self, caller.tstate, kind, 0, size);
        mp_tracer_record(true, (uintptr_t)block, size, site);
    } else {
        record_elsewhere(self, caller.tstate, kind, block, size);
    }
}

static inline __attribute__((always_inline)) void
record(struct mp_thread *self, enum mp_kind kind, void *block, size_t size, uint32_t idle)
{
    assert(block && idle == self->idle);
    if (idle == MP_GUARD_METERED && stackless) {
        const uint32_t site = mp_stack_site(self, NULL, kind, 0, size);
        mp_tracer_record(caller_is_main(kind), (uintptr_t)block, size, site);
    } else {
        record_with_stack(self, kind, block, size);
    }
    mp_py_thread(self)->fresh = (uintptr_t)block;
    if (idle == MP_GUARD_METERED)
        mp_meter_alloc(&self->meter, (uintptr_t)block, size);
}

static inline __attribute__((always_inline)) void
settle(struct mp_thread *self, enum mp_kind kind, const struct mp_entry *entry, uint32_t idle)
{
    assert(atomic_load(&self->guard) == MP_GUARD_RECORDING);
    mp_tracer_settle(caller_is_main(kind), entry);
    if (idle == MP_GUARD_METERED && (entry->word & MP_SITE_MASK))
        mp_meter_free(&self->meter, entry->size);
}

/* A block goes away in a call that is only passed on: memprof's own thread of work still
 * has to take out what the program allocated. */
static __attribute__((noinline)) void
forget_when_quiet(enum mp_kind kind, void *block)
{
    struct mp_thread *self = mp_thread_current;
    if (!block || !has_guard(self, MP_GUARD_QUIET))
        return;
    if (mp_tracer_enter(self, MP_GUARD_QUIET)) {
        mp_tracer_free(caller_is_main(kind), (uintptr_t)block);
        mp_tracer_leave(self, MP_GUARD_QUIET);
    }
}

/* ---- the four operations --------------------------------------------------------------- */

static inline __attribute__((always_inline)) void *
traced_malloc(struct mp_thread *self, enum mp_kind kind, size_t size, uint32_t idle)
{
    const PyMemAllocatorEx *below = &mp_chain_below[kind];
    go_below(self);
    void *block = below->malloc(below->ctx, size);
    if (MP_LIKELY(mp_tracer_enter(self, idle))) {
        if (MP_LIKELY(block != NULL))
            record(self, kind, block, size, idle);
        mp_tracer_leave(self, idle);
    }
    return block;
}

static inline __attribute__((always_inline)) void *
traced_calloc(struct mp_thread *self, enum mp_kind kind, size_t count, size_t size, uint32_t idle)
{
    const PyMemAllocatorEx *below = &mp_chain_below[kind];
    go_below(self);
    void *block = below->calloc(below->ctx, count, size);
    if (MP_LIKELY(mp_tracer_enter(self, idle))) {
        if (MP_LIKELY(block != NULL))
            record(self, kind, block, count * size, idle);
        mp_tracer_leave(self, idle);
    }
    return block;
}

static inline __attribute__((always_inline)) void *
traced_realloc(struct mp_thread *self, enum mp_kind kind, void *old, size_t size, uint32_t idle)
{
    const PyMemAllocatorEx *below = &mp_chain_below[kind];
    /* before we enter: mp_tracer_clear() counts, then waits for those who have entered */
    const uint32_t clears = atomic_load_explicit(&mp_tracer.clears, memory_order_acquire);
    if (MP_UNLIKELY(!mp_tracer_enter(self, idle)))
        return below->realloc(below->ctx, old, size);
    struct mp_entry entry = {0};
    if (old)
        mp_tracer_take((uintptr_t)old, &entry);
    go_below(self);
    void *block = below->realloc(below->ctx, old, size);
    if (MP_UNLIKELY(!mp_tracer_enter(self, idle)))
        return block;
    if (MP_UNLIKELY(atomic_load_explicit(&mp_tracer.clears, memory_order_relaxed) != clears))
        entry.word = 0; /* forgotten meanwhile */
    if (MP_LIKELY(block != NULL)) {
        settle(self, kind, &entry, idle);
        record(self, kind, block, size, idle);
    } else if (old) {
        mp_tracer_put_back((uintptr_t)old, &entry);
    }
    mp_tracer_leave(self, idle);
    return block;
}

static inline __attribute__((always_inline)) void
traced_free(struct mp_thread *self, enum mp_kind kind, void *block, uint32_t idle)
{
    const PyMemAllocatorEx *below = &mp_chain_below[kind];
    if (MP_UNLIKELY(!mp_tracer_enter(self, idle))) {
        below->free(below->ctx, block);
        return;
    }
    if (idle == MP_GUARD_METERED) {
        struct mp_entry entry;
        mp_tracer_take((uintptr_t)block, &entry);
        settle(self, kind, &entry, idle);
    } else
        mp_tracer_free(caller_is_main(kind), (uintptr_t)block);
    go_below(self);
    below->free(below->ctx, block);
    mp_tracer_leave(self, idle);
}

/* ---- the same where the thread is not simply free ------------------------------------------- */

static __attribute__((noinline)) void *
other_malloc(enum mp_kind kind, size_t size)
{
    struct mp_thread *self = mp_thread_current;
    if (has_guard(self, MP_GUARD_METERED)) /* most are objects: a body for them */
        return MP_LIKELY(kind == MP_OBJ) ? traced_malloc(self, MP_OBJ, size, MP_GUARD_METERED)
                                         : traced_malloc(self, kind, size, MP_GUARD_METERED);
    pass_on(self, kind);
    return mp_chain_below[kind].malloc(mp_chain_below[kind].ctx, size);
}

static __attribute__((noinline)) void *
other_calloc(enum mp_kind kind, size_t count, size_t size)
{
    struct mp_thread *self = mp_thread_current;
    if (has_guard(self, MP_GUARD_METERED))
        return traced_calloc(self, kind, count, size, MP_GUARD_METERED);
    pass_on(self, kind);
    return mp_chain_below[kind].calloc(mp_chain_below[kind].ctx, count, size);
}

static __attribute__((noinline)) void *
other_realloc(enum mp_kind kind, void *old, size_t size)
{
    struct mp_thread *self = mp_thread_current;
    if (has_guard(self, MP_GUARD_METERED))
        return traced_realloc(self, kind, old, size, MP_GUARD_METERED);
    pass_on(self, kind);
    forget_when_quiet(kind, old);
    return mp_chain_below[kind].realloc(mp_chain_below[kind].ctx, old, size);
}

static __attribute__((noinline)) void
other_free(enum mp_kind kind, void *block)
{
    struct mp_thread *self = mp_thread_current;
    if (block && has_guard(self, MP_GUARD_METERED)) {
        MP_LIKELY(kind == MP_OBJ) ? traced_free(self, MP_OBJ, block, MP_GUARD_METERED)
                                  : traced_free(self, kind, block, MP_GUARD_METERED);
        return;
    }
    if (block)
        pass_on(self, kind);
    forget_when_quiet(kind, block);
    mp_chain_below[kind].free(mp_chain_below[kind].ctx, block);
}

/* While the trace is paused (chain.h) only blocks that are known are looked after. */
static inline bool
is_passed_by(enum mp_kind kind, uintptr_t block)
{
    if (kind != MP_RAW || MP_LIKELY(!mp_chain_is_paused()))
        return false;
    if (!mp_shadow_covers(block))
        return !block;
    const mp_word *words = mp_shadow_find(&mp_tracer.shadow, block);
    return !words || !mp_word_load(words);
}

static inline __attribute__((always_inline)) void *
hook_malloc(enum mp_kind kind, size_t size)
{
    if (is_passed_by(kind, 0))
        return mp_chain_below[kind].malloc(mp_chain_below[kind].ctx, size);
    struct mp_thread *self = mp_thread_self();
    return MP_LIKELY(has_guard(self, MP_GUARD_FREE))
               ? traced_malloc(self, kind, size, MP_GUARD_FREE)
               : other_malloc(kind, size);
}

static inline __attribute__((always_inline)) void *
hook_calloc(enum mp_kind kind, size_t count, size_t size)
{
    if (is_passed_by(kind, 0))
        return mp_chain_below[kind].calloc(mp_chain_below[kind].ctx, count, size);
    struct mp_thread *self = mp_thread_self();
    return MP_LIKELY(has_guard(self, MP_GUARD_FREE))
               ? traced_calloc(self, kind, count, size, MP_GUARD_FREE)
               : other_calloc(kind, count, size);
}

static inline __attribute__((always_inline)) void *
hook_realloc(enum mp_kind kind, void *old, size_t size)
{
    if (is_passed_by(kind, (uintptr_t)old))
        return mp_chain_below[kind].realloc(mp_chain_below[kind].ctx, old, size);
    struct mp_thread *self = mp_thread_self();
    return MP_LIKELY(has_guard(self, MP_GUARD_FREE))
               ? traced_realloc(self, kind, old, size, MP_GUARD_FREE)
               : other_realloc(kind, old, size);
}

static __attribute__((noinline)) void
guarded_free(enum mp_kind kind, void *block)
{
    struct mp_thread *self = block ? mp_thread_self() : NULL;
    if (MP_LIKELY(has_guard(self, MP_GUARD_FREE)))
        traced_free(self, kind, block, MP_GUARD_FREE);
    else
        other_free(kind, block);
}

/* With the GIL held nobody clears or stops the trace meanwhile, and whatever the allocator
 * below frees in turn has no entry any more: no guard, and nothing left to do afterwards. */
static inline __attribute__((always_inline)) void
hook_free(enum mp_kind kind, void *block)
{
    if (is_passed_by(kind, (uintptr_t)block)) {
        mp_chain_below[kind].free(mp_chain_below[kind].ctx, block);
        return;
    }
    if (MP_UNLIKELY(!MP_HAS_GIL || kind == MP_RAW ||
                    atomic_load_explicit(&guarded_frees, memory_order_relaxed))) {
        guarded_free(kind, block);
        return;
    }
    mp_tracer_free(true, (uintptr_t)block);
    mp_chain_below[kind].free(mp_chain_below[kind].ctx, block);
}

/* ---- the hooks: one adapter for each domain and operation ---------------------------------- */

#define FOR_EACH_DOMAIN(DO) DO(raw, MP_RAW) DO(mem, MP_MEM) DO(obj, MP_OBJ)

#define DEFINE_HOOKS(name, kind)                                                              \
    static void *name##_malloc(void *ctx, size_t size)                                        \
    {                                                                                         \
        (void)ctx;                                                                            \
        return hook_malloc(kind, size);                                                       \
    }                                                                                         \
    static void *name##_calloc(void *ctx, size_t count, size_t size)                          \
    {                                                                                         \
        (void)ctx;                                                                            \
        return hook_calloc(kind, count, size);                                                \
    }                                                                                         \
    static void *name##_realloc(void *ctx, void *block, size_t size)                          \
    {                                                                                         \
        (void)ctx;                                                                            \
        return hook_realloc(kind, block, size);                                               \
    }                                                                                         \
    static void name##_free(void *ctx, void *block)                                           \
    {                                                                                         \
        (void)ctx;                                                                            \
        hook_free(kind, block);                                                               \
    }

FOR_EACH_DOMAIN(DEFINE_HOOKS)

#define HOOK_TABLE(name, kind)                                                                \
    [kind] = {.malloc = name##_malloc, .calloc = name##_calloc, .realloc = name##_realloc,    \
              .free = name##_free},

static const PyMemAllocatorEx hooks[3] = {FOR_EACH_DOMAIN(HOOK_TABLE)};

/* ---- stacks for the C API ------------------------------------------------------------------- */

static uint32_t
source_site(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size)
{
    return mp_stack_site(self, find_caller(MP_RAW).tstate, kind, domain, size);
}

static bool
source_main(void)
{
    return find_caller(MP_RAW).main;
}

static const struct mp_stack_source source = {source_site, source_main};

void
mp_hook_connect(void)
{
    main_interpreter = PyInterpreterState_Main();
    assert(main_interpreter);
    mp_tracer.lanes.no_gil = !MP_HAS_GIL;
    mp_source_set(&source);
}

void
mp_hook_install(void)
{
    mp_hook_count_meters();
    mp_chain_install(hooks);
}

bool
mp_hook_quiet(bool quiet)
{
    struct mp_thread *self = mp_thread_self();
    if (!self)
        return false;
    const bool before = atomic_load_explicit(&self->guard, memory_order_relaxed) == MP_GUARD_QUIET;
    assert(atomic_load(&self->guard) != MP_GUARD_RECORDING);
    atomic_store_explicit(&self->guard, quiet ? MP_GUARD_QUIET : self->idle, memory_order_release);
    return before;
}

void
mp_hook_meter(struct mp_thread *self, bool on)
{
    const uint32_t before = self->idle;
    assert(self == mp_thread_current);
    assert(atomic_load(&self->guard) != MP_GUARD_RECORDING);
    self->idle = on ? MP_GUARD_METERED : MP_GUARD_FREE;
    if (atomic_load_explicit(&self->guard, memory_order_relaxed) == before)
        atomic_store_explicit(&self->guard, self->idle, memory_order_release);
    if (self->idle != before) {
        atomic_fetch_add(&guarded_frees, on ? 1u : UINT32_MAX);
        mp_chain_meter(on);
    }
}

void
mp_hook_count_meters(void)
{
    uint32_t count = 0;
    for (const struct mp_thread *thread = mp_thread_first(); thread; thread = thread->next)
        count += thread->idle == MP_GUARD_METERED;
    atomic_store(&guarded_frees, count + atomic_load(&many_interpreters));
    mp_chain_meters_are(count);
}

void
mp_hook_leave_out_stacks(bool leave_out)
{
    stackless = leave_out;
}

void
mp_hook_disown(struct mp_thread *self, uintptr_t block)
{
    const uint32_t before = atomic_load_explicit(&self->guard, memory_order_relaxed);
    assert(self == mp_thread_current);
    const bool counted = before == MP_GUARD_METERED && self->meter.last == block;
    if ((before == MP_GUARD_METERED && !counted) || !mp_tracer_is_active() ||
        !mp_tracer_enter(self, before))
        return;
    struct mp_entry entry;
    mp_tracer_take(block, &entry);
    mp_tracer_settle(caller_is_main(MP_OBJ), &entry);
    if (counted)
        mp_meter_take_back(&self->meter, entry.size);
    mp_tracer_leave(self, before);
}
