/* Nanoseconds of single operations of the tables, without Python: build/bench/micro [--json].
 * With --growth N: NEW new stacks beside 1,000, 10,000, ... N others, for bench/instructions.py.
 *
 * Each line is one operation (a pair where it says so), timed in batches; the least and the
 * median of all batches are shown. The least is what the operation costs, the median what the
 * machine allowed.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tables/depot.h"
#include "tables/shadow.h"
#include "tables/tally.h"
#include "record/tracer.h"

enum { BATCHES = 301, OPERATIONS = 4096, SITES = 4096, STACKS = 1 << 14, MANY_STACKS = 1000000,
       DEPTH = 12, NEW = 1000 };

static struct mp_depot depot;
static struct mp_shadow shadow;
static struct mp_lane lane;
static struct mp_clock ticks;
static uintptr_t addresses[OPERATIONS]; /* of blocks, spread over 64 MiB */
static uint32_t sites[OPERATIONS], parents[OPERATIONS];
static volatile uint32_t sink; /* keeps results alive */

static uint64_t
now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t
next_random(uint32_t below)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

/* ---- depot: what a miss of the stack cache asks ------------------------------------------ */

static uint32_t next_location = 1;

static void
depot_known_frame(void)
{
    for (int i = 0; i < OPERATIONS; i++)
        sink = mp_depot_stack(&depot, parents[i], 7);
}

static void
depot_known_stack(void)
{
    for (int i = 0; i < OPERATIONS; i++) {
        uint32_t stack = 0;
        for (uint32_t level = 1; level <= DEPTH; level++)
            stack = mp_depot_stack(&depot, stack, level);
        sink = stack;
    }
}

static void
depot_known_site(void)
{
    for (int i = 0; i < OPERATIONS; i++) {
        const struct mp_site site = {.stack = parents[i], .kind = MP_OBJ};
        sink = mp_depot_site(&depot, &site);
    }
}

static void
depot_new_frame(void)
{
    for (int i = 0; i < OPERATIONS; i++)
        sink = mp_depot_stack(&depot, parents[i], STACKS + next_location);
    next_location++;
}

/* Fills the depot first: the batches after that are timed. */
static void
depot_new_frame_of_many(void)
{
    while (mp_stacks_count(&depot.stacks) < MANY_STACKS)
        depot_new_frame();
    depot_new_frame();
}

/* A call stack like those of a large program: most of it is known, the line on top is new. */
static void
add_stack(uint32_t number)
{
    const struct mp_location top = {
        .file = number % 512, .function = number % 4096, .first_line = 1, .line = number};
    const uint32_t location = mp_depot_location(&depot, &top);
    uint32_t frames[DEPTH];
    for (uint32_t level = 0; level < DEPTH; level++)
        frames[level] = level < 8 ? 1 + level : 1 + number / (level < 10 ? 64 : 4) % 4000;
    frames[DEPTH - 1] = location;
    const struct mp_site site = {.stack = mp_stacks_push(&depot.stacks, 0, frames, DEPTH),
                                 .kind = MP_OBJ};
    sink = mp_depot_site(&depot, &site);
}

/* sched_yield() before and after the NEW stacks of each size marks them for callgrind. */
static void
grow(uint32_t most)
{
    uint32_t number = 0;
    for (uint32_t size = 1000; size <= most; size *= 10) {
        while (number < size)
            add_stack(++number);
        sched_yield();
        for (const uint32_t end = number + NEW; number < end;)
            add_stack(++number);
        sched_yield();
    }
}

/* ---- shadow ------------------------------------------------------------------------------- */

static void
shadow_pair_here(void)
{
    for (int i = 0; i < OPERATIONS; i++) {
        mp_word *words = mp_shadow_reach(&shadow, addresses[0]);
        mp_word_store(words, 1);
        mp_word_store(words + 1, 64);
        words = mp_shadow_find(&shadow, addresses[0]);
        sink = mp_word_load(words);
        mp_word_store(words, 0);
    }
}

static void
shadow_pair_far(void)
{
    for (int i = 0; i < OPERATIONS; i++) {
        mp_word *words = mp_shadow_reach(&shadow, addresses[i]);
        mp_word_store(words, sites[i]);
        mp_word_store(words + 1, 64);
    }
    for (int i = 0; i < OPERATIONS; i++) {
        mp_word *words = mp_shadow_find(&shadow, addresses[i]);
        sink = mp_word_load(words);
        mp_word_store(words, 0);
        mp_word_store(words + 1, 0);
    }
}

/* ---- tally ---------------------------------------------------------------------------------- */

