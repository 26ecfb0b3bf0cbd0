/* blocks: the live blocks of the trace that are no objects the collector or an edge leads to:
 * buffers, which belong to the object that has their address in it, and objects known to C code
 * only. */
#ifndef MP_BLOCKS_H
#define MP_BLOCKS_H

#include "py/heap/pass.h"

/* Add what the live blocks are: objects that nobody leads to, with all they lead to, and
 * buffers. */
void mp_blocks_find(struct mp_pass *pass);

/* Find out who owns which buffer. */
void mp_blocks_find_owners(struct mp_pass *pass);

#endif
