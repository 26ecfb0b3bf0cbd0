/* selection: which code is selected for line profiles, and by which profilers.
 *
 * A code object may be selected several times: by several profilers, or twice by one that counts
 * it as a function and as a part of another. Whoever asks for it all the time asks a filter
 * without a lock first.
 *
 * All functions may be called from any thread. The lock inside is never held across a call into
 * Python, and is taken around fork() (with that of suspended.h, which comes after it).
 */
#ifndef MP_SELECTION_H
#define MP_SELECTION_H

#include "py/cpython/compat.h"

#include "py/lines/counters.h"

/* From now on activations of the code count in `lines`. `is_part`: of a function or
 * comprehension within the one that `lines` is of. MP_NO_MEMORY. */
MP_WARN_UNUSED int mp_selection_add(struct mp_lines *lines, const PyCodeObject *code,
                                    bool is_part);

/* End that for all its code. Without effect when it was not selected. */
void mp_selection_remove(struct mp_lines *lines);

/* Fast and not exact: false only if the code is not selected. */
bool mp_selection_may_have(const PyCodeObject *code);

bool mp_selection_has(const PyCodeObject *code);

enum { MP_FOUND_MAX = 16 }; /* more profilers of one function than that are left out */

struct mp_found {
    struct mp_lines *lines[MP_FOUND_MAX]; /* one reference each */
    bool is_part[MP_FOUND_MAX];
    int count;
};

/* Who has selected the code. */
void mp_selection_find(const PyCodeObject *code, struct mp_found *found);

/* Give the references back. */
void mp_selection_let_go(const struct mp_found *found);

#endif
