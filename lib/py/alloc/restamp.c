#include "py/alloc/restamp.h"

#include <assert.h>

#include "py/stack/stack.h"

#if MP_HAS_REF_TRACER

static struct {
    PyRefTracer function;
    void *data;
} before; /* the tracer behind ours; written with the GIL held */
static _Atomic bool active;

/* The block of a new object has the site of an older one. The thread has entered. */
static void
restamp(struct mp_thread *self, uintptr_t block)
{
    struct mp_entry entry;
    const PyThreadState *tstate = mp_tstate_attached();
    assert(self == mp_thread_current && block != 0);
    if (!tstate || !mp_tracer_look_up(block, &entry))
        return;
    const bool main = mp_tstate_is_main(tstate, PyInterpreterState_Main());
    const uint32_t site = mp_stack_site(self, tstate, MP_OBJ, 0, entry.size);
    if (site == (entry.word & MP_SITE_MASK)) {
        mp_lanes_count_again(&mp_tracer.lanes, main, site, entry.size);
        return;
    }
    mp_tracer_free(main, block);
    mp_tracer_record(main, block, entry.size, site);
}

static int
on_reference(PyObject *object, PyRefTracerEvent event, void *unused)
{
    (void)unused;
    if (before.function)
        before.function(object, event, before.data);
    struct mp_thread *self = mp_thread_current;
    if (event != PyRefTracer_CREATE || !self ||
        !atomic_load_explicit(&active, memory_order_relaxed))
        return 0;
    const uintptr_t block = (uintptr_t)object - mp_object_presize(Py_TYPE(object));
    const uint32_t guard = atomic_load_explicit(&self->guard, memory_order_relaxed);
    if (block == mp_py_thread(self)->fresh) {
        mp_py_thread(self)->fresh = 0; /* the next object in this block comes from a free list */
        return 0;
    }
    if (guard == self->idle && mp_tracer_enter(self, guard)) {
        restamp(self, block);
        mp_tracer_leave(self, guard);
    }
    return 0;
}

bool
mp_restamp_begin(void)
{
    void *data;
    const PyRefTracer now = PyRefTracer_GetTracer(&data);
    if (now != on_reference) {
        before.function = now;
        before.data = data;
        if (PyRefTracer_SetTracer(on_reference, NULL))
            return false;
    }
    atomic_store(&active, true);
    return true;
}

void
mp_restamp_end(void)
{
    void *data;
    if (!atomic_exchange(&active, false) || PyRefTracer_GetTracer(&data) != on_reference)
        return;
    PyRefTracer_SetTracer(before.function, before.data);
    before.function = NULL;
}

#else

bool
mp_restamp_begin(void)
{
    PyErr_Format(PyExc_RuntimeError,
                 "Python %s does not tell of objects from free lists; 3.13 and later do",
                 MP_BUILT_FOR);
    return false;
}

void
mp_restamp_end(void)
{
}

#endif
