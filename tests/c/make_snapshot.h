/* Snapshots from literals, random ones, and what the suites of analysis ask of both.
 * Include it after test.h, in files that define _GNU_SOURCE. */
#ifndef MP_MAKE_SNAPSHOT_H
#define MP_MAKE_SNAPSHOT_H

#include <dirent.h>
#include <unistd.h>

#include "analyse/group.h"
#include "analyse/snapshot.h"

/* ---- lack of memory ------------------------------------------------------------------------ */

/* Let the first, the second ... request of `attempt` fail until it succeeds. A failed
 * attempt and one that succeeds (and frees what it made) leave no memory behind. */
static inline void
fail_each_request(int (*attempt)(void *data), void *data)
{
    const size_t before = mp_mem_mapped();
    int status = MP_NO_MEMORY;
    long n = 0;
    while (status != MP_OK) {
        mp_mem_fail_nth(++n);
        status = attempt(data);
        mp_mem_fail_nth(0);
        assert_true(status == MP_OK || status == MP_NO_MEMORY);
        assert_int_equal(mp_mem_mapped(), before);
        assert_true(n < 1000);
    }
    assert_true(n > 1); /* else nothing has failed */
}

/* ---- from literals ------------------------------------------------------------------------- */

struct frame {
    const char *file, *function;
    uint32_t first_line, line;
};

enum { MAKER_ROWS = 512 };

struct maker {
    struct mp_depot depot;
    struct mp_series series;
    struct mp_row rows[MAKER_ROWS];
    size_t count;
};

static inline struct maker *
make_begin(void)
{
    struct maker *maker = mp_mem_new(sizeof *maker);
    assert_non_null(maker);
    assert_int_equal(mp_depot_init(&maker->depot), MP_OK);
    return maker;
}

/* The stack of a frame called by `parent`; `folded` is MP_FOLDED or 0. */
static inline uint32_t
make_frame(struct maker *maker, uint32_t parent, const struct frame *frame, uint32_t folded)
{
    struct mp_names *names = &maker->depot.names;
    const struct mp_location location = {
        .file = mp_names_intern(names, frame->file, strlen(frame->file)),
        .function = mp_names_intern(names, frame->function, strlen(frame->function)),
        .first_line = frame->first_line, .line = frame->line};
    const uint32_t id = mp_depot_location(&maker->depot, &location);
    const uint32_t stack = mp_depot_stack(&maker->depot, parent, id | folded);
    assert_true(id && stack);
    return stack;
}

static inline uint32_t
make_stack(struct maker *maker, const struct frame *frames, size_t count)
{
    uint32_t stack = 0;
    for (size_t i = 0; i < count; i++)
        stack = make_frame(maker, stack, &frames[i], 0);
    return stack;
}

/* make_stack of a list of frames {file, function, first line, line}, the oldest first. */
#define STACK(maker, ...)                                                                  \
    make_stack(maker, (const struct frame[]){__VA_ARGS__},                                 \
               sizeof((const struct frame[]){__VA_ARGS__}) / sizeof(struct frame))

/* A row with the same numbers live, at the peak and in total. */
static inline struct mp_row *
make_row(struct maker *maker, uint32_t stack, uint64_t bytes, uint64_t blocks)
{
    assert_true(maker->count < MAKER_ROWS);
    const struct mp_counts counts = {bytes, blocks};
    struct mp_row *row = &maker->rows[maker->count++];
    *row = (struct mp_row){.stack = stack, .kind = MP_OBJ, .totals = {counts, counts, counts}};
    return row;
}

/* Add a checkpoint with a copy of the points to a series. */
static inline void
make_checkpoint(struct mp_series *series, uint64_t time, const struct mp_point *points,
                size_t count)
{
    struct mp_checkpoint checkpoint = {
        .time = time, .traced = (int64_t)time * 2, .rss = (int64_t)time * 3,
        .count = count, .capacity = count + 1};
    checkpoint.points = mp_mem_new(checkpoint.capacity * sizeof *points);
    assert_non_null(checkpoint.points);
    if (count)
        memcpy(checkpoint.points, points, count * sizeof *points);
    mp_series_add(series, &checkpoint);
}

/* The snapshot; the maker is gone. */
static inline struct mp_snapshot *
make_end(struct maker *maker)
{
    const char *why;
    struct mp_symbols *symbols = mp_symbols_freeze(&maker->depot);
    struct mp_snapshot *snapshot = symbols ? mp_snapshot_new(symbols, maker->count) : NULL;
    assert_non_null(snapshot);
    snapshot->count = maker->count;
    memcpy(snapshot->rows, maker->rows, maker->count * sizeof *maker->rows);
    snapshot->series = maker->series;
    for (size_t i = 0; i < MP_FACT_COUNT; i++)
        *mp_fact_value(&snapshot->facts, i) = (int64_t)i * 1000 - 1;
    mp_depot_destroy(&maker->depot);
    mp_mem_free(maker, sizeof *maker);
    if (!mp_snapshot_check(snapshot, &why))
        fail_msg("%s", why);
    return snapshot;
}

