#define _GNU_SOURCE
#include "os/memory_map.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct lines {
    int file;
    size_t at, end;
    char buffer[4096];
};

static int
next_char(struct lines *lines)
{
    if (lines->at == lines->end) {
        const ssize_t got = read(lines->file, lines->buffer, sizeof lines->buffer);
        if (got <= 0)
            return -1;
        lines->at = 0;
        lines->end = (size_t)got;
    }
    return (unsigned char)lines->buffer[lines->at++];
}

/* A hexadecimal number and the character after it. */
static uintptr_t
read_number(struct lines *lines, int *after)
{
    uintptr_t number = 0;
    for (;;) {
        const int c = *after = next_char(lines);
        if (c >= '0' && c <= '9')
            number = number << 4 | (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uintptr_t)(c - 'a' + 10);
        else
            return number;
    }
}

/* "begin-end rwxp ...": false at the end of the file. */
static bool
read_line(struct lines *lines, struct mp_range *range, bool *readable)
{
    int after;
    range->begin = read_number(lines, &after);
    if (after != '-')
        return false;
    range->end = read_number(lines, &after);
    *readable = next_char(lines) == 'r';
    while (after >= 0 && after != '\n')
        after = next_char(lines);
    return true;
}

size_t
mp_memory_map_read(struct mp_range *ranges, size_t capacity)
{
    struct lines lines = {.file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    struct mp_range range, last = {0, 0};
    size_t count = 0;
    bool readable;
    assert(ranges || !capacity);
    if (lines.file < 0)
        return 0;
    while (read_line(&lines, &range, &readable)) {
        assert(range.begin < range.end && last.end <= range.begin); /* the kernel's order */
        if (!readable)
            continue;
        if (count && last.end == range.begin)
            count--;
        else
            last.begin = range.begin;
        last.end = range.end;
        if (count < capacity)
            ranges[count] = last;
        count++;
    }
    close(lines.file);
    return count;
}

bool
mp_memory_map_has(const struct mp_range *ranges, size_t count, uintptr_t address, size_t size)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        assert(ranges[middle].begin < ranges[middle].end);
        if (ranges[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].begin <= address && size <= ranges[low].end - address;
}

/* Through a pipe, whose end for writing does not take what cannot be read. */
static bool
copy_through(const int pipe_ends[2], const char *from, char *to, size_t size)
{
    while (size > 0) {
        const size_t part = size < PIPE_BUF ? size : PIPE_BUF;
        const ssize_t put = write(pipe_ends[1], from, part);
        if (put <= 0 || read(pipe_ends[0], to, (size_t)put) != put)
            return false;
        from += put;
        to += put;
        size -= (size_t)put;
    }
    return true;
}

/* Where the system call is forbidden or missing, in some containers and emulators. Without
 * descriptors for a pipe the memory is taken as there. */
static bool
copy_by_pipe(const char *from, char *to, size_t size)
{
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        memcpy(to, from, size);
        return true;
    }
    const bool done = copy_through(pipe_ends, from, to, size);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return done;
}

bool
mp_memory_map_copy(uintptr_t address, void *copy, size_t size)
{
    assert(copy);
    struct iovec local = {copy, size}, remote = {(void *)address, size};
    const ssize_t done = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (done < 0 && (errno == EPERM || errno == ENOSYS))
        return copy_by_pipe((const char *)address, copy, size);
    return done == (ssize_t)size;
}
