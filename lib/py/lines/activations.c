#include "py/lines/activations.h"

#include <pthread.h>

#include "base/debug.h"
#include "py/alloc/hook.h"
#include "py/cpython/frames.h"
#include "py/lines/charging.h"
#include "py/lines/readings.h"
#include "py/lines/selection.h"
#include "py/lines/suspended.h"
#include "py/stack/cache.h"
#include "record/tracer.h"

static struct activations *
reach_activations(struct mp_thread *self)
{
    if (!mp_py_thread(self)->activations)
        mp_py_thread(self)->activations = mp_mem_new(sizeof(struct activations));
    return mp_py_thread(self)->activations;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static inline bool
is_valid(const struct activation *it)
{
    return it->session == atomic_load_explicit(&it->lines->session, memory_order_relaxed);
}

static void
pop(struct activations *all)
{
    assert(all->count > 0);
    mp_lines_release(all->stack[--all->count].lines);
}

/* The activation stands on no line any more, and its line is not charged. */
static void
step_off(const struct activations *all, struct activation *it)
{
    if (it->slot && it->slot->standing == (uint32_t)(it - all->stack) + 1)
        it->slot->standing = it->outer;
    it->slot = NULL;
}

/* Let go of the innermost activation without charging it. */
static void
drop(struct activations *all)
{
    assert(all->count > 0);
    step_off(all, &all->stack[all->count - 1]);
    pop(all);
}

/* Metering ends with the last activation of the thread. */
static void
rest(struct mp_thread *self, const struct activations *all)
{
    if (all->count == 0)
        mp_hook_meter(self, false);
}

void (*mp_activation_starts_trace)(void);

static void
wake(struct mp_thread *self, struct activations *all)
{
    if (MP_LIKELY(self->idle == MP_GUARD_METERED))
        return;
    assert(self->idle == MP_GUARD_FREE);
    while (all->count) /* of an earlier thread with this block */
        drop(all);
    mp_reading_expire(&all->readings);
    if (!mp_tracer_is_active() && mp_activation_starts_trace)
        mp_activation_starts_trace();
    mp_hook_meter(self, true);
}

static struct activation *
push(struct mp_thread *self, const char *frame, struct mp_lines *lines)
{
    struct activations *all = mp_py_thread(self)->activations;
    assert(all->count <= all->capacity);
    if (all->count == all->capacity) {
        const uint32_t wanted = all->capacity ? all->capacity * 2 : 32;
        void *grown = mp_mem_grow(all->stack, all->capacity * sizeof *all->stack,
                                  wanted * sizeof *all->stack);
        if (!grown)
            return NULL;
        all->stack = grown;
        all->capacity = wanted;
    }
    struct mp_line_block *block = mp_lines_block(lines, self);
    if (!block)
        return NULL;
    struct activation *it = &all->stack[all->count++];
    const int64_t net = mp_meter_net(&self->meter);
    assert(block->owner == self);
    atomic_fetch_add(&lines->references, 1);
    *it = (struct activation){
        .frame = frame,
        .ip = mp_frame_ip(frame),
        .lines = lines,
        .slots = block->slots,
        .first = lines->options.first,
        .count = lines->options.count,
        .reading = mp_reading_of(&all->readings, &lines->options),
        .entry = net,
        .highest = net,
        .session = atomic_load(&lines->session),
    };
    return it;
}

static inline struct mp_line_slot *
slot_of(const struct activation *it, int line)
{
    const unsigned index = (unsigned)(line - it->first);
    return MP_LIKELY(index < (unsigned)it->count) ? &it->slots[index] : NULL;
}

/* Tell the innermost frame's activations of the maximum up to now. */
static void
hand_up(struct activations *all, int64_t high)
{
    for (uint32_t i = all->count; i-- > 0;) {
        struct activation *it = &all->stack[i];
        if (it->frame != all->stack[all->count - 1].frame)
            break;
        if (high > it->high)
            it->high = high;
    }
}

static inline void
reset_high(struct mp_meter *meter)
{
    meter->high = mp_meter_net(meter);
}

/* An activation on `slot`, or on none, above those there are. */
static struct activation *
start(struct mp_thread *self, const char *frame, struct mp_lines *lines, int line)
{
    struct activations *all = mp_py_thread(self)->activations;
    struct activation *it = push(self, frame, lines);
    if (!it)
        return NULL;
    const int64_t rss = mp_reading_now(it->reading, &self->meter, &lines->options);
    begin(all, it, &self->meter, slot_of(it, line));
    int64_t none = -1;
    atomic_compare_exchange_strong(&lines->baseline, &none, rss);
    return it;
}

/* ---- events ------------------------------------------------------------------------------- */

enum { NO_LINE = -1 };

static void
forget_suspended(const char *frame)
{
    struct mp_suspended entry;
    while (mp_suspended_take(frame, &entry))
        mp_lines_release(entry.lines);
}

/* The thread's activations, ready for one more; NULL when there is no memory for them. */
static struct activations *
prepare(struct mp_thread *self)
{
    assert(self == mp_thread_current);
    pthread_once(&once, mp_reading_set_up);
    struct activations *all = reach_activations(self);
    if (!all)
        return NULL;
    while (all->count && !is_valid(&all->stack[all->count - 1]))
        drop(all); /* of a profiler that another thread has disabled */
    wake(self, all);
    assert(self->idle == MP_GUARD_METERED);
    hand_up(all, self->meter.high);
    reset_high(&self->meter);
    return all;
}

/* `line`: where the activation stands; 0: on the first line of the code, which is a call. */
static bool
enter_on(struct mp_thread *self, const char *frame, const PyCodeObject *code, int line)
{
    struct mp_found found;
    mp_selection_find(code, &found);
    struct activations *all = found.count ? prepare(self) : NULL;
    for (int i = 0; all && i < found.count; i++) {
        struct activation *it =
            start(self, frame, found.lines[i], line ? line : code->co_firstlineno);
        if (!it || !it->slot)
            continue;
        assert(line != NO_LINE); /* which has no slot */
        const bool counted = line || !found.is_part[i];
        add(&it->slot->hits, counted);
        if (!line) /* its first line may be that of the call */
            it->ip = counted ? 0 : UINTPTR_MAX;
        raise_to(&it->slot->rss, it->rss);
    }
    mp_selection_let_go(&found);
    if (all)
        rest(self, all);
    return all != NULL;
}

bool
mp_activation_enter(struct mp_thread *self, const char *frame, const PyCodeObject *code)
{
    struct activations *all = mp_py_thread(self)->activations;
    while (all && all->count && all->stack[all->count - 1].frame == frame)
        drop(all); /* ended unseen */
    if (!mp_suspended_none())
        forget_suspended(frame);
    return enter_on(self, frame, code, 0);
}

bool
mp_activation_resume(struct mp_thread *self, const char *frame, const PyCodeObject *code)
{
    struct mp_suspended entry;
    struct activations *all = NULL;
    while (mp_suspended_take(frame, &entry)) {
        if (atomic_load(&entry.lines->session) == entry.session &&
            (all || (all = prepare(self)))) {
            struct activation *it = start(self, frame, entry.lines, entry.line);
            if (it)
                it->entry -= entry.rise;
        }
        mp_lines_release(entry.lines);
    }
    if (all)
        rest(self, all);
    return all || enter_on(self, frame, code, NO_LINE);
}

/* The frame's activations become the innermost; false when there are none. */
static bool
uncover(struct mp_thread *self, const char *frame)
{
    struct activations *all = mp_py_thread(self)->activations;
    if (!all || self->idle != MP_GUARD_METERED)
        return false;
    for (uint32_t i = all->count; i > 0; i--)
        if (all->stack[i - 1].frame == frame) {
            while (all->count > i)
                drop(all);
            return true;
        }
    return false;
}

bool
mp_activation_is_top(const struct mp_thread *self, const char *frame)
{
    const struct activations *all = mp_py_thread(self)->activations;
    return all && all->count && all->stack[all->count - 1].frame == frame;
}

/* The line goes on: it is the line of the call (ip 0), or a jump forward within it, for which
 * 3.12 and later make an event too. */
static inline __attribute__((always_inline)) void
step(struct activations *all, struct activation *it, const struct mp_meter *meter, int line)
{
    struct mp_line_slot *slot = slot_of(it, line);
    const uintptr_t ip = mp_frame_ip(it->frame), before = it->ip;
    it->ip = ip;
    if (MP_UNLIKELY(slot == it->slot) && (!before || (MP_HAS_MONITORING && ip > before))) {
        if (meter->high > it->high)
            it->high = meter->high;
        return;
    }
    charge(all, it, meter);
    begin(all, it, meter, slot);
    if (MP_LIKELY(it->slot != NULL))
        add(&it->slot->hits, 1);
}

/* The line of a frame that is not known, not the innermost, or has several activations. */
static __attribute__((noinline)) void
line_of_many(struct mp_thread *self, const char *frame, const PyCodeObject *code, int line)
{
    if (!mp_activation_is_top(self, frame) && !uncover(self, frame)) {
        enter_on(self, frame, code, line);
        return;
    }
    struct activations *all = mp_py_thread(self)->activations;
    for (uint32_t i = all->count; i-- > 0 && all->stack[i].frame == frame;) {
        struct activation *it = &all->stack[i];
        if (!is_valid(it)) { /* nothing was counted for a while */
            step_off(all, it);
            it->entry = it->highest = mp_meter_net(&self->meter);
            it->session = atomic_load(&it->lines->session);
        }
        step(all, it, &self->meter, line);
    }
    reset_high(&self->meter);
}

void
mp_activation_line(struct mp_thread *self, const char *frame, const PyCodeObject *code, int line)
{
    struct activations *all = mp_py_thread(self)->activations;
    struct activation *it = all && all->count ? &all->stack[all->count - 1] : NULL;
    if (MP_LIKELY(it != NULL) && MP_LIKELY(it->frame == frame) &&
        MP_LIKELY(all->count == 1 || it[-1].frame != frame) && MP_LIKELY(is_valid(it))) {
        step(all, it, &self->meter, line);
        reset_high(&self->meter);
    } else
        line_of_many(self, frame, code, line);
}

bool
mp_activation_jump(struct mp_thread *self, const char *frame, PyCodeObject *code,
                   struct mp_jump jump)
{
    assert(jump.to < jump.from);
    if (!mp_activation_is_top(self, frame) && !uncover(self, frame))
        return true;
    struct activations *all = mp_py_thread(self)->activations;
    struct activation *top = &all->stack[all->count - 1];
    if (MP_UNLIKELY(top->loop != jump.from)) {
        if (PyCode_Addr2Line(code, jump.from) != PyCode_Addr2Line(code, jump.to))
            return false;
        top->loop = jump.from;
    }
    /* an event of the line at the jump's target goes on with it */
    const uintptr_t before_target =
        mp_code_start((const PyCodeObject *)code, mp_frame_ip(frame)) + (uintptr_t)jump.to - 1;
    for (struct activation *it = top; it >= all->stack && it->frame == frame; it--)
        if (is_valid(it) && it->slot) {
            struct mp_line_slot *slot = it->slot;
            charge(all, it, &self->meter);
            begin(all, it, &self->meter, slot);
            add(&slot->hits, 1);
            it->ip = before_target;
        }
    reset_high(&self->meter);
    return true;
}

void
mp_activation_rebase(struct mp_thread *self)
{
    const struct mp_meter *meter = &self->meter;
    struct activations *all = mp_py_thread(self)->activations;
    assert(all && all->count > 0);
    const char *frame = all->stack[all->count - 1].frame;
    for (uint32_t i = all->count; i-- > 0 && all->stack[i].frame == frame;) {
        struct activation *it = &all->stack[i];
        it->entry += (int64_t)(meter->allocated - meter->freed) - (it->allocated - it->freed);
        it->allocated = (int64_t)meter->allocated;
        it->freed = (int64_t)meter->freed;
        it->high = it->highest = mp_meter_net(meter);
    }
    reset_high(&self->meter);
}

static void
suspend(const struct activation *it, const struct mp_meter *meter)
{
    const struct mp_suspended entry = {
        .frame = it->frame,
        .lines = it->lines,
        .rise = mp_meter_net(meter) - it->entry,
        .line = it->slot ? (int)(it->slot - it->slots) + it->first : NO_LINE,
        .session = it->session,
    };
    atomic_fetch_add(&it->lines->references, 1);
    if (!mp_suspended_put(&entry))
        mp_lines_release(it->lines);
}

void
mp_activation_leave(struct mp_thread *self, const char *frame, bool suspended)
{
    if (!mp_activation_is_top(self, frame) && !uncover(self, frame))
        return;
    struct activations *all = mp_py_thread(self)->activations;
    int64_t highest = INT64_MIN;
    while (mp_activation_is_top(self, frame)) {
        struct activation *it = &all->stack[all->count - 1];
        if (is_valid(it)) {
            charge(all, it, &self->meter);
            if (suspended)
                suspend(it, &self->meter);
        } else {
            step_off(all, it);
            it->highest = mp_meter_net(&self->meter);
        }
        if (it->highest > highest)
            highest = it->highest;
        pop(all);
    }
    hand_up(all, highest);
    reset_high(&self->meter);
    rest(self, all);
}

void
mp_activation_close(struct mp_thread *self, const struct mp_lines *lines)
{
    struct activations *all = mp_py_thread(self)->activations;
    if (!all || self->idle != MP_GUARD_METERED)
        return;
    hand_up(all, self->meter.high);
    for (uint32_t i = all->count; i-- > 0;)
        if (all->stack[i].lines == lines) {
            charge(all, &all->stack[i], &self->meter);
            all->stack[i].slot = NULL;
        }
    while (all->count && all->stack[all->count - 1].lines == lines)
        pop(all);
    reset_high(&self->meter);
    rest(self, all);
}
