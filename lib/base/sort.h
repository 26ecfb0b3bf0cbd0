/* sort: an array in the order of a comparison that sees a context.
 *
 * In place: takes no memory (qsort may call malloc) and a bounded stack, some 50 calls deep at
 * most. At most in proportion to n log n, whatever the items are. Not stable: where the order of
 * equal items matters, compare an id of theirs last. Any thread; one array at a time.
 */
#ifndef MP_SORT_H
#define MP_SORT_H

#include <stddef.h>

struct mp_comparison {
    /* Negative: the left item comes first; 0: either may; positive: the right one does. */
    int (*compare)(const void *left, const void *right, void *context);
    void *context;
};

/* `count` items of `size` bytes each. A comparison that contradicts itself gives some order of
 * the same items. */
void mp_sort(void *items, size_t count, size_t size, struct mp_comparison comparison);

#endif
