#include "record/source.h"

#include <assert.h>

#include "record/tracer.h"

static const struct mp_stack_source *_Atomic current;

const struct mp_stack_source *
mp_source_set(const struct mp_stack_source *source)
{
    assert(!source || (source->site && source->main));
    return atomic_exchange(&current, source);
}

uint32_t
mp_source_site(struct mp_thread *self, enum mp_kind kind, uint32_t domain, size_t size)
{
    const struct mp_stack_source *source = atomic_load_explicit(&current, memory_order_acquire);
    const uint16_t small = kind == MP_TRACKED ? 0 : mp_site_small(size);
    const struct mp_site empty = {.kind = (uint16_t)kind, .domain = domain, .small = small};
    assert(kind < MP_KINDS);
    return source ? source->site(self, kind, domain, size) : mp_tracer_site(&empty);
}

bool
mp_source_main(void)
{
    const struct mp_stack_source *source = atomic_load_explicit(&current, memory_order_acquire);
    return source && source->main();
}
