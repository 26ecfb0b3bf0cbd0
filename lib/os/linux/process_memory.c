#define _GNU_SOURCE
#include "os/process_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read a small file of /proc into text, terminated; false when it cannot be read. */
static int
read_file(const char *path, char *text, size_t size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    const ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

int64_t
mp_process_rss(void)
{
    char text[128];
    if (!read_file("/proc/self/statm", text, sizeof text))
        return -1;
    const char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

/* The value of "NAME:   123 kB" in bytes. */
static int64_t
field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : -1;
}

void
mp_process_memory(struct mp_process_memory *memory)
{
    char text[4096] = "";
    read_file("/proc/self/status", text, sizeof text);
    *memory = (struct mp_process_memory){
        .rss = field(text, "VmRSS:"),
        .peak_rss = field(text, "VmHWM:"),
        .anonymous = field(text, "RssAnon:"),
        .files = field(text, "RssFile:"),
        .shared = field(text, "RssShmem:"),
        .stack = field(text, "VmStk:"),
    };
}
