#include "analyse/symbols.h"

#include <string.h>

static size_t
align8(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

struct mp_symbols *
mp_symbols_new(uint32_t names, uint32_t locations, uint32_t stacks, size_t text_size)
{
    const size_t name_at = sizeof(struct mp_symbols);
    const size_t location = name_at + ((size_t)names + 2) * sizeof(uint64_t);
    const size_t stack = location + ((size_t)locations + 1) * sizeof(struct mp_symbol_location);
    const size_t text = align8(stack + ((size_t)stacks + 1) * sizeof(struct mp_symbol_stack));
    const size_t size = text + text_size;

    char *memory = mp_mem_new(size);
    if (!memory)
        return NULL;
    struct mp_symbols *symbols = (struct mp_symbols *)memory;
    *symbols = (struct mp_symbols){
        .references = 1,
        .names = names,
        .locations = locations,
        .stacks = stacks,
        .text_size = text_size,
        .memory_size = size,
        .name_at = (uint64_t *)(memory + name_at),
        .location = (struct mp_symbol_location *)(memory + location),
        .stack = (struct mp_symbol_stack *)(memory + stack),
        .text = memory + text,
    };
    return symbols;
}

struct mp_symbols *
mp_symbols_retain(struct mp_symbols *symbols)
{
    atomic_fetch_add(&symbols->references, 1);
    return symbols;
}

void
mp_symbols_release(struct mp_symbols *symbols)
{
    if (symbols && atomic_fetch_sub(&symbols->references, 1) == 1)
        mp_mem_free(symbols, symbols->memory_size);
}

/* ---- from a depot ------------------------------------------------------------------ */

static size_t
text_size_of(const struct mp_depot *depot, uint32_t names)
{
    size_t size = 0;
    for (uint32_t id = 1; id <= names; id++) {
        const struct mp_name *name = mp_table_peek(&depot->names.table, id);
        size += name ? name->length : 0;
    }
    return size;
}

static void
copy_names(struct mp_symbols *symbols, const struct mp_depot *depot)
{
    uint64_t at = 0;
    for (uint32_t id = 1; id <= symbols->names; id++) {
        const struct mp_name *name = mp_table_peek(&depot->names.table, id);
        symbols->name_at[id] = at;
        if (name && name->length <= symbols->text_size - at) {
            memcpy(symbols->text + at, name->text, name->length);
            at += name->length;
        }
    }
    symbols->name_at[symbols->names + 1] = at;
}

static void
copy_locations(struct mp_symbols *symbols, const struct mp_depot *depot)
{
    for (uint32_t id = 1; id <= symbols->locations; id++) {
        const struct mp_location *from = mp_table_peek(&depot->locations, id);
        if (from)
            symbols->location[id] = (struct mp_symbol_location){
                from->file, from->function, from->first_line, from->line};
    }
}

static void
copy_stacks(struct mp_symbols *symbols, const struct mp_depot *depot)
{
    for (uint32_t id = 1; id <= symbols->stacks; id++) {
        struct mp_symbol_stack *to = &symbols->stack[id];
        (void)mp_stacks_at(&depot->stacks, id, &to->parent, &to->location);
    }
}

struct mp_symbols *
mp_symbols_freeze(const struct mp_depot *depot)
{
    /* stacks first: what they refer to is complete by the time it is counted */
    const uint32_t stacks = mp_stacks_count(&depot->stacks);
    const uint32_t locations = mp_table_count(&depot->locations);
    const uint32_t names = mp_table_count(&depot->names.table);
    struct mp_symbols *symbols =
        mp_symbols_new(names, locations, stacks, text_size_of(depot, names));
    if (!symbols)
        return NULL;
    copy_names(symbols, depot);
    copy_locations(symbols, depot);
    copy_stacks(symbols, depot);
    return symbols;
}

/* ---- back into a depot ----------------------------------------------------------------- */

/* Ids that the depot gives to names and locations; arrays of the symbols' size. */
struct id_map {
    uint32_t *name, *location;
    size_t size;
};

static bool
intern_names(const struct mp_symbols *symbols, struct mp_depot *depot, struct id_map *map)
{
    for (uint32_t id = 1; id <= symbols->names; id++) {
        const struct mp_text text = mp_symbols_name(symbols, id);
        map->name[id] = mp_names_intern(&depot->names, text.at, text.length);
        if (!map->name[id] && text.length)
            return false;
    }
    return true;
}

static bool
intern_locations(const struct mp_symbols *symbols, struct mp_depot *depot, struct id_map *map)
{
    for (uint32_t id = 1; id <= symbols->locations; id++) {
        const struct mp_symbol_location *from = &symbols->location[id];
        const struct mp_location location = {
            .file = map->name[from->file], .function = map->name[from->function],
            .first_line = from->first_line, .line = from->line};
        map->location[id] = mp_depot_location(depot, &location);
        if (!map->location[id])
            return false;
    }
    return true;
}

static bool
intern_stacks(const struct mp_symbols *symbols, struct mp_depot *depot, const struct id_map *map,
              uint32_t *stack_ids)
{
    stack_ids[0] = 0;
    for (uint32_t id = 1; id <= symbols->stacks; id++) {
        const struct mp_symbol_stack *from = &symbols->stack[id];
        if (!from->location)
            continue; /* a hole */
        const uint32_t location =
            map->location[from->location & ~MP_FOLDED] | (from->location & MP_FOLDED);
        stack_ids[id] = mp_depot_stack(depot, stack_ids[from->parent], location);
        if (!stack_ids[id])
            return false;
    }
    return true;
}

int
mp_symbols_intern(const struct mp_symbols *symbols, struct mp_depot *depot, uint32_t *stack_ids)
{
    struct id_map map;
    map.size = ((size_t)symbols->names + symbols->locations + 2) * sizeof(uint32_t);
    map.name = mp_mem_new(map.size);
    if (!map.name)
        return MP_NO_MEMORY;
    map.location = map.name + symbols->names + 1;
    const bool done = intern_names(symbols, depot, &map) &&
                      intern_locations(symbols, depot, &map) &&
                      intern_stacks(symbols, depot, &map, stack_ids);
    mp_mem_free(map.name, map.size);
    return done ? MP_OK : MP_NO_MEMORY;
}

/* ---- check ------------------------------------------------------------------------------- */

bool
mp_symbols_check(const struct mp_symbols *symbols, const char **why)
{
    *why = NULL;
    if (symbols->name_at[0] != 0 || symbols->name_at[1] != 0)
        *why = "the empty name is not empty";
    for (uint32_t id = 0; id <= symbols->names && !*why; id++)
        if (symbols->name_at[id] > symbols->name_at[id + 1] ||
            symbols->name_at[id + 1] > symbols->text_size)
            *why = "a name lies outside the text";
    for (uint32_t id = 0; id <= symbols->locations && !*why; id++)
        if (symbols->location[id].file > symbols->names ||
            symbols->location[id].function > symbols->names)
            *why = "a location has a name that does not exist";
    for (uint32_t id = 0; id <= symbols->stacks && !*why; id++)
        if ((symbols->stack[id].location & ~MP_FOLDED) > symbols->locations)
            *why = "a stack has a location that does not exist";
        else if (symbols->stack[id].parent >= id && id)
            *why = "a stack comes before its caller";
    if (!*why && (symbols->stack[0].parent || symbols->stack[0].location))
        *why = "the empty stack is not empty";
    return *why == NULL;
}