/* ---- random ones --------------------------------------------------------------------------- */

static uint64_t random_state = 1;

static inline uint32_t
next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

static inline uint32_t
random_stack(struct maker *maker, uint32_t stacks)
{
    static const char *const files[] = {"a.py", "a", "lib/b.py", "\xc3\xa9t\xc3\xa9.py",
                                        "\xe6\x97\xa5\xe6\x9c\xac.py", "\xed\xb3\xbf.py", "b.py"};
    static const char *const functions[] = {"f", "g", "<module>", "C.f", "C.f.<locals>.\xc3\xb6"};
    const struct frame frame = {files[next_random(7)], functions[next_random(5)],
                                next_random(3) + 1, next_random(8)};
    return make_frame(maker, next_random(stacks + 1), &frame, next_random(9) ? 0 : MP_FOLDED);
}

static inline void
random_row(struct maker *maker, uint32_t stacks)
{
    struct mp_row *row =
        make_row(maker, next_random(stacks + 1), next_random(5) * 100, next_random(3) + 1);
    row->kind = next_random(MP_KINDS);
    row->domain = row->kind == MP_TRACKED ? next_random(3) : 0;
    row->totals.peak = (struct mp_counts){next_random(1u << 31), next_random(100)};
    row->totals.total = (struct mp_counts){(uint64_t)next_random(1u << 31) << 20, next_random(9)};
}

static inline void
random_checkpoint(struct maker *maker, uint64_t time, uint32_t stacks)
{
    struct mp_point points[MAKER_ROWS];
    size_t count = 0;
    for (uint32_t stack = next_random(3); stack <= stacks; stack += next_random(9) + 1)
        points[count++] = (struct mp_point){stack, next_random(9) + 1, next_random(1u << 31)};
    make_checkpoint(&maker->series, time, points, count);
}

/* About `size` call stacks and rows, and `checkpoints`; small names so that much is equal. */
static inline struct mp_snapshot *
make_random(uint32_t size, size_t checkpoints)
{
    struct maker *maker = make_begin();
    uint32_t stacks = 0;
    for (uint32_t i = 0; i < size; i++) {
        const uint32_t stack = random_stack(maker, stacks);
        stacks = stack > stacks ? stack : stacks;
    }
    for (uint32_t i = 0; i < size; i++)
        random_row(maker, stacks);
    for (size_t c = 0; c < checkpoints; c++)
        random_checkpoint(maker, c * 10000000, stacks);
    return make_end(maker);
}

/* ---- groups by name ------------------------------------------------------------------------ */

static inline bool
text_is(const struct mp_symbols *symbols, uint32_t name, const char *text)
{
    const struct mp_text found = mp_symbols_name(symbols, name);
    return found.length == strlen(text) && memcmp(found.at, text, found.length) == 0;
}

/* What a group stands for, in words that mean the same in all symbols. */
static inline void
describe_location(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t id, char *out,
                  size_t size)
{
    const struct mp_symbol_location *location = &symbols->location[id];
    const struct mp_text file = mp_symbols_name(symbols, location->file);
    const struct mp_text function = mp_symbols_name(symbols, location->function);
    int length = snprintf(out, size, "%.*s", (int)file.length, file.at);
    if (by == MP_BY_LINE || by == MP_BY_STACK)
        length += snprintf(out + length, size - (size_t)length, ":%u", location->line);
    if (by == MP_BY_FUNCTION || by == MP_BY_STACK)
        length += snprintf(out + length, size - (size_t)length, ":%.*s:%u", (int)function.length,
                           function.at, location->first_line);
    assert_true((size_t)length < size);
}

static inline void
describe(const struct mp_symbols *symbols, enum mp_group_by by, uint32_t id, char *out, size_t size)
{
    out[0] = '\0';
    if (by != MP_BY_STACK && id)
        describe_location(symbols, by, id, out, size);
    for (uint32_t stack = id; by == MP_BY_STACK && stack; stack = symbols->stack[stack].parent) {
        const size_t used = strlen(out);
        assert_true(size - used > 2);
        out[used] = symbols->stack[stack].location & MP_FOLDED ? '*' : '<';
        describe_location(symbols, by, mp_symbols_top(symbols, stack), out + used + 1,
                          size - used - 1);
    }
}

/* ---- equality ------------------------------------------------------------------------------ */

static inline void
assert_same_symbols(const struct mp_symbols *a, const struct mp_symbols *b)
{
    assert_int_equal(a->names, b->names);
    assert_int_equal(a->locations, b->locations);
    assert_int_equal(a->stacks, b->stacks);
    assert_int_equal(a->text_size, b->text_size);
    assert_memory_equal(a->name_at, b->name_at, (a->names + 2u) * sizeof *a->name_at);
    assert_memory_equal(a->location, b->location, (a->locations + 1u) * sizeof *a->location);
    assert_memory_equal(a->stack, b->stack, (a->stacks + 1u) * sizeof *a->stack);
    assert_memory_equal(a->text, b->text, a->text_size);
}

