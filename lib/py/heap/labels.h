/* labels: how an object holds others, in the words of who wrote the program.
 *
 * For one object at a time, each thing it holds with the name it has there: attribute, dict
 * key, index, closure variable, local variable. Only while the pass lasts.
 */
#ifndef MP_LABELS_H
#define MP_LABELS_H

#include "py/heap/pass.h"

/* What answers for the objects of a pass. */
struct mp_inspector mp_labels_inspector(const struct mp_pass *pass);

#endif
