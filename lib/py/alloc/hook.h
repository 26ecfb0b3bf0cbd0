/* hook: memprof between CPython and its allocators (RAW, MEM and OBJ).
 *
 * Rules for everything called from a hook: no Python API beyond reading structs,
 * no allocation through Python or libc, no release of the GIL, no failure.
 *
 * The hooks keep the context pointer of the allocators below them, and those are
 * published before the hooks are set: a thread that reads CPython's (context,
 * function) pair while it changes still makes a valid call.
 *
 * Call all functions with the GIL of the main interpreter.
 */
#ifndef MP_HOOK_H
#define MP_HOOK_H

#include "record/thread.h"

/* Tell the tracer, which does not record yet, who finds the stacks. */
void mp_hook_connect(void);

/* It does: put the hooks in front of the allocators, unless they are in the chain already. */
void mp_hook_install(void);

/* Leave out what the calling thread allocates from now on, or no more: for memprof's own
 * Python objects. Frees are still recorded. Returns the state before, to be restored. */
bool mp_hook_quiet(bool quiet);

/* Let the calling thread's meter count, or no more. Not while the thread is in a hook. */
void mp_hook_meter(struct mp_thread *self, bool on);

/* Threads with a meter may have gone, in a fork or by their end: count those there are. */
void mp_hook_count_meters(void);

/* What threads allocate whose meters count has the empty stack: for a trace that is there for
 * the meters alone. */
void mp_hook_leave_out_stacks(bool leave_out);

/* The block, which the interpreter has just made to call us, is not the program's: it is taken
 * out of the trace, and of the meter when it was the last to be counted. */
void mp_hook_disown(struct mp_thread *self, uintptr_t block);

#endif
