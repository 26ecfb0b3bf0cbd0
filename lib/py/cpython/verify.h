/* verify: is this the interpreter that memprof was compiled for?
 *
 * memprof reads the interpreter's frames at offsets that are fixed when it is compiled. Two
 * things are asked before it reads any: from 3.13 on the table of offsets that CPython itself
 * carries for debuggers, and everywhere whether the frames that run now are the ones that
 * CPython's own functions name. Memory is read through the kernel here, so that wrong offsets
 * give a sentence and no crash.
 *
 * Called with the GIL held (or the thread attached), when the extension is imported.
 */
#ifndef MP_VERIFY_H
#define MP_VERIFY_H

#include <stdbool.h>
#include <stddef.h>

enum { MP_VERIFY_TEXT = 200 };

/* Where a frame has what; the tests make wrong ones. */
struct mp_layout {
    size_t code, previous, ip, owner;
};

/* The offsets that memprof was compiled with. */
struct mp_layout mp_verify_layout(void);

/* True when all agrees; else a sentence in `text`, of MP_VERIFY_TEXT bytes. False with a
 * Python exception set when there is no memory to ask with. */
bool mp_verify(const struct mp_layout *layout, char *text);

#endif
