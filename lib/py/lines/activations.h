/* activations: calls of selected functions that are under way.
 *
 * Events of the interpreter come from events_monitoring.c (3.12 and later) or events_settrace.c
 * (3.11). Each thread has a stack of activations. From one event to the next the thread's
 * meter (thread.h) says what was allocated and freed: it is charged to the line on which the
 * activation stood, what the line has called included.
 *
 * Counted once: where a function is on the stack twice at the same line (recursion, or a
 * comprehension within the line) the inner activation's share is left out of the outer one's.
 *
 * Freed is what is known by its allocation: made in the thread or another one while a meter
 * counted, or by a trace of the user's (chain.h says what is seen in between).
 *
 * Level and peak are those of the thread, from the entry of the activation on; what happens
 * while a generator is suspended is not its own.
 *
 * Resident memory is read at the end of a line, if it can have changed (readings.h) and the line
 * is one that changes it (charging.h).
 *
 * All functions concern the calling thread, which is `self`, and its own frames.
 */
#ifndef MP_ACTIVATIONS_H
#define MP_ACTIVATIONS_H

#include "py/cpython/compat.h"

#include "py/lines/counters.h"
#include "record/thread.h"

/* Called when a thread's first activation begins and nothing is traced: begins the trace, or is
 * NULL. Written with the GIL held. */
extern void (*mp_activation_starts_trace)(void);

/* A call begins, for each profiler that has selected the code; false when none has. */
bool mp_activation_enter(struct mp_thread *self, const char *frame, const PyCodeObject *code);

/* A generator goes on; one that is not known begins now, on no line. */
bool mp_activation_resume(struct mp_thread *self, const char *frame, const PyCodeObject *code);

/* A line begins. A frame that is not known begins with it. */
void mp_activation_line(struct mp_thread *self, const char *frame, const PyCodeObject *code,
                        int line);

struct mp_jump {
    int from, to; /* offsets in the code */
};

/* A jump back, for versions that tell of them: where both ends are on the same line, the line
 * begins again. False when they are not. */
bool mp_activation_jump(struct mp_thread *self, const char *frame, PyCodeObject *code,
                        struct mp_jump jump);

/* What was allocated since the innermost activation has begun is not the program's. */
void mp_activation_rebase(struct mp_thread *self);

/* The call ends, or is suspended. Without effect when it is not known. */
void mp_activation_leave(struct mp_thread *self, const char *frame, bool suspended);

/* Charge and end the thread's activations of `lines`, which is no longer selected. */
void mp_activation_close(struct mp_thread *self, const struct mp_lines *lines);

/* Is the frame the innermost activation of the thread? */
bool mp_activation_is_top(const struct mp_thread *self, const char *frame);

#endif
