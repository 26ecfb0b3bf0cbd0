/* memprof: the C library of the memory profiler.
 *
 * Introduction
 *     A trace records blocks of memory: their size, and the call stack that asked
 *     for them. A snapshot freezes the numbers of all call stacks at one moment;
 *     it can be grouped, compared with another one, and kept in a file.
 *
 *     Within Python the extension module traces all allocations of the interpreter
 *     and its C extensions' calls of memprof_track. The library alone (this header
 *     and libmemprof) knows no Python: a trace then holds what memprof_track is
 *     told, with empty stacks, and profile files of any origin can be read.
 *
 *     C extensions need not link with the library: see memprof/extension.h.
 *
 * Conventions
 *     int functions return MEMPROF_OK (0) or a negative memprof_status. Sizes are
 *     bytes. Objects are freed with their own function, NULL is accepted there.
 *     Text is UTF-8, not terminated, and lives as long as the object that gave it.
 *
 * Example: what grew between two profiles
 *
 *     memprof_snapshot *before, *after;
 *     memprof_rows *rows;
 *     const char *why;
 *     if (memprof_snapshot_read("old.mprof", &before, &why) != MEMPROF_OK ||
 *         memprof_snapshot_read("new.mprof", &after, &why) != MEMPROF_OK ||
 *         memprof_diff(before, after, MEMPROF_BY_LINE, MEMPROF_LIVE, &rows) != MEMPROF_OK)
 *         return 1;
 *     for (size_t i = 0; i < memprof_rows_count(rows) && i < 10; i++) {
 *         memprof_row row;
 *         memprof_frame frame;
 *         memprof_rows_get(rows, i, &row);
 *         if (memprof_rows_frame(rows, i, 0, &frame) == MEMPROF_OK)
 *             printf("%.*s:%u: %lld bytes more\n", (int)frame.file.length, frame.file.text,
 *                    frame.line, (long long)(row.bytes - row.bytes_before));
 *     }
 *     memprof_rows_free(rows);
 *     memprof_snapshot_free(after);
 *     memprof_snapshot_free(before);
 */
#ifndef MEMPROF_H
#define MEMPROF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMPROF_API __attribute__((visibility("default")))

typedef enum {
    MEMPROF_OK = 0,
    MEMPROF_NO_MEMORY = -1,
    MEMPROF_NOT_TRACING = -2,
    MEMPROF_BAD_ARGUMENT = -3,
    MEMPROF_SYSTEM = -4,    /* errno says what */
    MEMPROF_FOREIGN = -5,   /* not a memprof profile */
    MEMPROF_NEWER = -6,     /* a profile of a later version */
    MEMPROF_TRUNCATED = -7,
    MEMPROF_CORRUPT = -8
} memprof_status;

/* A constant phrase for a status. */
MEMPROF_API const char *memprof_status_text(int status);

/* Version of the library, "MAJOR.MINOR.PATCH". */
MEMPROF_API const char *memprof_version(void);

/* ---- The trace ------------------------------------------------------------------------
 * One per process. start, stop and clear are called by one thread at a time; within
 * Python leave them to the package, which calls them with the GIL. */

/* Begin with empty tables. Blocks that exist already are not traced.
 * MEMPROF_NO_MEMORY: nothing has changed. */
MEMPROF_API int memprof_start(void);

/* End the trace and forget it. No-op when not tracing. */
MEMPROF_API void memprof_stop(void);

/* Forget all blocks and numbers and go on tracing; checkpoints over time end. No-op when not
 * tracing. */
MEMPROF_API void memprof_clear(void);

/* 1 or 0. Any thread. */
MEMPROF_API int memprof_is_tracing(void);

/* Bytes of the traced blocks that are live now, and the most there ever were. Zeros when
 * not tracing; either pointer may be NULL. Any thread. */
MEMPROF_API void memprof_get_traced(int64_t *current, int64_t *peak);

/* Let the peak begin anew at what is live now. */
MEMPROF_API void memprof_reset_peak(void);

/* Resident memory of the tracer itself, kept apart from all other numbers. Any thread. */
MEMPROF_API size_t memprof_own_memory(void);

/* Events since the start that could not be recorded. Any thread. */
MEMPROF_API uint64_t memprof_lost(void);

