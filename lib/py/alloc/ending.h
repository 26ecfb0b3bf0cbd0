/* ending: when Python ends, and with it the thread states of threads that go on.
 *
 * A hook walks the frames of its own thread. Without the GIL the thread state may be freed
 * meanwhile by Py_FinalizeEx, which runs the handlers of the module atexit first. From the one of
 * memprof on, threads that are not attached to the interpreter have the empty stack.
 */
#ifndef MP_ENDING_H
#define MP_ENDING_H

#include "py/cpython/compat.h"

#include "record/thread.h"

extern MP_HIDDEN _Atomic bool mp_ending_begun;

/* May the thread state of the calling thread be gone, which is not attached? For hooks that
 * have entered. */
static inline bool
mp_ending_is_near(void)
{
    return atomic_load_explicit(&mp_ending_begun, memory_order_relaxed);
}

/* See to it that the end will be noticed, in whichever interpreter this is called; lets go of the
 * GIL. Never fails: without memory it will not be noticed. */
void mp_ending_watch(void);

/* The calling interpreter runs its exit handlers. When it is the main one, the end is near: hooks
 * in flight are over when this returns. Is it? */
bool mp_ending_begin(void);

/* Has Python ended since it was watched? True once. A program that embeds it may start it
 * again, with other allocators and thread states; the trace of before must then be stopped. */
bool mp_ending_is_over(void);

#endif
