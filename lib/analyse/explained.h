/* explained: what the objects behind the leaks of a snapshot are, as a pass over the heap has
 * found it. It is kept with the snapshot, so that a profile still says it when the process is gone.
 *
 * Leaks are added one by one, each with its types and holders behind it; nothing is changed or
 * taken out. Plain data: texts are UTF-8 (lone surrogates as three bytes), not terminated. One
 * owner, no locks.
 */
#ifndef MP_EXPLAINED_H
#define MP_EXPLAINED_H

#include "analyse/symbols.h"

#define MP_NO_STACK UINT32_MAX

/* Where a text is in `text`. */
struct mp_explained_text {
    size_t at;
    uint32_t length;
};

struct mp_explained_type {
    uint64_t objects;
    struct mp_explained_text name;
};

/* Who holds `objects` of a leak: by which path, the same with types, and from what root. */
struct mp_explained_holder {
    uint64_t objects;
    struct mp_explained_text path, detail, root;
};

struct mp_explained_leak {
    uint32_t stack;
    uint32_t above;    /* stack of the leak that holds this one, or MP_NO_STACK */
    uint64_t objects;  /* Python objects that were born there */
    uint64_t owners;   /* those that own its blocks, where they are buffers */
    uint64_t retained; /* bytes that would be free without them */
    size_t type, types;     /* the first one's position, and how many there are */
    size_t holder, holders;
};

struct mp_explained {
    uint64_t unfollowed; /* references that could not be followed */
    struct mp_explained_leak *leaks;
    struct mp_explained_type *types;
    struct mp_explained_holder *holders;
    char *text;
    size_t count, capacity;
    size_t type_count, type_capacity;
    size_t holder_count, holder_capacity;
    size_t text_size, text_capacity;
};

/* Zeros are an empty one. */
void mp_explained_clear(struct mp_explained *explained);

/* Add a leak; `type` to `holders` are not looked at. Its types and holders are added next.
 * MP_NO_MEMORY. */
MP_WARN_UNUSED int mp_explained_add(struct mp_explained *explained,
                                    const struct mp_explained_leak *leak);
MP_WARN_UNUSED int mp_explained_add_type(struct mp_explained *explained, uint64_t objects,
                                         struct mp_text name);

/* `texts`: path, detail, root. */
MP_WARN_UNUSED int mp_explained_add_holder(struct mp_explained *explained, uint64_t objects,
                                           const struct mp_text texts[3]);

/* False, and why, when a stack is none of `stacks`, or parts are not where they should be. */
bool mp_explained_check(const struct mp_explained *explained, uint32_t stacks, const char **why);

static inline struct mp_text
mp_explained_text(const struct mp_explained *explained, struct mp_explained_text text)
{
    return (struct mp_text){explained->text + text.at, text.length};
}

#endif