/* ---- Blocks of allocators that the trace does not see -------------------------------------
 * For memory pools and foreign allocators. `domain` is a number of your choice; a block
 * is known by its domain and address. Any thread, with or without the GIL; results as
 * of PyTraceMalloc_Track: MEMPROF_OK, MEMPROF_NO_MEMORY (the block is not traced),
 * MEMPROF_NOT_TRACING.
 *
 * Call memprof_untrack before the memory is given back, memprof_track after it was
 * received: then no other thread can be using the same address. */

/* Record a block with the call stack of now. A block of the same domain and address that
 * is tracked already is replaced. */
MEMPROF_API int memprof_track(unsigned int domain, uintptr_t address, size_t size);

/* Forget a block. One that is not tracked is ignored. */
MEMPROF_API int memprof_untrack(unsigned int domain, uintptr_t address);

/* A block has moved or changed its size, and keeps the call stack of its allocation. One
 * that is not tracked is tracked from now on, with the call stack of now. */
MEMPROF_API int memprof_move(unsigned int domain, uintptr_t old_address, uintptr_t new_address,
                             size_t size);

/* ---- Snapshots ------------------------------------------------------------------------------
 * Immutable. Each is used by one thread at a time. */

typedef struct mp_snapshot memprof_snapshot;

/* Freeze the numbers of now. MEMPROF_NOT_TRACING, MEMPROF_NO_MEMORY: *snapshot is NULL. */
MEMPROF_API int memprof_snapshot_take(memprof_snapshot **snapshot);
MEMPROF_API void memprof_snapshot_free(memprof_snapshot *snapshot);

/* Write to a file, which is replaced at once or not at all. MEMPROF_SYSTEM or
 * MEMPROF_NO_MEMORY: it is as it was. */
MEMPROF_API int memprof_snapshot_write(const memprof_snapshot *snapshot, const char *path);

/* Read a file. Errors: MEMPROF_SYSTEM to MEMPROF_CORRUPT and MEMPROF_NO_MEMORY; then
 * *snapshot is NULL and *why a constant phrase that says more. */
MEMPROF_API int memprof_snapshot_read(const char *path, memprof_snapshot **snapshot,
                                      const char **why);

/* ---- Rows: a snapshot grouped, or the difference of two -------------------------------------- */

typedef enum { MEMPROF_BY_LINE, MEMPROF_BY_FILE, MEMPROF_BY_FUNCTION, MEMPROF_BY_STACK } memprof_by;
typedef enum { MEMPROF_LIVE, MEMPROF_PEAK, MEMPROF_TOTAL } memprof_metric;

typedef struct mp_rows memprof_rows;

typedef struct {
    const char *text;
    size_t length;
} memprof_text;

typedef struct {
    uint64_t bytes, blocks;
    uint64_t bytes_before, blocks_before; /* of the older snapshot; zeros in a group */
} memprof_row;

typedef struct {
    memprof_text file, function;
    unsigned int line;       /* 0: unknown, or grouped by file */
    unsigned int first_line; /* of the function */
    int folded;              /* recursion further out was left out here */
} memprof_frame;

/* Sum up a snapshot, largest first. The rows stand alone.
 * MEMPROF_BAD_ARGUMENT, MEMPROF_NO_MEMORY: *rows is NULL. */
MEMPROF_API int memprof_group(const memprof_snapshot *snapshot, memprof_by by,
                              memprof_metric metric, memprof_rows **rows);

/* The change from one snapshot to another, largest change first. The two may come from
 * different processes; the rows stand alone. Errors as memprof_group. */
MEMPROF_API int memprof_diff(const memprof_snapshot *before, const memprof_snapshot *after,
                             memprof_by by, memprof_metric metric, memprof_rows **rows);
MEMPROF_API void memprof_rows_free(memprof_rows *rows);

MEMPROF_API size_t memprof_rows_count(const memprof_rows *rows);

/* Row `index` of 0 to count - 1; MEMPROF_BAD_ARGUMENT beyond. */
MEMPROF_API int memprof_rows_get(const memprof_rows *rows, size_t index, memprof_row *row);

/* Frame `depth` of a row, 0 being the innermost; rows of lines, files and functions have
 * one. MEMPROF_BAD_ARGUMENT when there is no such frame. */
MEMPROF_API int memprof_rows_frame(const memprof_rows *rows, size_t index, size_t depth,
                                   memprof_frame *frame);

#ifdef __cplusplus
}
#endif

#endif
