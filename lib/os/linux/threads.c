#define _GNU_SOURCE
#include "os/threads.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Our threads call few functions deep; the usual 8 MiB are much where address space is limited. */
enum { OWN_STACK = 512 * 1024 };

static int
create(pthread_t *thread, void *(*run)(void *), void *data)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setstacksize(&attributes, OWN_STACK);
    error = pthread_create(thread, &attributes, run, data);
    pthread_attr_destroy(&attributes);
    return error == EINVAL ? pthread_create(thread, NULL, run, data) /* much thread-local storage */
                           : error;
}

int
mp_threads_start(pthread_t *thread, void *(*run)(void *), void *data)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = create(thread, run, data);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

void
mp_threads_register_barrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

void
mp_threads_barrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

void
mp_threads_sleep(uint64_t nanoseconds)
{
    const struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                                  .tv_nsec = (long)(nanoseconds % 1000000000u)};
    nanosleep(&time, NULL);
}

bool
mp_threads_is_main(void)
{
    return syscall(SYS_gettid) == getpid();
}

bool
mp_threads_stack(uintptr_t *lowest, size_t *size)
{
    pthread_attr_t attributes;
    void *start = NULL;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    const bool known = pthread_attr_getstack(&attributes, &start, size) == 0;
    pthread_attr_destroy(&attributes);
    *lowest = (uintptr_t)start;
    return known;
}
