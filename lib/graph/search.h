/* search: from the roots to every object, by shortest paths.
 *
 * The kinds of roots are tried in the order of mp_root_kind: what a module holds is not said to
 * be held by a local variable. Roots that are only guessed are dropped when nothing is left for
 * them to hold; what no root leads to gets one, MP_ROOT_C or MP_ROOT_NOTHING.
 */
#ifndef MP_SEARCH_H
#define MP_SEARCH_H

#include "graph/inspector.h"

MP_WARN_UNUSED int mp_heap_search(const struct mp_inspector *inspector, struct mp_search *search);

#endif
