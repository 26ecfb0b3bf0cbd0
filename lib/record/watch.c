#define _GNU_SOURCE
#include "record/watch.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "record/tracer.h"

struct mp_watch {
    struct mp_watch_options options;
    struct mp_sample *samples; /* written by the thread, read when it is over */
    size_t count, capacity;
    pid_t owner;
    bool running;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards `stopping` */
    pthread_cond_t wake;
    bool stopping;
};

struct mp_sample
mp_watch_sample(const struct mp_watch_options *options)
{
    struct timespec now;
    int64_t bytes = options->traced ? mp_lanes_live(&mp_tracer.lanes) : mp_resident_of(0, options->metric);
    if (options->children && !options->traced)
        bytes += mp_resident_descendants(0, options->metric);
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct mp_sample){bytes, (double)now.tv_sec + (double)now.tv_nsec / 1e9};
}

static void
take(struct mp_watch *watch)
{
    if (watch->count == watch->capacity) {
        const size_t wanted = watch->capacity ? watch->capacity * 2 : 256;
        void *grown = mp_mem_grow(watch->samples, watch->capacity * sizeof *watch->samples,
                                  wanted * sizeof *watch->samples);
        if (!grown)
            return; /* one sample less */
        watch->samples = grown;
        watch->capacity = wanted;
    }
    watch->samples[watch->count++] = mp_watch_sample(&watch->options);
}

static struct timespec
later(const struct mp_watch *watch)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t nanoseconds = (uint64_t)until.tv_nsec + watch->options.interval;
    until.tv_sec += (time_t)(nanoseconds / 1000000000u);
    until.tv_nsec = (long)(nanoseconds % 1000000000u);
    return until;
}

static void *
run(void *argument)
{
    struct mp_watch *watch = argument;
    bool is_last = false;
    while (!is_last) {
        const struct timespec until = later(watch);
        int status = 0;
        pthread_mutex_lock(&watch->mutex);
        while (!watch->stopping && status != ETIMEDOUT)
            status = pthread_cond_timedwait(&watch->wake, &watch->mutex, &until);
        is_last = watch->stopping;
        pthread_mutex_unlock(&watch->mutex);
        take(watch);
    }
    return NULL;
}

int
mp_watch_start(const struct mp_watch_options *options, struct mp_watch **result)
{
    struct mp_watch *watch = mp_mem_new(sizeof *watch);
    pthread_condattr_t attributes;
    if (!watch)
        return MP_NO_MEMORY;
    watch->options = *options;
    if (watch->options.interval < MP_WATCH_SHORTEST)
        watch->options.interval = MP_WATCH_SHORTEST;
    watch->owner = getpid();
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    take(watch);
    const int error = mp_threads_start(&watch->thread, run, watch);
    watch->running = error == 0;
    if (error)
        mp_watch_free(watch);
    else
        *result = watch;
    errno = error;
    return error ? MP_SYSTEM : MP_OK;
}

void
mp_watch_stop(struct mp_watch *watch)
{
    if (!watch->running)
        return;
    watch->running = false;
    if (watch->owner != getpid())
        return;
    pthread_mutex_lock(&watch->mutex);
    watch->stopping = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
}

size_t
mp_watch_count(const struct mp_watch *watch)
{
    return watch->count;
}

struct mp_sample
mp_watch_get(const struct mp_watch *watch, size_t i)
{
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
