#include "py/lines/readings.h"

#include "base/debug.h"

uint64_t mp_reading_patience;

void
mp_reading_set_up(void)
{
    mp_reading_patience = mp_ticks_of(MP_READING_NANOSECONDS);
    assert(mp_reading_patience > 0);
}

void
mp_reading_expire(struct mp_readings *readings)
{
    for (int metric = 0; metric < MP_PROCESS_METRICS; metric++)
        for (int children = 0; children < 2; children++)
            readings->of[metric][children].ticks = mp_ticks() - mp_reading_patience;
}

void
mp_reading_renew(struct mp_reading *reading, const struct mp_lines_options *options)
{
    assert(options->metric >= 0 && options->metric < MP_PROCESS_METRICS);
    assert(mp_reading_patience > 0);
    reading->bytes = mp_process_resident(0, options->metric);
    if (options->children)
        reading->bytes += mp_process_descendants(0, options->metric);
    reading->ticks = mp_ticks();
}
