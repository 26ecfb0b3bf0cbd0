/* symbols: names, locations and call stacks, frozen.
 *
 * An immutable copy of a depot's tables in one piece of memory, with the same
 * ids; shared by the snapshots that were taken while nothing new was interned.
 * Index 0 of each array is the empty name, location and stack. A stack's parent
 * always has a smaller id. Reference-counted; any thread.
 */
#ifndef MP_SYMBOLS_H
#define MP_SYMBOLS_H

#include "tables/depot.h"

struct mp_symbol_location {
    uint32_t file, function, first_line, line;
};

struct mp_symbol_stack {
    uint32_t parent, location; /* location may carry MP_FOLDED */
};

struct mp_symbols {
    _Atomic uint32_t references;
    uint32_t names, locations, stacks; /* highest ids */
    size_t text_size;
    size_t memory_size;
    uint64_t *name_at;                 /* names + 2 offsets into text */
    struct mp_symbol_location *location;
    struct mp_symbol_stack *stack;
    char *text;
};

struct mp_text {
    const char *at;
    size_t length;
};

/* Empty symbols of the given size for the caller to fill, with one reference. */
MP_WARN_UNUSED struct mp_symbols *mp_symbols_new(uint32_t names, uint32_t locations,
                                                 uint32_t stacks, size_t text_size);

/* A copy of what a depot holds now; NULL when there is no memory. */
MP_WARN_UNUSED struct mp_symbols *mp_symbols_freeze(const struct mp_depot *depot);

struct mp_symbols *mp_symbols_retain(struct mp_symbols *symbols);
void mp_symbols_release(struct mp_symbols *symbols);

/* Intern all symbols into a depot; stack_ids[i] becomes the depot's id of stack i. */
MP_WARN_UNUSED int mp_symbols_intern(const struct mp_symbols *symbols, struct mp_depot *depot,
                                     uint32_t *stack_ids);

/* True when every id is within bounds and parents come first. */
bool mp_symbols_check(const struct mp_symbols *symbols, const char **why);

static inline struct mp_text
mp_symbols_name(const struct mp_symbols *symbols, uint32_t name)
{
    const uint64_t begin = symbols->name_at[name];
    return (struct mp_text){symbols->text + begin, symbols->name_at[name + 1] - begin};
}

/* Location of a stack's innermost frame; location 0 for the empty stack. */
static inline uint32_t
mp_symbols_top(const struct mp_symbols *symbols, uint32_t stack)
{
    return symbols->stack[stack].location & ~MP_FOLDED;
}

#endif
