/* names: strings kept once each (file names, qualified names of functions).
 *
 * Text is UTF-8 (lone surrogates as three bytes, Python's "surrogatepass"), not
 * terminated, copied on intern. Id 0 is the empty name. Thread rule as table.h.
 */
#ifndef MP_NAMES_H
#define MP_NAMES_H

#include "base/table.h"

struct mp_name {
    struct mp_record record;
    uint32_t length; /* bytes */
    const char *text;
};

struct mp_names {
    struct mp_table table;
    struct mp_arena arena;
};

MP_WARN_UNUSED int mp_names_init(struct mp_names *names);
void mp_names_destroy(struct mp_names *names);

/* Id of a string; 0 for the empty one and when there is no memory. */
uint32_t mp_names_intern(struct mp_names *names, const char *text, size_t length);

/* True when each name is found by its text and only there; otherwise *why says what is broken.
 * While nobody interns. */
bool mp_names_check(const struct mp_names *names, const char **why);

#endif
