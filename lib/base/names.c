#include "base/names.h"

#include <string.h>

#include "base/debug.h"

static bool
name_equal(const void *record, const void *key)
{
    const struct mp_name *a = record, *b = key;
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

int
mp_names_init(struct mp_names *names)
{
    atomic_init(&names->arena.chunk, NULL);
    return mp_table_init(&names->table, sizeof(struct mp_name), 10, name_equal);
}

void
mp_names_destroy(struct mp_names *names)
{
    MP_CHECK_WHOLE(mp_names_check, names);
    mp_table_destroy(&names->table);
    mp_arena_destroy(&names->arena);
}

static uint64_t
hash_text(const char *text, size_t length)
{
    uint64_t hash = mp_hash_mix(0, length);
    for (; length >= 8; text += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        hash = mp_hash_mix(hash, word);
    }
    uint64_t rest = 0;
    assert(length < sizeof rest);
    memcpy(&rest, text, length);
    return mp_hash_mix(hash, rest);
}

uint32_t
mp_names_intern(struct mp_names *names, const char *text, size_t length)
{
    if (length == 0 || length > UINT32_MAX)
        return 0;
    assert(text);
    const uint64_t hash = hash_text(text, length);
    struct mp_name name = {.length = (uint32_t)length, .text = text};
    struct mp_table_gap gap;
    const uint32_t id = mp_table_search(&names->table, hash, &name, &gap);
    if (id)
        return id;
    char *copy = mp_arena_new(&names->arena, length);
    if (!copy)
        return 0;
    memcpy(copy, text, length);
    name.text = copy;
    return mp_table_insert(&names->table, &gap);
}

static bool
is_found(const struct mp_names *names, uint32_t id, const struct mp_name *name)
{
    return mp_table_find(&names->table, hash_text(name->text, name->length), name) == id;
}

bool
mp_names_check(const struct mp_names *names, const char **why)
{
    if (!mp_table_check(&names->table, why) || !mp_arena_check(&names->arena, why))
        return false;
    for (uint32_t id = 1; id <= mp_table_count(&names->table) && !*why; id++) {
        const struct mp_name *name = mp_table_peek(&names->table, id);
        if (name && (!name->text || !name->length))
            *why = "a name has no text";
        else if (name && !is_found(names, id, name))
            *why = "a name is not found by its text, or is there twice";
    }
    return *why == NULL;
}
