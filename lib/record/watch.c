#include "record/watch.h"

#include <assert.h>
#include <errno.h>

#include "base/array.h"
#include "os/clock.h"
#include "record/pulse.h"
#include "record/tracer.h"

struct mp_watch {
    struct mp_watch_options options;
    struct mp_sample *samples; /* written by the pulse's thread, read when that is over */
    size_t count, capacity;
    struct mp_pulse pulse;
    struct mp_beat beat;
};

struct mp_sample
mp_watch_sample(const struct mp_watch_options *options)
{
    assert(options->metric < MP_PROCESS_METRICS);
    int64_t bytes = options->traced ? mp_lanes_live(&mp_tracer.lanes)
                                    : mp_process_resident(0, options->metric);
    if (options->children && !options->traced)
        bytes += mp_process_descendants(0, options->metric);
    return (struct mp_sample){bytes, (double)mp_time_of_day() / 1e9};
}

static void
take(struct mp_watch *watch)
{
    if (!MP_ARRAY_RESERVE(watch->samples, watch->capacity, watch->count + 1))
        return; /* one sample less */
    watch->samples[watch->count++] = mp_watch_sample(&watch->options);
}

static uint64_t
take_again(void *argument)
{
    struct mp_watch *watch = argument;
    take(watch);
    return watch->options.interval;
}

int
mp_watch_start(const struct mp_watch_options *options, struct mp_watch **result)
{
    struct mp_watch *watch = mp_mem_new(sizeof *watch);
    if (!watch)
        return MP_NO_MEMORY;
    watch->options = *options;
    if (watch->options.interval < MP_WATCH_SHORTEST)
        watch->options.interval = MP_WATCH_SHORTEST;
    watch->beat = (struct mp_beat){take_again, watch, watch->options.interval, 0};
    take(watch);
    const int status = mp_pulse_start(&watch->pulse, &watch->beat, 1);
    if (status == MP_OK) {
        *result = watch;
        return MP_OK;
    }
    const int error = errno;
    mp_watch_free(watch);
    errno = error;
    return status;
}

/* The last sample is the caller's, as the first one was. */
void
mp_watch_stop(struct mp_watch *watch)
{
    if (mp_pulse_stop(&watch->pulse))
        take(watch);
}

size_t
mp_watch_count(const struct mp_watch *watch)
{
    assert(!mp_pulse_runs(&watch->pulse));
    return watch->count;
}

struct mp_sample
mp_watch_get(const struct mp_watch *watch, size_t i)
{
    assert(!mp_pulse_runs(&watch->pulse) && i < watch->count);
    return watch->samples[i];
}

void
mp_watch_free(struct mp_watch *watch)
{
    mp_watch_stop(watch);
    if (watch->samples)
        mp_mem_free(watch->samples, watch->capacity * sizeof *watch->samples);
    mp_mem_free(watch, sizeof *watch);
}
