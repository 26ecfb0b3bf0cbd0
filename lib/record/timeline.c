#define _GNU_SOURCE
#include "record/timeline.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "os/process_memory.h"
#include "record/tracer.h"

enum { FIRST_INTERVAL = 10 * 1000 * 1000 }; /* nanoseconds */

static struct {
    struct mp_timeline_options options;
    struct mp_series series;
    uint64_t start;          /* clock at mp_timeline_reset */
    uint64_t cost;           /* of the last checkpoint, in nanoseconds */
    bool running;
    pthread_t thread;
    pthread_mutex_t mutex;   /* guards `stopping`, for the condition only */
    pthread_cond_t wake;
    bool stopping;
} timeline = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Held while the thread is started or stopped: any thread may do so, with or without the GIL. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;

static uint64_t
clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
mp_timeline_time(void)
{
    return clock_now() - timeline.start;
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
    mp_timeline_take_at(clock_now() - timeline.start);
}

void
mp_timeline_take_at(uint64_t time)
{
    const uint64_t begin = clock_now();
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
    checkpoint.capacity = checkpoint.count ? checkpoint.count : 1;
    checkpoint.points = mp_mem_grow(points, (sites + 1) * sizeof *points,
                                    checkpoint.capacity * sizeof *points);
    if (!checkpoint.points) {
        mp_mem_free(points, (sites + 1) * sizeof *points);
        return;
    }
    mp_series_add(&timeline.series, &checkpoint);
    timeline.cost = clock_now() - begin;
}

/* When the next checkpoint is due: on the grid of the series, at most 1 % of the time. */
static uint64_t
next_checkpoint(uint64_t now)
{
    uint64_t interval = (uint64_t)FIRST_INTERVAL << timeline.series.thinned;
    if (interval < timeline.cost * 100)
        interval = timeline.cost * 100;
    return now + interval;
}

/* Wait until `due` or until the thread is to stop; true in that case. */
static bool
wait_until(uint64_t due)
{
    const struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    int status = 0;
    pthread_mutex_lock(&timeline.mutex);
    while (!timeline.stopping && status == 0)
        status = pthread_cond_timedwait(&timeline.wake, &timeline.mutex, &until);
    const bool stopping = timeline.stopping;
    pthread_mutex_unlock(&timeline.mutex);
    return stopping;
}

static void *
run(void *unused)
{
    const struct mp_timeline_options *options = &timeline.options;
    uint64_t now = clock_now();
    uint64_t checkpoint = options->series ? next_checkpoint(now) : UINT64_MAX;
    uint64_t call = options->call_interval ? now + options->call_interval : UINT64_MAX;

    (void)unused;
    while (!wait_until(checkpoint < call ? checkpoint : call)) {
        if (clock_now() >= checkpoint) {
            mp_timeline_take();
            checkpoint = next_checkpoint(clock_now());
        }
        if (clock_now() >= call) {
            options->call(options->data);
            call = clock_now() + options->call_interval;
        }
    }
    return NULL;
}

/* In a forked child the thread is gone, and with it perhaps the mutex. */
static void
after_fork_in_child(void)
{
    timeline.running = false;
    pthread_mutex_init(&timeline.mutex, NULL);
    pthread_mutex_init(&life, NULL);
}

static void
watch_fork(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

static int
start(const struct mp_timeline_options *options)
{
    if (timeline.running || (!options->series && !options->call_interval))
        return MP_OK;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_fork);
    timeline.options = *options;
    timeline.stopping = false;

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&timeline.wake, &attributes);
    pthread_condattr_destroy(&attributes);

    const int error = mp_threads_start(&timeline.thread, run, NULL);
    timeline.running = error == 0;
    errno = error;
    return error ? MP_SYSTEM : MP_OK;
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

static bool
stop(void)
{
    if (!timeline.running)
        return false;
    pthread_mutex_lock(&timeline.mutex);
    timeline.stopping = true;
    pthread_cond_signal(&timeline.wake);
    pthread_mutex_unlock(&timeline.mutex);
    pthread_join(timeline.thread, NULL);
    pthread_cond_destroy(&timeline.wake);
    timeline.running = false;
    return true;
}

bool
mp_timeline_stop(void)
{
    pthread_mutex_lock(&life);
    const bool ran = stop();
    pthread_mutex_unlock(&life);
    return ran;
}

struct mp_series *
mp_timeline_series(void)
{
    return &timeline.series;
}

void
mp_timeline_reset(void)
{
    mp_series_clear(&timeline.series);
    timeline.start = clock_now();
    timeline.cost = 0;
}
