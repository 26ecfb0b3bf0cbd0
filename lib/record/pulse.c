#define _GNU_SOURCE
#include "record/pulse.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "os/clock.h"
#include "os/threads.h"

/* ---- fork ------------------------------------------------------------------------------ */

static _Atomic uint32_t forks; /* between the first process that had a pulse and this one */

static void
after_fork_in_child(void)
{
    atomic_fetch_add(&forks, 1);
}

static void
notice_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* ---- the thread --------------------------------------------------------------------------- */

static uint64_t
later(uint64_t nanoseconds)
{
    const uint64_t now = mp_time_now();
    return nanoseconds < UINT64_MAX - now ? now + nanoseconds : UINT64_MAX;
}

static uint64_t
earliest(const struct mp_pulse *pulse)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < pulse->count; i++)
        if (pulse->beats[i].due < due)
            due = pulse->beats[i].due;
    return due;
}

/* Wait until `due` or until the thread is to stop; false in that case. */
static bool
wait_until(struct mp_pulse *pulse, uint64_t due)
{
    const struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    int status = 0;
    pthread_mutex_lock(&pulse->mutex);
    while (!pulse->stopping && status == 0)
        status = pthread_cond_timedwait(&pulse->wake, &pulse->mutex, &until);
    const bool goes_on = !pulse->stopping;
    pthread_mutex_unlock(&pulse->mutex);
    assert(status == 0 || status == ETIMEDOUT);
    return goes_on;
}

static void *
run(void *argument)
{
    struct mp_pulse *pulse = argument;
    struct mp_beat *const end = pulse->beats + pulse->count;
    for (struct mp_beat *beat = pulse->beats; beat < end; beat++)
        beat->due = later(beat->wait);
    while (wait_until(pulse, earliest(pulse)))
        for (struct mp_beat *beat = pulse->beats; beat < end; beat++)
            if (mp_time_now() >= beat->due)
                beat->due = later(beat->call(beat->data));
    return NULL;
}

/* ---- start and stop ----------------------------------------------------------------------- */

/* Anew each time: a forked child has the parent's, in whatever state they were. */
static void
make_condition(struct mp_pulse *pulse)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&pulse->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pulse->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void
destroy_condition(struct mp_pulse *pulse)
{
    pthread_cond_destroy(&pulse->wake);
    pthread_mutex_destroy(&pulse->mutex);
}

int
mp_pulse_start(struct mp_pulse *pulse, struct mp_beat *beats, size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    assert(!mp_pulse_runs(pulse));
    assert(count > 0 && beats[0].call && beats[count - 1].call);
    pthread_once(&once, notice_forks);
    pulse->beats = beats;
    pulse->count = count;
    pulse->fork = atomic_load(&forks);
    pulse->stopping = false;
    make_condition(pulse);
    const int error = mp_threads_start(&pulse->thread, run, pulse);
    pulse->running = error == 0;
    if (!error)
        return MP_OK;
    destroy_condition(pulse);
    errno = error;
    return MP_SYSTEM;
}

bool
mp_pulse_runs(const struct mp_pulse *pulse)
{
    return pulse->running && pulse->fork == atomic_load(&forks);
}

bool
mp_pulse_stop(struct mp_pulse *pulse)
{
    const bool runs = mp_pulse_runs(pulse);
    pulse->running = false;
    if (!runs)
        return false;
    assert(!pthread_equal(pulse->thread, pthread_self()));
    pthread_mutex_lock(&pulse->mutex);
    pulse->stopping = true;
    pthread_cond_signal(&pulse->wake);
    pthread_mutex_unlock(&pulse->mutex);
    pthread_join(pulse->thread, NULL);
    destroy_condition(pulse);
    return true;
}
