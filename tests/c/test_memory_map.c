#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/memory_map.h"

enum { RANGES = 4096, PAGES = 8 };

static struct mp_range ranges[RANGES];

static size_t
page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
read_map(void)
{
    const size_t count = mp_memory_map_read(ranges, RANGES);
    assert_in_range(count, 1, RANGES);
    return count;
}

static char *
map_pages(void)
{
    char *pages = mmap(NULL, PAGES * page_size(), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    return pages;
}

static bool
is_readable(const void *memory, size_t size)
{
    return mp_memory_map_has(ranges, read_map(), (uintptr_t)memory, size);
}

/* ---- what the kernel says --------------------------------------------------------------- */

static void
ranges_are_in_order_and_apart(void **state)
{
    (void)state;
    const size_t count = read_map();
    for (size_t i = 0; i < count; i++) {
        assert_true(ranges[i].begin < ranges[i].end);
        assert_true(i == 0 || ranges[i - 1].end < ranges[i].begin); /* or they were one */
        assert_int_equal(ranges[i].begin % page_size(), 0);
        assert_int_equal(ranges[i].end % page_size(), 0);
    }
}

static void
stack_data_and_code_are_readable(void **state)
{
    (void)state;
    static const char constant[100] = "constant";
    assert_true(is_readable(&state, sizeof state));
    assert_true(is_readable(ranges, sizeof ranges));
    assert_true(is_readable(constant, sizeof constant));
    assert_true(is_readable((const void *)(uintptr_t)page_size, 4));
}

static void
a_mapped_page_that_is_touched_shows_up_until_it_is_gone(void **state)
{
    (void)state;
    const size_t size = PAGES * page_size();
    char *pages = map_pages();
    pages[0] = 1;
    assert_true(is_readable(pages, size));
    assert_true(is_readable(pages + size - 1, 1));
    munmap(pages, size);
    assert_false(is_readable(pages, 1));
    assert_false(is_readable(pages + size - 1, 1));
}

static void
what_may_not_be_read_is_no_range(void **state)
{
    (void)state;
    const size_t page = page_size(), size = PAGES * page;
    char *pages = map_pages();
    assert_int_equal(mprotect(pages + 2 * page, page, PROT_NONE), 0);
    assert_true(is_readable(pages, 2 * page));
    assert_false(is_readable(pages, 2 * page + 1));
    assert_false(is_readable(pages + 2 * page, 1));
    assert_false(is_readable(pages + 3 * page - 1, 2));
    assert_true(is_readable(pages + 3 * page, size - 3 * page));
    munmap(pages, size);
}

/* A page that is only read is a line of its own in the kernel's list. */
static void
neighbours_are_one_range(void **state)
{
    (void)state;
    const size_t page = page_size(), size = PAGES * page;
    char *pages = map_pages();
    assert_int_equal(mprotect(pages + 3 * page, page, PROT_READ), 0);
    const size_t count = read_map();
    assert_true(mp_memory_map_has(ranges, count, (uintptr_t)pages, size));
    munmap(pages, size);
}

static void
a_count_beyond_the_capacity_says_how_much_room_is_wanted(void **state)
{
    (void)state;
    struct mp_range few[3] = {{0, 0}, {0, 0}, {7, 7}};
    const size_t count = read_map();
    assert_int_equal(mp_memory_map_read(few, 2), count);
    assert_true(few[0].begin == ranges[0].begin && few[1].begin == ranges[1].begin);
    assert_true(few[2].begin == 7 && few[2].end == 7);
    assert_int_equal(mp_memory_map_read(NULL, 0), count);
}

/* ---- searching, from literals --------------------------------------------------------------- */

static void
only_what_lies_in_one_range_is_there(void **state)
{
    (void)state;
    const struct mp_range some[] = {{100, 200}, {300, 400}, {400 + 100, UINTPTR_MAX}};
    const struct {
        uintptr_t address;
        size_t size;
        bool is_there;
    } cases[] = {
        {99, 1, false},  {100, 1, true},   {100, 100, true},         {100, 101, false},
        {199, 1, true},  {199, 2, false},  {200, 1, false},          {250, 100, false},
        {300, 100, true}, {399, 1, true},  {400, 1, false},          {500, 1000, true},
        {0, 1, false},   {150, SIZE_MAX, false}, {UINTPTR_MAX, 1, false}, {150, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(mp_memory_map_has(some, 3, cases[i].address, cases[i].size),
                         cases[i].is_there);
    assert_false(mp_memory_map_has(some, 0, 150, 1));
}

/* ---- copying ------------------------------------------------------------------------------- */

/* What is wrong, as a bit each; 0: nothing. */
static int
copy_around_a_hole(void)
{
    const size_t page = page_size(), size = PAGES * page;
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static char copy[3 * 4096 + 1], bytes[3 * 4096 + 1];
    int wrong = 0;
    memset(bytes, 7, sizeof bytes);
    memcpy(pages + page - 8, "12345678", 8);
    mprotect(pages + page, page, PROT_NONE);
    wrong |= 1 * !mp_memory_map_copy((uintptr_t)pages + page - 8, copy, 8);
    wrong |= 2 * (memcmp(copy, "12345678", 8) != 0);
    wrong |= 4 * mp_memory_map_copy((uintptr_t)pages + page, copy, 8);
    wrong |= 8 * mp_memory_map_copy((uintptr_t)pages + page - 4, copy, 8);
    wrong |= 16 * mp_memory_map_copy(8, copy, 8);
    wrong |= 32 * mp_memory_map_copy(UINTPTR_MAX - 4, copy, 8);
    munmap(pages, size);
    wrong |= 64 * mp_memory_map_copy((uintptr_t)pages, copy, 8);
    wrong |= 128 * (!mp_memory_map_copy((uintptr_t)bytes, copy, sizeof copy) ||
                    memcmp(copy, bytes, sizeof copy) != 0);
    return wrong;
}

static void
memory_that_is_not_there_is_not_copied(void **state)
{
    (void)state;
    assert_int_equal(copy_around_a_hole(), 0);
}

/* As in a container that does not let processes look into each other. */
static bool
forbid_looking(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void
nor_is_it_where_the_kernel_forbids_to_look(void **state)
{
    (void)state;
    enum { CANNOT_FORBID = 255 };
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(forbid_looking() ? copy_around_a_hole() : CANNOT_FORBID);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_FORBID)
        skip(); /* an emulator */
    assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_in_order_and_apart),
        cmocka_unit_test(stack_data_and_code_are_readable),
        cmocka_unit_test(a_mapped_page_that_is_touched_shows_up_until_it_is_gone),
        cmocka_unit_test(what_may_not_be_read_is_no_range),
        cmocka_unit_test(neighbours_are_one_range),
        cmocka_unit_test(a_count_beyond_the_capacity_says_how_much_room_is_wanted),
        cmocka_unit_test(only_what_lies_in_one_range_is_there),
        cmocka_unit_test(memory_that_is_not_there_is_not_copied),
        cmocka_unit_test(nor_is_it_where_the_kernel_forbids_to_look),
    };
    return RUN_TESTS(tests);
}
