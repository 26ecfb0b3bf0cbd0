#define _GNU_SOURCE
#include "os/process.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files of /proc ------------------------------------------------------------------ */

/* Read a small file into `text`, terminated; false when there is nothing to be read. */
static bool
read_file(const char *path, char *text, size_t size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    assert(size > 1);
    if (file < 0)
        return false;
    const ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The value of "NAME:   123 kB" in bytes; -1 where there is none. */
static int64_t
field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : -1;
}

/* Bytes of the second number of "size resident shared ..."; -1 when the text is no statm. */
static int64_t
parse_statm(const char *text)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return -1;
    strtoll(text, &end, 10);
    if (*end != ' ')
        return -1;
    const char *second = end + 1;
    const long long pages = strtoll(second, &end, 10);
    return end != second && *end == ' ' ? pages * sysconf(_SC_PAGESIZE) : -1;
}

static int64_t
read_statm(const char *path)
{
    char text[128];
    return read_file(path, text, sizeof text) ? parse_statm(text) : -1;
}

/* ---- this process -------------------------------------------------------------------- */

int64_t
mp_process_rss(void)
{
    return read_statm("/proc/self/statm");
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

int
mp_process_reset_peak(void)
{
    const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    const ssize_t written = write(file, "5", 1);
    close(file);
    return written == 1 ? 0 : -1;
}

/* ---- this process, again and again: the file is opened once and read in place ---------- */

static _Atomic int statm = -1; /* descriptor of /proc/self/statm of this process */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int64_t
reread_statm(int file)
{
    char text[128];
    const ssize_t length = pread(file, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return parse_statm(text);
}

/* The descriptor is that of the parent. */
static void
after_fork_in_child(void)
{
    const int file = atomic_exchange(&statm, -1);
    if (file >= 0 && reread_statm(file) >= 0) /* not what somebody else has put in its place */
        close(file);
}

static void
set_up(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* Two threads may both open it at the same time: one descriptor is closed again. */
static int64_t
open_and_read(void)
{
    pthread_once(&once, set_up);
    const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    const int64_t now = reread_statm(file);
    int expected = -1;
    if (!atomic_compare_exchange_strong(&statm, &expected, file))
        close(file);
    return now;
}

static int64_t
rss_again(void)
{
    int file = atomic_load_explicit(&statm, memory_order_relaxed);
    if (file >= 0) {
        const int64_t now = reread_statm(file);
        if (now >= 0)
            return now;
        atomic_compare_exchange_strong(&statm, &file, -1); /* no longer ours: not closed */
    }
    return open_and_read();
}

/* ---- any process --------------------------------------------------------------------- */

static int64_t
rss_of(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    return read_statm(path);
}

static int64_t
read_rollup(int pid, enum mp_process_metric metric)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    if (!read_file(path, text, sizeof text))
        return -1;
    if (metric == MP_PSS)
        return field(text, "\nPss:");
    const int64_t clean = field(text, "\nPrivate_Clean:"), dirty = field(text, "\nPrivate_Dirty:");
    return clean < 0 || dirty < 0 ? -1 : clean + dirty;
}

int64_t
mp_process_resident(int pid, enum mp_process_metric metric)
{
    assert(pid >= 0 && (unsigned)metric < MP_PROCESS_METRICS);
    if (metric != MP_RSS)
        return read_rollup(pid ? pid : (int)getpid(), metric);
    return pid ? rss_of(pid) : rss_again();
}

/* The parent of a process, from "pid (name) state parent ..."; -1 when it is gone. */
static int
parent_of(const char *pid)
{
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    if (!read_file(path, text, sizeof text))
        return -1;
    const char *after_name = strrchr(text, ')');
    return after_name && strlen(after_name) > 4 ? (int)strtol(after_name + 4, NULL, 10) : -1;
}

struct process {
    int pid, parent;
};

enum { MAX_PROCESSES = 2048, MAX_GENERATIONS = 64 };

static int
by_pid(const void *a, const void *b)
{
    const struct process *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* All processes, sorted by pid. */
static size_t
list_processes(struct process *list)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (const struct dirent *entry; (entry = readdir(proc)) && count < MAX_PROCESSES;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            list[count++] = (struct process){(int)strtol(entry->d_name, NULL, 10),
                                             parent_of(entry->d_name)};
    closedir(proc);
    qsort(list, count, sizeof *list, by_pid);
    return count;
}

static int
descends(const struct process *list, size_t count, struct process from, int root)
{
    for (int generation = 0; generation < MAX_GENERATIONS; generation++) {
        if (from.parent == root)
            return 1;
        const struct process wanted = {from.parent, 0};
        const struct process *up = bsearch(&wanted, list, count, sizeof *list, by_pid);
        if (!up)
            return 0;
        from = *up;
    }
    return 0;
}

int64_t
mp_process_descendants(int pid, enum mp_process_metric metric)
{
    struct process list[MAX_PROCESSES]; /* 16 KiB of stack */
    const size_t count = list_processes(list);
    const int root = pid ? pid : (int)getpid();
    int64_t sum = 0;
    assert(pid >= 0 && count <= MAX_PROCESSES);
    for (size_t i = 0; i < count; i++) {
        const int64_t resident =
            descends(list, count, list[i], root) ? mp_process_resident(list[i].pid, metric) : -1;
        sum += resident > 0 ? resident : 0;
    }
    return sum;
}
