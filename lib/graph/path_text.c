#include "graph/path_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { STEPS = 256, HEAD = 8, TAIL = 6 };

struct text {
    const struct mp_paths *paths;
    char *out;
    size_t size, used;
};

/* The groups from the root on. */
struct chain {
    const struct mp_path_group *groups[STEPS];
    size_t count;
};

static void
put(struct text *text, const char *format, ...)
{
    va_list arguments;
    assert(text->used < text->size);
    const size_t left = text->size - text->used;
    va_start(arguments, format);
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

static const struct mp_heap_type *
type_of(const struct mp_paths *paths, const struct mp_path_group *group)
{
    assert(group->type && group->type <= paths->heap->type_count);
    return &paths->heap->types[group->type];
}

static void
put_type(struct text *text, const struct mp_path_group *group)
{
    put_name(text, type_of(text->paths, group)->short_name);
}

/* ---- the parts ---------------------------------------------------------------------------- */

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

static void
put_subscript(struct text *text, const struct mp_path_group *group)
{
    const bool key = group->step == MP_STEP_KEY;
    put(text, "[");
    if (group->many || (key && !group->name))
        put(text, "..");
    else if (key)
        put_name(text, group->name);
    else
        put(text, "%lld", (long long)group->index);
    put(text, "]");
}

static void
put_step(struct text *text, const struct mp_path_group *group)
{
    static const struct {
        const char *word;
        bool named;
    } steps[MP_STEPS] = {
        [MP_STEP_ATTRIBUTE] = {".", true},          [MP_STEP_CLOSURE] = {" closure ", true},
        [MP_STEP_LOCAL] = {" local ", true},        [MP_STEP_DEFAULT] = {" default ", true},
        [MP_STEP_CONTEXT] = {" variable ", true},   [MP_STEP_MEMBER] = {"{..}", false},
        [MP_STEP_AS_KEY] = {" key", false},
    };
    if (steps[group->step].word)
        put(text, "%s", steps[group->step].word);
    if (group->step == MP_STEP_KEY || group->step == MP_STEP_INDEX)
        put_subscript(text, group);
    else if (steps[group->step].named && group->many && !group->name)
        put(text, "*");
    else if (steps[group->step].named)
        put_name(text, group->name);
    if (group->folded)
        put(text, " ...");
}

/* ---- the chain ---------------------------------------------------------------------------- */

/* From the root to a group; of a very long one the first steps are left out. */
static void
find_chain(const struct mp_paths *paths, uint32_t group, struct chain *chain)
{
    chain->count = 0;
    for (uint32_t at = group; at && chain->count < STEPS; at = paths->groups[at].parent) {
        assert(at <= paths->count && paths->groups[at].parent < at);
        chain->groups[chain->count++] = &paths->groups[at];
    }
    for (size_t i = 0; i < chain->count / 2; i++) {
        const struct mp_path_group *swap = chain->groups[i];
        chain->groups[i] = chain->groups[chain->count - 1 - i];
        chain->groups[chain->count - 1 - i] = swap;
    }
}

static bool
has_flag(const struct mp_paths *paths, const struct mp_path_group *group, uint32_t flag)
{
    return (type_of(paths, group)->flags & flag) != 0;
}

const char *
mp_path_root(const struct mp_paths *paths, uint32_t group)
{
    static const char *const words[MP_ROOTS] = {"module", "atexit", "thread-local",
                                                "context", "frame", "stack", "memprof",
                                                "interpreter", "C code", "nothing"};
    struct chain chain;
    find_chain(paths, group, &chain);
    for (size_t i = 1; i < chain.count; i++) {
        if (chain.groups[i]->role == MP_ROLE_LOCALS)
            return "thread-local";
        if (chain.groups[i]->step == MP_STEP_CONTEXT)
            return "context";
        if (chain.groups[i]->step == MP_STEP_LOCAL &&
            has_flag(paths, chain.groups[i - 1], MP_TYPE_IS_SUSPENDED))
            return "suspended frame";
    }
    for (size_t i = 1; i + 1 < chain.count && i < 4; i++)
        if (chain.groups[0]->kind == MP_ROOT_MODULE &&
            has_flag(paths, chain.groups[i], MP_TYPE_IS_TYPE))
            return "class";
    return words[chain.count ? chain.groups[0]->kind : MP_ROOT_NOTHING];
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Does it stand for a place in the program more than for a container of objects? */
static bool
is_place(const struct mp_paths *paths, const struct mp_path_group *group)
{
    return group->step == MP_STEP_HIDDEN ||
           has_flag(paths, group, MP_TYPE_IS_TYPE | MP_TYPE_IS_MODULE);
}

static bool
is_hidden(const struct mp_paths *paths, const struct mp_path_group *group)
{
    return group->step == MP_STEP_HIDDEN || has_flag(paths, group, MP_TYPE_IS_CELL);
}

/* Is a root told without the type of its object? What it holds is written behind it then. */
static bool
is_plain_root(const struct mp_paths *paths, const struct mp_path_group *root)
{
    return root->kind == MP_ROOT_MODULE || root->kind == MP_ROOT_THREAD ||
           root->kind == MP_ROOT_CONTEXT || is_place(paths, root);
}

/* What is left out of a long chain: but for the first HEAD and the last TAIL visible steps. */
struct middle {
    size_t shown, visible;
};

static bool
is_left_out(const struct middle *middle)
{
    return middle->visible > HEAD + TAIL && middle->shown > HEAD &&
           middle->shown <= middle->visible - TAIL;
}

static size_t
count_visible(const struct chain *chain)
{
    size_t visible = 0;
    for (size_t i = 1; i < chain->count; i++)
        visible += chain->groups[i]->step != MP_STEP_HIDDEN;
    return visible;
}

/* The first container's type behind the step that leads out of it. */
static void
put_container(struct text *text, const struct mp_path_group *container)
{
    put(text, " (");
    put_type(text, container);
    put(text, ")");
}

/* The steps behind the root. At the head are names only; from the first container on each object is
 * told by its type and the step that leads out of it. */
static void
put_objects(struct text *text, const struct chain *chain, bool types)
{
    struct middle middle = {0, count_visible(chain)};
    bool head = true;
    for (size_t i = 0; i < chain->count; i++) {
        const struct mp_path_group *group = chain->groups[i];
        const bool last = i + 1 == chain->count;
        const bool hidden = i && !last && is_hidden(text->paths, group);
        middle.shown += i && group->step != MP_STEP_HIDDEN;
        if (!last && is_left_out(&middle)) {
            if (middle.shown == HEAD + 1 && !hidden)
                put(text, " -> ...");
            continue;
        }
        if (!hidden && (!head || last)) {
            put(text, " -> ");
            put_type(text, group);
        }
        if (last)
            break;
        put_step(text, chain->groups[i + 1]);
        if (head && i && !hidden && !is_place(text->paths, group)) {
            head = false;
            if (types && chain->groups[i + 1]->step != MP_STEP_HIDDEN)
                put_container(text, group);
        } else if (i == 0) {
            head = is_plain_root(text->paths, group);
        }
    }
}

size_t
mp_path_text(const struct mp_group_path *path, char *out, size_t size)
{
    struct text text = {path->paths, out, size, 0};
    struct chain chain;
    assert(size && path->group <= path->paths->count);
    find_chain(path->paths, path->group, &chain);
    if (!chain.count)
        return 0;
    if (chain.groups[0]->parent)
        put(&text, "...");
    else
        put_root(&text, chain.groups[0]);
    put_objects(&text, &chain, path->types);
    return text.used;
}
