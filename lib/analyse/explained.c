#include "analyse/explained.h"

#include <assert.h>
#include <string.h>

void
mp_explained_clear(struct mp_explained *it)
{
    mp_mem_free(it->leaks, it->capacity * sizeof *it->leaks);
    mp_mem_free(it->types, it->type_capacity * sizeof *it->types);
    mp_mem_free(it->holders, it->holder_capacity * sizeof *it->holders);
    mp_mem_free(it->text, it->text_capacity);
    *it = (struct mp_explained){0};
}

/* Room for `needed` items of `size` bytes in an array; `items` is the address of its pointer. */
static bool
reserve(void *items, size_t *capacity, size_t needed, size_t size)
{
    void *old;
    memcpy(&old, items, sizeof old);
    if (needed <= *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 4096 / size;
    if (more < needed)
        more = needed;
    void *grown = mp_mem_grow(old, *capacity * size, more * size);
    if (!grown)
        return false;
    memcpy(items, &grown, sizeof grown);
    *capacity = more;
    return true;
}

static bool
add_text(struct mp_explained *it, struct mp_text text, struct mp_explained_text *added)
{
    if (text.length > UINT32_MAX ||
        !reserve(&it->text, &it->text_capacity, it->text_size + text.length, 1))
        return false;
    *added = (struct mp_explained_text){it->text_size, (uint32_t)text.length};
    if (text.length)
        memcpy(it->text + it->text_size, text.at, text.length);
    it->text_size += text.length;
    return true;
}

int
mp_explained_add(struct mp_explained *it, const struct mp_explained_leak *leak)
{
    if (!reserve(&it->leaks, &it->capacity, it->count + 1, sizeof *it->leaks))
        return MP_NO_MEMORY;
    struct mp_explained_leak *added = &it->leaks[it->count++];
    *added = *leak;
    added->type = it->type_count;
    added->holder = it->holder_count;
    added->types = added->holders = 0;
    return MP_OK;
}

int
mp_explained_add_type(struct mp_explained *it, uint64_t objects, struct mp_text name)
{
    struct mp_explained_type type = {.objects = objects};
    assert(it->count > 0);
    if (!reserve(&it->types, &it->type_capacity, it->type_count + 1, sizeof *it->types) ||
        !add_text(it, name, &type.name))
        return MP_NO_MEMORY;
    it->types[it->type_count++] = type;
    it->leaks[it->count - 1].types++;
    return MP_OK;
}

int
mp_explained_add_holder(struct mp_explained *it, uint64_t objects, const struct mp_text texts[3])
{
    struct mp_explained_holder holder = {.objects = objects};
    assert(it->count > 0);
    if (!reserve(&it->holders, &it->holder_capacity, it->holder_count + 1, sizeof *it->holders) ||
        !add_text(it, texts[0], &holder.path) || !add_text(it, texts[1], &holder.detail) ||
        !add_text(it, texts[2], &holder.root))
        return MP_NO_MEMORY;
    it->holders[it->holder_count++] = holder;
    it->leaks[it->count - 1].holders++;
    return MP_OK;
}

/* ---- check --------------------------------------------------------------------------------- */

static bool
text_fits(const struct mp_explained *it, struct mp_explained_text text)
{
    return text.at <= it->text_size && text.length <= it->text_size - text.at;
}

static bool
texts_fit(const struct mp_explained *it)
{
    for (size_t i = 0; i < it->type_count; i++)
        if (!text_fits(it, it->types[i].name))
            return false;
    for (size_t i = 0; i < it->holder_count; i++)
        if (!text_fits(it, it->holders[i].path) || !text_fits(it, it->holders[i].detail) ||
            !text_fits(it, it->holders[i].root))
            return false;
    return true;
}

bool
mp_explained_check(const struct mp_explained *it, uint32_t stacks, const char **why)
{
    size_t types = 0, holders = 0;
    *why = NULL;
    for (size_t i = 0; i < it->count && !*why; i++) {
        const struct mp_explained_leak *leak = &it->leaks[i];
        if (leak->stack > stacks || (leak->above > stacks && leak->above != MP_NO_STACK))
            *why = "an explained leak has a stack that does not exist";
        else if (leak->type != types || leak->holder != holders)
            *why = "the types and holders of the leaks are not in order";
        types += leak->types;
        holders += leak->holders;
    }
    if (!*why && (types != it->type_count || holders != it->holder_count || !texts_fit(it)))
        *why = "the types and holders of the leaks are not in order";
    return *why == NULL;
}
