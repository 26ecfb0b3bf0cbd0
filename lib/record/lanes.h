/* lanes: the part of the tracer that chooses among its lanes of tallies (tally.h) and adds
 * them up. What hooks and questions call is declared in tracer.h; these two are for tracer.c.
 */
#ifndef MP_LANES_H
#define MP_LANES_H

/* The calling thread begins to record: without a GIL a second one may keep bytes from the
 * clock from now on. */
void mp_lanes_note_thread(void);

/* Forget the numbers of all lanes. The hooks must be quiet. */
void mp_lanes_clear(void);

#endif
