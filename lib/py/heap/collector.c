#include "py/cpython/interpreter.h" /* first: it needs CPython's internal headers */
#include "py/heap/collector.h"

/* Without a GIL, all other threads stand still only within a visit, and nothing is called at its
 * end. So the pass is made when as many objects have been visited as an earlier visit has counted.
 * When other threads made more of them meanwhile, the last ones are known by their references
 * only. */
struct pause {
    struct mp_pass *pass;
    void (*use)(void *data);
    void *data;
    size_t wanted, seen;
    bool done;
};

enum { TRIES = 8 };

static void
count_one(PyObject *object, void *data)
{
    struct pause *pause = data;
    (void)object;
    pause->seen++;
}

static void
note_one(PyObject *object, void *data)
{
    struct pause *pause = data;
    if (pause->seen++ >= pause->wanted)
        return;
    pause->pass->everything[pause->seen - 1] = object;
    if (pause->seen == pause->wanted) {
        pause->use(pause->data);
        pause->done = true;
    }
}

/* False when there is no memory. */
static bool
try_pass(struct pause *pause)
{
    struct mp_pass *pass = pause->pass;
    const size_t size = pause->wanted * sizeof *pass->everything;
    assert(pause->wanted && !pause->done);
    pass->everything = mp_mem_new(size);
    pass->everything_count = pause->wanted;
    pause->seen = 0;
    if (pass->everything)
        mp_gc_each(note_one, pause);
    mp_mem_free(pass->everything, size);
    const bool enough = pass->everything != NULL;
    pass->everything = NULL;
    return enough;
}

void
mp_collector_each(struct mp_pass *pass, void (*visit)(PyObject *object, void *data), void *data)
{
    if (MP_HAS_GIL)
        mp_gc_each(visit, data);
    else
        for (size_t i = 0; i < pass->everything_count; i++)
            visit(pass->everything[i], data);
}

void
mp_collector_pause(struct mp_pass *pass, void (*use)(void *data), void *data)
{
    struct pause pause = {.pass = pass, .use = use, .data = data};
    if (MP_HAS_GIL) {
        use(data);
        return;
    }
    mp_gc_each(count_one, &pause);
    for (int i = 0; !pause.done && i <= TRIES; i++) {
        pause.wanted = pause.seen && i < TRIES ? pause.seen : 1;
        if (!try_pass(&pause))
            return;
    }
}