static inline void
assert_same_series(const struct mp_series *a, const struct mp_series *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct mp_checkpoint *x = &a->checkpoints[i], *y = &b->checkpoints[i];
        assert_true(x->time == y->time && x->traced == y->traced && x->rss == y->rss);
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->points, y->points, x->count * sizeof *x->points);
    }
}

static inline void
assert_same_snapshot(const struct mp_snapshot *a, const struct mp_snapshot *b)
{
    assert_same_symbols(a->symbols, b->symbols);
    assert_same_series(&a->series, &b->series);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->rows, b->rows, a->count * sizeof *a->rows);
    assert_memory_equal(&a->facts, &b->facts, sizeof a->facts);
    assert_int_equal(a->note_size, b->note_size);
    if (a->note_size)
        assert_memory_equal(a->note, b->note, a->note_size);
}

/* ---- the one that is kept ------------------------------------------------------------------ */

static inline void
version1_row(struct maker *maker, uint32_t stack, enum mp_kind kind, const uint64_t numbers[6])
{
    struct mp_row *row = make_row(maker, stack, numbers[0], numbers[1]);
    row->kind = kind;
    row->domain = kind == MP_TRACKED ? 0xdeadbeefu : 0;
    row->totals.peak = (struct mp_counts){numbers[2], numbers[3]};
    row->totals.total = (struct mp_counts){numbers[4], numbers[5]};
}

static inline void
version1_rows(struct maker *maker)
{
    const uint64_t gib = (uint64_t)1 << 30;
    const struct frame second = {"lib/\xc3\xa9t\xc3\xa9.py", "C.f.<locals>.\xe6\x97\xa5", 10, 12};
    const struct frame third = {"\xed\xb3\xbf.py", "g", 20, 0}; /* a lone surrogate */
    const uint32_t one = STACK(maker, {"main.py", "<module>", 1, 5});
    const uint32_t two = make_frame(maker, one, &second, 0);
    const uint32_t three = make_frame(maker, two, &third, MP_FOLDED);
    make_frame(maker, 0, &second, 0); /* a stack without a row */
    version1_row(maker, 0, MP_RAW, (const uint64_t[]){64, 1, 128, 2, 256, 4});
    version1_row(maker, one, MP_MEM, (const uint64_t[]){0, 0, 4096, 1, 4096, 1});
    version1_row(maker, two, MP_OBJ, (const uint64_t[]){1000, 10, 900, 9, 100000, 1000});
    version1_row(maker, two, MP_OBJ, (const uint64_t[]){16, 1, 0, 0, 16, 1});
    version1_row(maker, three, MP_TRACKED,
                 (const uint64_t[]){5 * gib, 1, 5 * gib, 1, 6 * gib, 2});
}

/* What tests/golden/version1.mprof has in it. */
static inline struct mp_snapshot *
make_version1(void)
{
    static const char note[] = "command=main.py \xc3\xa9\npython=3.11.7\n";
    struct maker *maker = make_begin();
    version1_rows(maker);
    make_checkpoint(&maker->series, 10000000, (struct mp_point[]){{0, 1, 64}, {2, 11, 1016}}, 2);
    make_checkpoint(&maker->series, 20000000, NULL, 0);
    maker->series.checkpoints[0].rss = -1;
    struct mp_snapshot *snapshot = make_end(maker);
    assert_int_equal(mp_snapshot_set_note(snapshot, note, sizeof note - 1), MP_OK);
    return snapshot;
}

/* ---- files --------------------------------------------------------------------------------- */

struct bytes {
    unsigned char *data; /* malloc of exactly this size: a sanitizer sees one too many */
    size_t size;
};

static inline struct bytes
read_bytes(const char *path)
{
    struct bytes bytes = {NULL, 0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    bytes.size = (size_t)ftell(file);
    rewind(file);
    bytes.data = malloc(bytes.size);
    assert_int_equal(fread(bytes.data, 1, bytes.size, file), bytes.size);
    fclose(file);
    return bytes;
}

static inline void
write_bytes(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static char scratch_directory[] = "/tmp/memprof-test-XXXXXX";
static pid_t scratch_owner;

/* Calls `visit` with the path of each file in the scratch directory; how many there are. */
static inline int
each_scratch_file(int (*visit)(const char *path))
{
    char path[512];
    int count = 0;
    DIR *directory = opendir(scratch_directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", scratch_directory, entry->d_name);
        count += visit ? visit(path) == 0 : 1;
    }
    if (directory)
        closedir(directory);
    return count;
}

static inline void
remove_scratch(void)
{
    if (getpid() != scratch_owner)
        return;
    each_scratch_file(remove);
    rmdir(scratch_directory);
}

/* The path of a file in a directory of the test's own, which is removed at the end. One of
 * four buffers. */
static inline const char *
scratch(const char *name)
{
    static char paths[4][sizeof scratch_directory + 512];
    static int next;
    if (!scratch_owner) {
        scratch_owner = getpid();
        assert_non_null(mkdtemp(scratch_directory));
        atexit(remove_scratch);
    }
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", scratch_directory, name);
    return path;
}

#endif
