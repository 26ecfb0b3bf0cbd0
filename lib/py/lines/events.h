/* events: the interpreter tells of calls, lines and ends of selected code.
 *
 * Two implementations: events_monitoring.c (3.12 and later) sets sys.monitoring's local events
 * on the code; events_settrace.c (3.11) sets a trace function for the time that selected code
 * runs. Other code runs at its full speed, and other tools (debuggers, coverage, profilers)
 * find what they have set.
 *
 * Call with the GIL of the main interpreter, one thread at a time.
 */
#ifndef MP_EVENTS_H
#define MP_EVENTS_H

#include "py/cpython/compat.h"

/* Begin to watch a code object that was selected (selection.h). -1 with an exception set. */
int mp_line_events_watch(PyCodeObject *code);

/* End that, when nobody has selected it any more. Errors are reported, not raised. */
void mp_line_events_unwatch(PyCodeObject *code);

#endif
