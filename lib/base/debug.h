/* debug: how much the code checks itself.
 *
 *   0  nothing (NDEBUG)
 *   1  assert(): what must be true at a place, in constant time
 *   2  whole structures as well, each by its mp_x_check, where they have changed
 *
 * Level 2 is far too slow for use: `make check-debug` runs a part of the suite with it.
 */
#ifndef MP_DEBUG_H
#define MP_DEBUG_H

#include <assert.h>

#ifndef MP_DEBUG
#ifdef NDEBUG
#define MP_DEBUG 0
#else
#define MP_DEBUG 1
#endif
#endif

#if MP_DEBUG >= 2
#include <stdio.h>
#include <stdlib.h>

/* Ends the process unless check(structure, &why) holds. */
#define MP_CHECK_WHOLE(check, structure)                                                      \
    do {                                                                                      \
        const char *why_ = "";                                                                \
        if (!check(structure, &why_)) {                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #check, why_);             \
            abort();                                                                          \
        }                                                                                     \
    } while (0)
#else
#define MP_CHECK_WHOLE(check, structure) ((void)0)
#endif

#endif
