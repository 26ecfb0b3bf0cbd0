#include "record/timeline.h"

#include <assert.h>
#include <pthread.h>

#include "base/debug.h"
#include "os/clock.h"
#include "os/process.h"
#include "record/pulse.h"
#include "record/tracer.h"

enum { FIRST_INTERVAL = 10 * 1000 * 1000 }; /* nanoseconds */

static struct {
    struct mp_timeline_options options;
    struct mp_series series;
    uint64_t start; /* clock at mp_timeline_reset */
    uint64_t cost;  /* of the last checkpoint, in nanoseconds */
    struct mp_pulse pulse;
    struct mp_beat beats[2];
} timeline;

/* Held while the thread is started or stopped: any thread may do so, with or without the GIL. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;

/* ---- checkpoints ----------------------------------------------------------------------- */

uint64_t
mp_timeline_time(void)
{
    return mp_time_now() - timeline.start;
}

/* Fill points with the sites that have live blocks; how many there are. */
static size_t
collect_points(struct mp_point *points, uint32_t sites)
{
    size_t count = 0;
    for (uint32_t site = 1; site <= sites; site++) {
        struct mp_totals totals;
        mp_lanes_totals(&mp_tracer.lanes, site, &totals);
        /* a block that is freed in another lane while we add up makes it negative */
        if ((int64_t)totals.live.blocks > 0 && (int64_t)totals.live.bytes >= 0)
            points[count++] = (struct mp_point){site, (uint32_t)totals.live.blocks,
                                                totals.live.bytes};
    }
    return count;
}

void
mp_timeline_take(void)
{
    mp_timeline_take_at(mp_time_now() - timeline.start);
}

void
mp_timeline_take_at(uint64_t time)
{
    const uint64_t begin = mp_time_now();
    const uint32_t sites = mp_table_count(&mp_tracer.depot.sites);
    struct mp_checkpoint checkpoint = {
        .time = time,
        .traced = mp_lanes_live(&mp_tracer.lanes),
        .rss = mp_process_rss(),
    };
    struct mp_point *points = mp_mem_new((sites + 1) * sizeof *points);
    if (!points)
        return; /* one checkpoint less */
    checkpoint.count = collect_points(points, sites);
    assert(checkpoint.count <= sites);
    checkpoint.capacity = checkpoint.count ? checkpoint.count : 1;
    checkpoint.points = mp_mem_grow(points, (sites + 1) * sizeof *points,
                                    checkpoint.capacity * sizeof *points);
    if (!checkpoint.points) {
        mp_mem_free(points, (sites + 1) * sizeof *points);
        return;
    }
    mp_series_add(&timeline.series, &checkpoint);
    MP_CHECK_WHOLE(mp_series_check, &timeline.series);
    timeline.cost = mp_time_now() - begin;
}

void
mp_timeline_reset(void)
{
    assert(!mp_pulse_runs(&timeline.pulse));
    mp_series_clear(&timeline.series);
    timeline.start = mp_time_now();
    timeline.cost = 0;
}

struct mp_series *
mp_timeline_series(void)
{
    return &timeline.series;
}

/* ---- the thread ------------------------------------------------------------------------- */

/* Until the next checkpoint: as the series wants it, and at most 1 % of the time. */
static uint64_t
interval(void)
{
    const uint64_t wanted = (uint64_t)FIRST_INTERVAL << timeline.series.thinned;
    const uint64_t least = timeline.cost * 100;
    return wanted < least ? least : wanted;
}

static uint64_t
take_checkpoint(void *unused)
{
    (void)unused;
    mp_timeline_take();
    return interval();
}

static uint64_t
call_function(void *unused)
{
    const struct mp_timeline_options *options = &timeline.options;
    (void)unused;
    options->call(options->data);
    return options->call_interval;
}

/* In a forked child: whoever held it may be gone. */
static void
free_life(void)
{
    pthread_mutex_init(&life, NULL);
}

static void
watch_fork(void)
{
    pthread_atfork(NULL, NULL, free_life);
}

static int
start(const struct mp_timeline_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t count = 0;
    if (mp_pulse_runs(&timeline.pulse))
        return MP_OK;
    if (options->series)
        timeline.beats[count++] = (struct mp_beat){.call = take_checkpoint, .wait = interval()};
    if (options->call_interval)
        timeline.beats[count++] =
            (struct mp_beat){.call = call_function, .wait = options->call_interval};
    if (count == 0)
        return MP_OK;
    assert(options->call || !options->call_interval);
    pthread_once(&once, watch_fork);
    timeline.options = *options;
    return mp_pulse_start(&timeline.pulse, timeline.beats, count);
}

int
mp_timeline_start(const struct mp_timeline_options *options)
{
    pthread_mutex_lock(&life);
    const int status = start(options);
    pthread_mutex_unlock(&life);
    return status;
}

int
mp_timeline_resume(void)
{
    const struct mp_timeline_options options = timeline.options;
    return mp_timeline_start(&options);
}

bool
mp_timeline_stop(void)
{
    pthread_mutex_lock(&life);
    const bool ran = mp_pulse_stop(&timeline.pulse);
    pthread_mutex_unlock(&life);
    return ran;
}