static void
pair(uint32_t site, size_t size)
{
    mp_tally_alloc(mp_lane_reach(&lane, site), &ticks, true, size);
    mp_tally_free(mp_lane_reach(&lane, site), &ticks, true, size);
}

static void
tally_pair_here(void)
{
    for (int i = 0; i < OPERATIONS; i++)
        pair(1, 64);
}

static void
tally_pair_far(void)
{
    for (int i = 0; i < OPERATIONS; i++)
        pair(sites[i], 64);
}

/* Each allocation makes a new maximum and each free ends it: the dearest case. */
static void
tally_pair_at_peak(void)
{
    for (int i = 0; i < OPERATIONS; i++) {
        mp_tally_alloc(mp_lane_reach(&lane, sites[i]), &ticks, true, 65);
        mp_tally_free(mp_lane_reach(&lane, sites[i]), &ticks, true, 64);
    }
}

/* ---- all three ------------------------------------------------------------------------------- */

static void
tracer_pair(void)
{
    for (int i = 0; i < OPERATIONS; i++)
        mp_tracer_record(true, addresses[i], 64, sites[i]);
    for (int i = 0; i < OPERATIONS; i++)
        mp_tracer_free(true, addresses[i]);
}

struct benchmark {
    const char *name;
    void (*run)(void);
    int batches; /* 0 stands for BATCHES */
};

static const struct benchmark benchmarks[] = {
    {"depot: a frame that is known", depot_known_frame, 0},
    {"depot: a stack of 12 known frames", depot_known_stack, 0},
    {"depot: a site that is known", depot_known_site, 0},
    {"depot: a new frame", depot_new_frame, 11},
    {"depot: a new frame beside a million", depot_new_frame_of_many, 11},
    {"shadow: pair, one address", shadow_pair_here, 0},
    {"shadow: pair, 64 MiB of addresses", shadow_pair_far, 0},
    {"tally: pair, one site", tally_pair_here, 0},
    {"tally: pair, 4096 sites", tally_pair_far, 0},
    {"tally: pair, each a new peak", tally_pair_at_peak, 0},
    {"tracer: pair, shadow and tally", tracer_pair, 0},
};

/* ---- the frame ------------------------------------------------------------------------------- */

static void
fail(const char *what)
{
    fprintf(stderr, "micro: %s\n", what);
    exit(1);
}

static void
set_up(void)
{
    if (mp_depot_init(&depot) != MP_OK || mp_tracer_start() != MP_OK)
        fail("no memory");
    mp_clock_clear(&ticks);
    for (uint32_t stack = 0, i = 1; i <= STACKS; i++)
        stack = mp_depot_stack(&depot, i % DEPTH ? stack : 0, i);
    for (uint32_t i = 1; i <= SITES; i++) {
        const struct mp_site site = {.stack = i, .kind = MP_OBJ};
        if (!mp_tracer_site(&site))
            fail("no memory");
    }
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        addresses[i] = 0x7f0000000000u + (uintptr_t)i * 16384 + next_random(64) * 64;
        sites[i] = 1 + next_random(SITES);
        parents[i] = 1 + next_random(STACKS);
    }
}

static int
by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
show(const struct benchmark *benchmark, bool json, bool last)
{
    static double ns[BATCHES];
    const int batches = benchmark->batches ? benchmark->batches : BATCHES;
    benchmark->run(); /* touch the memory */
    for (int batch = 0; batch < batches; batch++) {
        const uint64_t began = now_ns();
        benchmark->run();
        ns[batch] = (double)(now_ns() - began) / OPERATIONS;
    }
    qsort(ns, (size_t)batches, sizeof *ns, by_value);
    if (json)
        printf(" \"%s\": {\"least\": %.2f, \"median\": %.2f}%s\n", benchmark->name, ns[0],
               ns[batches / 2], last ? "" : ",");
    else
        printf("%-36s %8.2f ns  median %8.2f ns\n", benchmark->name, ns[0], ns[batches / 2]);
}

int
main(int argc, char **argv)
{
    const bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const size_t count = sizeof benchmarks / sizeof *benchmarks;
    if (argc > 2 && strcmp(argv[1], "--growth") == 0) {
        if (mp_depot_init(&depot) != MP_OK)
            fail("no memory");
        grow((uint32_t)strtoul(argv[2], NULL, 10));
        return sink ? 0 : 1;
    }
    set_up();
    if (json)
        puts("{");
    for (size_t i = 0; i < count; i++)
        show(&benchmarks[i], json, i + 1 == count);
    if (json)
        puts("}");
    return 0;
}
