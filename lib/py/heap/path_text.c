/* A path as text: app._sessions['by-id'] -> list[..] -> Session */
#include "py/heap/paths.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "py/heap/labels.h"

enum { STEPS = 256, HEAD = 8, TAIL = 6 };

struct text {
    const struct mp_paths *paths;
    char *out;
    size_t size, used;
};

static void
put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t left = text->size - text->used;
    const int length = vsnprintf(text->out + text->used, left, format, arguments);
    va_end(arguments);
    if (length > 0)
        text->used += (size_t)length < left ? (size_t)length : left - 1;
}

static void
put_name(struct text *text, uint32_t name)
{
    const struct mp_name *found = name ? mp_table_at(&text->paths->heap->names.table, name) : NULL;
    if (found)
        put(text, "%.*s", (int)found->length, found->text);
    else
        put(text, "?");
}

static void
put_type(struct text *text, const struct mp_path_group *group)
{
    put_name(text, text->paths->heap->types[group->type].short_name);
}

/* ---- the parts ------------------------------------------------------------------------------- */

static void
put_root(struct text *text, const struct mp_path_group *root)
{
    switch (root->kind) {
    case MP_ROOT_FRAME:
        put_name(text, root->name2);
        put(text, "() local ");
        put_name(text, root->name);
        break;
    case MP_ROOT_STACK:
        put(text, "evaluation stack of ");
        put_name(text, root->name2);
        put(text, "()");
        break;
    case MP_ROOT_C:
        put(text, "C code (%llu references unaccounted for)",
            (unsigned long long)root->unaccounted);
        break;
    case MP_ROOT_NOTHING:
        put(text, "nothing but themselves (garbage that the collector has not freed)");
        break;
    case MP_ROOT_OWN:
        put(text, "memprof");
        break;
    default:
        if (root->many)
            put(text, "sys.modules[..]");
        else
            put_name(text, root->name);
    }
}

static bool
is_named_step(uint32_t step)
{
    return step == MP_STEP_ATTRIBUTE || step == MP_STEP_CLOSURE || step == MP_STEP_LOCAL ||
           step == MP_STEP_DEFAULT || step == MP_STEP_CONTEXT;
}

static void
put_step(struct text *text, const struct mp_path_group *group)
{
    static const char *const words[MP_STEPS] = {
        [MP_STEP_ATTRIBUTE] = ".",        [MP_STEP_CLOSURE] = " closure ",
        [MP_STEP_LOCAL] = " local ",      [MP_STEP_DEFAULT] = " default ",
        [MP_STEP_CONTEXT] = " variable ", [MP_STEP_MEMBER] = "{..}",
        [MP_STEP_AS_KEY] = " key",
    };
    if (words[group->step])
        put(text, "%s", words[group->step]);
    if (is_named_step(group->step)) {
        if (group->many && !group->name)
            put(text, "*");
        else
            put_name(text, group->name);
    } else if (group->step == MP_STEP_KEY || group->step == MP_STEP_INDEX) {
        put(text, "[");
        if (group->many || (group->step == MP_STEP_KEY && !group->name))
            put(text, "..");
        else if (group->step == MP_STEP_KEY)
            put_name(text, group->name);
        else
            put(text, "%lld", (long long)group->index);
        put(text, "]");
    }
    if (group->folded)
        put(text, " ...");
}

/* ---- what it is held by in the end ---------------------------------------------------------- */

static bool
is_type_object(const struct text *text, const struct mp_path_group *group)
{
    return (text->paths->heap->types[group->type].flags & MP_TYPE_IS_TYPE) != 0;
}

static bool
is_generator(const struct text *text, const struct mp_path_group *group)
{
    return (text->paths->heap->types[group->type].flags & MP_TYPE_IS_SUSPENDED) != 0;
}

static const char *
root_word(const struct text *text, const struct mp_path_group *const *chain, size_t count)
{
    static const char *const words[MP_ROOTS] = {"module", "atexit", "thread-local",
                                                "context", "frame", "stack", "memprof",
                                                "interpreter", "C code", "nothing"};
    for (size_t i = 1; i < count; i++) {
        if (chain[i]->role == MP_ROLE_LOCALS)
            return "thread-local";
        if (chain[i]->step == MP_STEP_CONTEXT)
            return "context";
        if (chain[i]->step == MP_STEP_LOCAL && is_generator(text, chain[i - 1]))
            return "suspended frame";
    }
    for (size_t i = 1; i + 1 < count && i < 4; i++)
        if (chain[0]->kind == MP_ROOT_MODULE && is_type_object(text, chain[i]))
            return "class";
    return words[chain[0]->kind];
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool
is_place(const struct text *text, const struct mp_path_group *group)
{
    return group->step == MP_STEP_HIDDEN || is_type_object(text, group) ||
           (text->paths->heap->types[group->type].flags & MP_TYPE_IS_MODULE) != 0;
}

/* The chain from the root; the number of its steps. Of a very long one the middle is left out. */
static size_t
find_chain(const struct mp_paths *paths, uint32_t group, const struct mp_path_group **chain)
{
    size_t count = 0;
    for (uint32_t at = group; at && count < STEPS; at = paths->groups[at].parent)
        chain[count++] = &paths->groups[at];
    for (size_t i = 0; i < count / 2; i++) {
        const struct mp_path_group *swap = chain[i];
        chain[i] = chain[count - 1 - i];
        chain[count - 1 - i] = swap;
    }
    return count;
}

static bool
is_hidden(const struct text *text, const struct mp_path_group *group)
{
    return group->step == MP_STEP_HIDDEN ||
           (text->paths->heap->types[group->type].flags & MP_TYPE_IS_CELL) != 0;
}

static void
put_objects(struct text *text, const struct mp_path_group *const *chain, size_t count, bool types)
{
    bool head = true;
    size_t shown = 0, visible = 0;
    for (size_t i = 1; i < count; i++)
        visible += chain[i]->step != MP_STEP_HIDDEN;
    for (size_t i = 0; i < count; i++) {
        const struct mp_path_group *group = chain[i];
        const bool last = i + 1 == count, hidden = i && !last && is_hidden(text, group);
        shown += i && group->step != MP_STEP_HIDDEN;
        if (!last && visible > HEAD + TAIL && shown > HEAD && shown <= visible - TAIL) {
            if (shown == HEAD + 1 && !hidden)
                put(text, " -> ...");
            continue;
        }
        if (!hidden && (!head || last)) {
            put(text, " -> ");
            put_type(text, group);
        }
        if (last)
            break;
        put_step(text, chain[i + 1]);
        if (head && !hidden && i && !is_place(text, group)) {
            head = false;
            if (types && chain[i + 1]->step != MP_STEP_HIDDEN) {
                put(text, " (");
                put_type(text, group);
                put(text, ")");
            }
        }
        if (head && i == 0 && group->kind != MP_ROOT_MODULE && !is_place(text, group) &&
            group->kind != MP_ROOT_THREAD && group->kind != MP_ROOT_CONTEXT)
            head = false;
    }
}

size_t
mp_path_text(const struct mp_paths *paths, uint32_t group, bool types, char *out, size_t size,
             const char **root)
{
    const struct mp_path_group *chain[STEPS];
    struct text text = {paths, out, size, 0};
    const size_t count = find_chain(paths, group, chain);
    if (!count)
        return 0;
    *root = root_word(&text, chain, count);
    if (chain[0]->parent)
        put(&text, "...");
    else
        put_root(&text, chain[0]);
    put_objects(&text, chain, count, types);
    return text.used;
}
