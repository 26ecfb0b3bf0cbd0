#define _GNU_SOURCE
#include "test.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "record/watch.h"

static void
rest(long milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000}, NULL);
}

enum { TOUCHED = 32 << 20 };

/* Watch memory that is touched and given back, with so much time for each. */
static struct mp_watch *
watch_for(long milliseconds)
{
    const struct mp_watch_options options = {.interval = 1000000};
    struct mp_watch *watch;
    assert_int_equal(mp_watch_start(&options, &watch), MP_OK);
    rest(milliseconds);
    char *memory =
        mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 1, TOUCHED);
    rest(2 * milliseconds);
    munmap(memory, TOUCHED);
    rest(milliseconds);
    mp_watch_stop(watch);
    return watch;
}

static bool
has_seen_it(const struct mp_watch *watch)
{
    const int64_t first = mp_watch_get(watch, 0).bytes;
    for (size_t i = 1; i < mp_watch_count(watch); i++)
        if (mp_watch_get(watch, i).bytes - first >= TOUCHED)
            return true;
    return false;
}

static void
watch_sees_memory_that_is_touched_and_given_back(void **state)
{
    const size_t size = TOUCHED;
    struct mp_watch *watch = watch_for(10);
    (void)state;
    /* on a busy machine its thread may have had no processor in that time */
    for (long time = 20; time < 10000 && (mp_watch_count(watch) < 5 || !has_seen_it(watch));
         time *= 2) {
        mp_watch_free(watch);
        watch = watch_for(time);
    }
    const size_t count = mp_watch_count(watch);
    assert_true(count >= 5);
    int64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mp_sample sample = mp_watch_get(watch, i);
        if (sample.bytes > most)
            most = sample.bytes;
        assert_true(i == 0 || sample.time >= mp_watch_get(watch, i - 1).time);
    }
    assert_true(most - mp_watch_get(watch, 0).bytes >= (int64_t)size);
    assert_true(most - mp_watch_get(watch, count - 1).bytes >= (int64_t)size / 2);
    mp_watch_free(watch);
}

static void
first_and_last_sample_are_always_there(void **state)
{
    const struct mp_watch_options options = {.interval = 3600000000000u};
    struct mp_watch *watch;
    (void)state;
    assert_int_equal(mp_watch_start(&options, &watch), MP_OK);
    mp_watch_stop(watch);
    mp_watch_stop(watch);
    assert_int_equal(mp_watch_count(watch), 2);
    mp_watch_free(watch);
}

static void
start_without_memory_is_an_error(void **state)
{
    const struct mp_watch_options options = {.interval = 1000000};
    struct mp_watch *watch = NULL;
    (void)state;
    mp_mem_fail_nth(1);
    assert_int_equal(mp_watch_start(&options, &watch), MP_NO_MEMORY);
    mp_mem_fail_nth(2); /* no room for samples: they are missing, nothing else */
    assert_int_equal(mp_watch_start(&options, &watch), MP_OK);
    mp_mem_fail_nth(0);
    mp_watch_free(watch);
}

static void
forked_child_can_free_it(void **state)
{
    const struct mp_watch_options options = {.interval = 1000000};
    struct mp_watch *watch;
    (void)state;
    assert_int_equal(mp_watch_start(&options, &watch), MP_OK);
    const pid_t pid = fork();
    if (pid == 0) {
        mp_watch_free(watch);
        _exit(mp_process_resident(0, MP_RSS) > 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    mp_watch_free(watch);
}

static void
descendants_are_those_of_the_process(void **state)
{
    int ready[2], done[2];
    char byte;
    (void)state;
    assert_int_equal(pipe(ready) | pipe(done), 0);
    assert_int_equal(mp_process_descendants(0, MP_RSS), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        const size_t size = 16 << 20;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, size);
        _exit(write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    const int64_t bytes = mp_process_descendants(0, MP_RSS);
    assert_true(bytes >= 16 << 20);
    assert_true(mp_process_resident(pid, MP_USS) >= 16 << 20);
    assert_true(mp_process_resident(pid, MP_PSS) <= mp_process_resident(pid, MP_RSS));
    assert_int_equal(write(done[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(mp_process_resident(pid, MP_RSS), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch_sees_memory_that_is_touched_and_given_back),
        cmocka_unit_test(first_and_last_sample_are_always_there),
        cmocka_unit_test(start_without_memory_is_an_error),
        cmocka_unit_test(forked_child_can_free_it),
        cmocka_unit_test(descendants_are_those_of_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
