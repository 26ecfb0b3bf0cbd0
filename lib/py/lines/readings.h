/* readings: the resident memory of the process, for a thread that asks at the end of each line.
 *
 * It is read again if since the last reading in the thread MP_READING_TRAFFIC bytes were
 * allocated or freed, or MP_READING_NANOSECONDS have passed: otherwise it cannot have changed by
 * more than that, or than what fits in so short a time. With the option `every_line` it is
 * read each time.
 *
 * A reading belongs to its thread. Bytes.
 */
#ifndef MP_READINGS_H
#define MP_READINGS_H

#include "os/clock.h"
#include "os/process.h"
#include "py/lines/counters.h"
#include "record/thread.h"

enum {
    MP_READING_TRAFFIC = 64 * 1024,
    MP_READING_NANOSECONDS = 20 * 1000,
};

struct mp_reading {
    int64_t bytes;
    int64_t traffic; /* of the meter, at the last reading */
    uint64_t ticks;
};

/* One for each thing that is meant by resident memory. */
struct mp_readings {
    struct mp_reading of[MP_PROCESS_METRICS][2]; /* [1]: with that of child processes */
};

/* Ticks after which resident memory is read again. */
extern MP_HIDDEN uint64_t mp_reading_patience;

/* Find it out; once, before all others. */
void mp_reading_set_up(void);

/* Whatever is asked for next is read. */
void mp_reading_expire(struct mp_readings *readings);

/* Slow path of mp_reading_now. */
void mp_reading_renew(struct mp_reading *reading, const struct mp_lines_options *options);

/* That of what the options want. */
static inline struct mp_reading *
mp_reading_of(struct mp_readings *readings, const struct mp_lines_options *options)
{
    return &readings->of[options->metric][options->children];
}

/* Resident memory, read again if it can have changed enough. */
static inline int64_t
mp_reading_now(struct mp_reading *reading, const struct mp_meter *meter,
               const struct mp_lines_options *options)
{
    const int64_t traffic = (int64_t)(meter->allocated + meter->freed);
    if (MP_UNLIKELY(options->every_line || traffic - reading->traffic >= MP_READING_TRAFFIC ||
                    mp_ticks() - reading->ticks >= mp_reading_patience)) {
        reading->traffic = traffic;
        mp_reading_renew(reading, options);
    }
    return reading->bytes;
}

#endif
