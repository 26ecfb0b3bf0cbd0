/* growth: which call stacks grow through a whole run, judged from their series.
 *
 * A snapshot with a series gives one verdict for each stack that is still alive:
 *
 *   STEADY     grew through the whole run and is alive: a leak
 *   STEPWISE   one block that was made larger in steps that a steady growth of what it holds
 *              would ask for: a leak if what it holds grows, which only a look at it can tell
 *   FLAT       warmed up and then stayed
 *   SAWTOOTH   fell by more than a quarter of its highest level
 *   ONCE       allocated at one moment and kept
 *   LATE       appeared in the last third: too near the end to be judged
 *
 * The rule. The first fifth of the run is warm-up (for what begins later,
 * but in the first half: the first fifth of its own time). The rest is cut into eight
 * windows of as many checkpoints each (they are evenly spaced), and of each window only the
 * lowest level counts, so that what comes and goes within a window (buffers, caches that are
 * emptied, garbage that waits for the collector) is not seen as growth. STEADY needs a rise from
 * window to window in most of them, some of it in the last third, no fall of more than a tenth of
 * the growth, and half of the growth alive at the end, which the caller measures after the
 * program and a collection are over.
 *
 * And it must not level off. A bounded thing (a cache that fills up) loses the same part
 * of its pace in equal times. Growth that keeps half of its pace from the first half of what
 * is judged to the second cannot be told from one that goes on, and counts as such. Growth that
 * has lost more goes on only if the last quarter has more of it than such a bounded thing would
 * have, given what the third had: by a fifth, and by three times what chance would make of so many
 * blocks. That is a leak that became slower but never stops; one that became so in the last half
 * needs a longer run: an eighth of what is judged is five or six checkpoints, so that a pace within
 * the last quarter is not known to a fifth. Growth by the logarithm of time keeps half of its pace:
 * it counts as a leak, unless it began long before what is judged.
 *
 * Large blocks rise in few windows only. There each lasting rise is looked at: four or more
 * are steady growth when each lasts as long as its size lets expect (size by time until
 * the next one, within a factor of three), the next one is not overdue at the end, and
 * nothing fell by more than the largest of them.
 *
 * Pure functions.
 */
#ifndef MP_GROWTH_H
#define MP_GROWTH_H

#include "analyse/snapshot.h"

enum mp_verdict {
    MP_STEADY, MP_STEPWISE, MP_FLAT, MP_SAWTOOTH, MP_ONCE, MP_LATE, MP_VERDICTS
};

enum {
    MP_GROWTH_CHECKPOINTS = 12,     /* fewer: too short to judge */
    MP_GROWTH_WINDOWS = 8,
    MP_GROWTH_SLOWER = 50,          /* percent: growth with so much of its pace left levels off */
    MP_GROWTH_MORE = 120,           /* percent of a bounded thing's pace: more goes on */
    MP_GROWTH_MANY = 8,             /* so many blocks more: their number tells what levels off */
    MP_GROWTH_STEPS = 4,            /* fewer lasting rises say nothing */
    MP_GROWTH_PACE = 3,             /* fastest by slowest of regular steps */
    MP_GROWTH_BYTES = 1024,         /* less growth than this is not worth a report */
};

struct mp_growth {
    uint32_t stack;
    uint32_t verdict; /* enum mp_verdict */
    struct mp_counts live;          /* at the end */
    struct mp_counts first, last;   /* lowest level of the first and of the last window */
    double bytes_per_second, blocks_per_second; /* between those two, 0 at one time */
};

struct mp_growths {
    bool too_short; /* no verdicts: every row says LATE */
    size_t count, capacity;
    struct mp_growth *rows;         /* leaks first, then by bytes */
};

MP_WARN_UNUSED int mp_growth(const struct mp_snapshot *snapshot, struct mp_growths *growths);
void mp_growths_free(struct mp_growths *growths);

#endif
