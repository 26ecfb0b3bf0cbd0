#include "base/sort.h"

#include <stdint.h>
#include <string.h>

#include "base/debug.h"

/* Quicksort; by insertion where few items are left, as a heap where the pivots prove bad. */
enum { FEW = 12, MANY = 128 };

struct sorting {
    struct mp_comparison by;
    size_t size;
};

static int
compare(const struct sorting *sorting, const char *left, const char *right)
{
    return sorting->by.compare(left, right, sorting->by.context);
}

/* Swap two items, and go on from words to bytes as far as their size wants it. */
static void
exchange(const struct sorting *sorting, char *a, char *b)
{
    size_t left = sorting->size;
    for (uint64_t x, y; left >= sizeof x; a += sizeof x, b += sizeof x, left -= sizeof x) {
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        memcpy(a, &y, sizeof y);
        memcpy(b, &x, sizeof x);
    }
    for (uint32_t x, y; left >= sizeof x; a += sizeof x, b += sizeof x, left -= sizeof x) {
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        memcpy(a, &y, sizeof y);
        memcpy(b, &x, sizeof x);
    }
    for (char x; left; a++, b++, left--)
        x = *a, *a = *b, *b = x;
}

static void
sort_few(const struct sorting *sorting, char *first, size_t count)
{
    const size_t size = sorting->size;
    for (size_t i = 1; i < count; i++)
        for (char *at = first + i * size;
             at > first && compare(sorting, at - size, at) > 0; at -= size)
            exchange(sorting, at - size, at);
}

/* ---- as a heap: never bad, and never as good ------------------------------------------ */

static void
sift_down(const struct sorting *sorting, char *first, size_t parent, size_t count)
{
    const size_t size = sorting->size;
    for (size_t child; (child = 2 * parent + 1) < count; parent = child) {
        if (child + 1 < count &&
            compare(sorting, first + child * size, first + (child + 1) * size) < 0)
            child++;
        if (compare(sorting, first + parent * size, first + child * size) >= 0)
            return;
        exchange(sorting, first + parent * size, first + child * size);
    }
}

static void
sort_as_heap(const struct sorting *sorting, char *first, size_t count)
{
    for (size_t parent = count / 2; parent-- > 0;)
        sift_down(sorting, first, parent, count);
    for (size_t last = count - 1; last > 0; last--) {
        exchange(sorting, first, first + last * sorting->size);
        sift_down(sorting, first, 0, last);
    }
}

/* ---- by pivots ------------------------------------------------------------------------- */

static char *
median(const struct sorting *sorting, char *a, char *b, char *c)
{
    if (compare(sorting, a, b) > 0) {
        char *const greater = a;
        a = b;
        b = greater;
    }
    if (compare(sorting, b, c) <= 0)
        return b;
    return compare(sorting, a, c) > 0 ? a : c;
}

/* Of many items it is the median of three medians. */
static char *
choose_pivot(const struct sorting *sorting, char *first, size_t count)
{
    const size_t size = sorting->size, step = count / 8 * size;
    char *const middle = first + count / 2 * size, *const last = first + (count - 1) * size;
    if (count < MANY)
        return median(sorting, first, middle, last);
    return median(sorting, median(sorting, first, first + step, first + 2 * step),
                  median(sorting, middle - step, middle, middle + step),
                  median(sorting, last - 2 * step, last - step, last));
}

/* What is not greater than the item returned comes to lie before it, what is not less behind.
 * Both searches stop at equal items: many of them are split in the middle. */
static char *
split(const struct sorting *sorting, char *first, size_t count)
{
    const size_t size = sorting->size;
    char *const end = first + count * size;
    char *low = first, *high = end;
    exchange(sorting, first, choose_pivot(sorting, first, count));
    for (;;) {
        do
            low += size;
        while (low < end && compare(sorting, low, first) < 0);
        do
            high -= size;
        while (high > first && compare(sorting, high, first) > 0);
        if (low >= high)
            break;
        exchange(sorting, low, high);
    }
    assert(first <= high && high < end);
    exchange(sorting, first, high);
    return high;
}

/* `splits`: how many there may be, one within the other, before the pivots are bad ones. */
static void
sort(const struct sorting *sorting, char *first, size_t count, int splits)
{
    for (; count > FEW && splits > 0; splits--) {
        char *const pivot = split(sorting, first, count), *const behind = pivot + sorting->size;
        const size_t before = (size_t)(pivot - first) / sorting->size;
        const size_t after = count - before - 1;
        assert(before < count);
        if (before < after) { /* the call has the smaller part: at most half */
            sort(sorting, first, before, splits - 1);
            first = behind;
            count = after;
        } else {
            sort(sorting, behind, after, splits - 1);
            count = before;
        }
    }
    if (count > FEW)
        sort_as_heap(sorting, first, count);
    else
        sort_few(sorting, first, count);
}

void
mp_sort(void *items, size_t count, size_t size, struct mp_comparison comparison)
{
    const struct sorting sorting = {comparison, size};
    int splits = 2;
    assert(size && comparison.compare);
    assert(!count || items);
    for (size_t left = count; left > 1; left /= 2)
        splits += 2;
    sort(&sorting, items, count, splits);
}
