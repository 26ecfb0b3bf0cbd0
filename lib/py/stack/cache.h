/* cache: what a thread remembers of call stacks, so that most are known by their hash.
 *
 * It lies in the thread's block, behind what record/thread.h knows of it: no pointer leads
 * there. Read and written by the thread only, in hooks. What is said of instructions is good for
 * one generation (record/generation.h); ids of the depot are good for ever.
 *
 * What other rooms of py/ keep of each thread is here, too, for there is one such struct.
 */
#ifndef MP_CACHE_H
#define MP_CACHE_H

#include <assert.h>

#include "base/linetable.h"
#include "record/thread.h"

enum {
    MP_SITE_SETS = 2048,
    MP_SITE_WAYS = 4, /* a cache line; the latest first */
    MP_LOCATION_SLOTS = 2048,
    MP_LINE_CURSORS = 16, /* power of two */
};

/* Hash of a stack -> site id. No code object of the stack has a later birth than `youngest`. */
struct mp_site_way {
    uint64_t hash;
    uint32_t site, youngest;
};

/* Instruction address -> location id (depot.h), and the birth of its code object (tracer.h);
 * `ip` 0 is free. */
struct mp_location_slot {
    uintptr_t ip;
    uint32_t location, birth;
};

/* One Python frame as captured: identity of the code and of the instruction. */
struct mp_frame_key {
    uintptr_t code;
    uintptr_t ip;
    bool folded; /* frames of the same function, further out, were left out */
};

/* The outer frames of a stack that was walked, from the frame outside of `anchor` on (trail.h).
 * The last step has frame 0. */
enum { MP_TRAIL_FRAMES = 1024 };

struct mp_trail {
    uintptr_t anchor;        /* a frame that is kept; 0: there was no walk yet */
    uint64_t seed;           /* of the hash being made */
    uintptr_t code;          /* of the anchor */
    uint64_t power, hash;    /* the frames outside make hash * power + hash of a hash */
    bool folded;             /* some of them are left out */
    bool begun_again;        /* the walk of now, behind an incomplete frame */
    bool shared;             /* the interpreter's anchor is not ours alone (anchor_315.h) */
    uint8_t met;             /* how often it was followed, modulo 256 */
    uint8_t misses, made;    /* how often it was not met; trails so far */
    uint8_t failures;        /* trails in a row that did not pay */
    uintptr_t next_code;     /* of the first frame outside that is kept */
    uintptr_t held, held_at; /* what the interpreter's anchor was set to, and its count then */
    uint32_t stack;          /* of the depot: the frames outside; 0: not known */
    uint32_t kept;           /* how many of them `stack` has */
    uint32_t youngest;       /* no code object of theirs has a later birth */
    bool anchor_folded;      /* frames right outside of the anchor are left out */
    struct mp_trail_step {
        uintptr_t frame, ip;
    } steps[MP_TRAIL_FRAMES + 1];
};

/* The stack that was interned last, outermost frame first: what a new one has in common with
 * it is not looked up again. */
enum { MP_PATH_FRAMES = 256 };

struct mp_path {
    uint32_t count;
    struct mp_path_step {
        uintptr_t ip;
        uint32_t stack; /* of the depot, from here out */
        uint32_t birth : 31, folded : 1;
    } steps[MP_PATH_FRAMES];
};

struct mp_py_thread {
    struct mp_thread thread;
    void *activations;           /* py/lines: calls under way; kept when the thread ends */
    void (*chained)(void);       /* py/lines/events_settrace: the trace function before ours */
    uintptr_t stack_end;         /* and how deep calls may go; 0: not known yet */
    struct mp_frame_key *frames; /* scratch of the stack walk */
    size_t frame_capacity;
    char *text;                  /* scratch for encoding names */
    size_t text_capacity;
    _Alignas(64) struct mp_site_way sites[MP_SITE_SETS][MP_SITE_WAYS];
    struct mp_location_slot locations[MP_LOCATION_SLOTS];
    struct mp_line_cursor lines[MP_LINE_CURSORS]; /* by code object */
    _Alignas(64) uintptr_t fresh; /* py/alloc: the block allocated last, until an object is in it */
    uint64_t salt;                /* of the hashes in `sites`: another one voids them all */
    struct mp_trail trail;        /* its begin in the same cache line: each event needs all three */
    struct mp_path path;
};

/* Let the blocks of threads have this struct (mp_thread_extend). When the extension is imported,
 * in front of all else. MP_BAD_ARGUMENT: there are smaller ones already. */
MP_WARN_UNUSED int mp_cache_extend(void);

/* The same block as the rooms of py/ know it. */
static inline struct mp_py_thread *
mp_py_thread(const struct mp_thread *thread)
{
    assert(mp_thread_size() == sizeof(struct mp_py_thread));
    return (struct mp_py_thread *)thread;
}

/* Where the location of an instruction, of two bytes, is kept: those of one page side by side.
 * Each page begins elsewhere, for pymalloc puts objects of a size at the same places of pages. */
static inline struct mp_location_slot *
mp_location_slot(struct mp_py_thread *self, uintptr_t ip)
{
    return &self->locations[(ip / 2 + (ip >> 12) * 1259) & (MP_LOCATION_SLOTS - 1)];
}

/* Make room for `count` frames in the thread's scratch; false when there is no memory. */
bool mp_cache_reserve_frames(struct mp_py_thread *self, size_t count);

/* Make room for `size` bytes of text in the thread's scratch. */
bool mp_cache_reserve_text(struct mp_py_thread *self, size_t size);

#endif
