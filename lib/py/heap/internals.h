/* internals: what only the interpreter itself holds: functions that the program has given it, and
 * the exceptions of its threads. No traverse function leads to them. */
#ifndef MP_HEAP_INTERNALS_H
#define MP_HEAP_INTERNALS_H

#include "py/heap/pass.h"

void mp_internals_find(struct mp_pass *pass);

#endif
