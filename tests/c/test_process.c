#define _GNU_SOURCE
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"

enum { MIB = 1 << 20 };

static char *
map(size_t size, int flags)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* Touched by the kernel: what a sanitizer keeps beside memory is not. MAP_POPULATE would do it
 * too, but qemu's emulation leaves that flag out. */
static char *
map_touched(size_t size, int flags)
{
    char *memory = map(size, flags);
    const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(syscall(SYS_read, zeros, memory, size), size);
    close(zeros);
    return memory;
}

static int
count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* ---- this process ---------------------------------------------------------------------- */

static void
rss_follows_what_is_touched_and_given_back(void **state)
{
    (void)state;
    const size_t size = 32 * MIB;
    const int64_t before = mp_process_rss();
    char *memory = map(size, MAP_PRIVATE);
    assert_true(before > 0);
    assert_true(mp_process_rss() - before < 4 * MIB);
    memset(memory, 1, size);
    assert_true(mp_process_rss() - before > 28 * MIB);
    assert_true(mp_process_resident(0, MP_RSS) - before > 28 * MIB);
    munmap(memory, size);
    assert_true(mp_process_rss() - before < 4 * MIB);
    assert_true(mp_process_resident(0, MP_RSS) - before < 4 * MIB);
}

static void
the_same_is_said_in_all_ways(void **state)
{
    (void)state;
    struct mp_process_memory memory;
    const int64_t again = mp_process_resident(0, MP_RSS), now = mp_process_rss();
    const int64_t by_pid = mp_process_resident((int)getpid(), MP_RSS);
    mp_process_memory(&memory);
    assert_in_range(now, again - MIB, again + MIB);
    assert_in_range(by_pid, again - MIB, again + MIB);
    assert_in_range(memory.rss, again - MIB, again + MIB);
}

static void
memory_is_told_by_kind(void **state)
{
    (void)state;
    struct mp_process_memory before, after;
    mp_process_memory(&before);
    assert_true(before.anonymous > 0 && before.files > 0 && before.stack > 0);
    assert_int_equal(before.rss, before.anonymous + before.files + before.shared);
    assert_true(before.peak_rss >= before.rss);
    char *private = map_touched(16 * MIB, MAP_PRIVATE), *shared = map_touched(8 * MIB, MAP_SHARED);
    mp_process_memory(&after);
    assert_in_range(after.anonymous - before.anonymous, 15 * MIB, 18 * MIB);
    assert_in_range(after.shared - before.shared, 7 * MIB, 9 * MIB);
    munmap(private, 16 * MIB);
    munmap(shared, 8 * MIB);
}

/* ---- the high-water mark ------------------------------------------------------------------- */

static void
peak_stays_until_it_begins_anew(void **state)
{
    (void)state;
    struct mp_process_memory memory;
    char *pages = map_touched(32 * MIB, MAP_PRIVATE);
    munmap(pages, 32 * MIB);
    mp_process_memory(&memory);
    assert_true(memory.peak_rss - memory.rss > 28 * MIB);
    if (mp_process_reset_peak() != 0)
        skip(); /* the kernel does not let us */
    mp_process_memory(&memory);
    assert_true(memory.peak_rss - memory.rss < 4 * MIB);
}

/* ---- the descriptor that stays open -------------------------------------------------------- */

static void
asking_again_and_again_keeps_one_descriptor(void **state)
{
    (void)state;
    mp_process_resident(0, MP_RSS);
    const int before = count_descriptors();
    for (int i = 0; i < 100; i++) {
        assert_true(mp_process_resident(0, MP_RSS) > 0);
        assert_true(mp_process_rss() > 0);
        assert_true(mp_process_resident((int)getpid(), MP_PSS) > 0);
    }
    assert_int_equal(count_descriptors(), before);
}

/* Whatever becomes of the descriptor: what the program opened in its place is left alone. */
static void
a_closed_descriptor_is_opened_anew(void **state)
{
    (void)state;
    int status;
    const pid_t child = fork();
    if (child == 0) {
        int bad = mp_process_resident(0, MP_RSS) <= 0;
        for (int file = 3; file < 64; file++)
            close(file);
        bad |= mp_process_resident(0, MP_RSS) <= 0;
        for (int file = 3; file < 64; file++)
            close(file);
        int others[8];
        for (int i = 0; i < 8; i++)
            others[i] = open("/dev/null", O_RDONLY);
        bad |= mp_process_resident(0, MP_RSS) <= 0;
        for (int i = 0; i < 8; i++)
            bad |= fcntl(others[i], F_GETFD) < 0;
        _exit(bad);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
a_forked_child_tells_its_own_memory(void **state)
{
    (void)state;
    int status;
    const size_t size = 64 * MIB;
    const int64_t before = mp_process_resident(0, MP_RSS);
    const pid_t child = fork();
    if (child == 0) {
        map_touched(size, MAP_PRIVATE);
        _exit(mp_process_resident(0, MP_RSS) - before < (int64_t)size / 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(mp_process_resident(0, MP_RSS) - before < (int64_t)size / 2);
}

/* ---- other processes ----------------------------------------------------------------------- */

/* A child that has `size` bytes of its own and waits; the caller ends it. */
static pid_t
start_child(size_t size)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        map_touched(size, MAP_PRIVATE);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        alarm(100);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void
end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void
metrics_divide_what_is_shared(void **state)
{
    (void)state;
    char *both = map_touched(32 * MIB, MAP_PRIVATE); /* shared with the child after the fork */
    const pid_t child = start_child(16 * MIB);
    const int64_t rss = mp_process_resident(child, MP_RSS);
    const int64_t pss = mp_process_resident(child, MP_PSS);
    const int64_t uss = mp_process_resident(child, MP_USS);
    end_child(child);
    munmap(both, 32 * MIB);
    assert_true(uss >= 16 * MIB && uss < 32 * MIB);
    assert_true(pss >= uss + 12 * MIB); /* half of what is shared */
    assert_true(rss >= pss + 12 * MIB);
}

static void
descendants_are_added_up(void **state)
{
    (void)state;
    const int64_t none = mp_process_descendants(0, MP_USS);
    const pid_t first = start_child(16 * MIB), second = start_child(24 * MIB);
    const int64_t both = mp_process_descendants(0, MP_USS);
    const int64_t of_the_first = mp_process_descendants(first, MP_USS);
    end_child(first);
    end_child(second);
    assert_int_equal(none, 0);
    assert_true(both >= 40 * MIB);
    assert_int_equal(of_the_first, 0);
    assert_int_equal(mp_process_descendants(0, MP_USS), 0);
    assert_int_equal(mp_process_resident(first, MP_RSS), -1);
    assert_int_equal(mp_process_resident(first, MP_PSS), -1);
    assert_int_equal(mp_process_resident(first, MP_USS), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rss_follows_what_is_touched_and_given_back),
        cmocka_unit_test(the_same_is_said_in_all_ways),
        cmocka_unit_test(memory_is_told_by_kind),
        cmocka_unit_test(peak_stays_until_it_begins_anew),
        cmocka_unit_test(asking_again_and_again_keeps_one_descriptor),
        cmocka_unit_test(a_closed_descriptor_is_opened_anew),
        cmocka_unit_test(a_forked_child_tells_its_own_memory),
        cmocka_unit_test(metrics_divide_what_is_shared),
        cmocka_unit_test(descendants_are_added_up),
    };
    return RUN_TESTS(tests);
}
