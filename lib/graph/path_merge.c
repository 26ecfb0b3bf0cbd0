#include "graph/path_merge.h"

enum {
    NAMES = 16, /* fewer modules or attributes keep their names */
    HEAVY = 8   /* a key with this part of the objects keeps its name */
};

struct merging {
    struct mp_paths *paths;
    uint32_t first, last; /* the groups that may be joined */
    uint32_t *into;       /* into[i]: what group first + i has become; 0: it is as it was */
};

static bool
can_merge(const struct mp_path_group *group)
{
    if (!group->parent)
        return group->name && group->kind == MP_ROOT_MODULE;
    return group->name && (group->step == MP_STEP_KEY || group->step == MP_STEP_ATTRIBUTE);
}

static bool
are_siblings(const struct mp_path_group *a, const struct mp_path_group *b)
{
    return a->parent == b->parent && a->type == b->type && a->role == b->role &&
           a->step == b->step && can_merge(a) && can_merge(b);
}

/* The wanted objects below a group and its siblings; 0 when these are too few to be joined. */
static uint64_t
count_below(const struct merging *merging, uint32_t at)
{
    const struct mp_path_group *groups = merging->paths->groups;
    const bool keys = groups[at].parent && groups[at].step == MP_STEP_KEY;
    uint64_t total = 0;
    uint32_t siblings = 0;
    for (uint32_t g = at; g <= merging->last; g++)
        if (are_siblings(&groups[at], &groups[g])) {
            total += groups[g].below;
            siblings++;
        }
    return siblings < (keys ? 2 : NAMES) ? 0 : total;
}

static bool
is_light(const struct mp_path_group *group, uint64_t total)
{
    return group->below <= 1 || group->below * HEAVY < total;
}

static uint32_t
make_joined(struct mp_paths *paths, uint32_t like)
{
    struct mp_path_group key = paths->groups[like];
    key.name = 0;
    key.many = 1;
    key.nodes = key.below = 0;
    return mp_paths_intern(paths, &key);
}

/* Join those of few objects each among a group and its siblings. */
static void
join(const struct merging *merging, uint32_t at)
{
    struct mp_paths *paths = merging->paths;
    const uint64_t total = count_below(merging, at);
    uint32_t joined = 0;
    for (uint32_t g = at; total && g <= merging->last; g++) {
        if (merging->into[g - merging->first] ||
            !are_siblings(&paths->groups[at], &paths->groups[g]) ||
            !is_light(&paths->groups[g], total))
            continue;
        if (!joined)
            joined = make_joined(paths, g);
        if (!joined)
            return;
        paths->groups[joined].nodes += paths->groups[g].nodes;
        paths->groups[joined].below += paths->groups[g].below;
        merging->into[g - merging->first] = joined;
    }
}

static void
join_all(const struct merging *merging)
{
    const struct mp_paths *paths = merging->paths;
    uint32_t seen = 0; /* the last group whose siblings were looked at */
    for (uint32_t g = merging->first; g <= merging->last; g++) {
        if (merging->into[g - merging->first] || !can_merge(&paths->groups[g]) ||
            (seen && are_siblings(&paths->groups[seen], &paths->groups[g])))
            continue;
        seen = g;
        join(merging, g);
    }
}

static void
redirect(const struct merging *merging, const struct mp_path_level *level)
{
    for (uint32_t i = 0; i < level->count; i++) {
        uint32_t *group = &merging->paths->group[level->nodes[i]];
        if (*group < merging->first || *group > merging->last)
            continue;
        const uint32_t into = merging->into[*group - merging->first];
        if (into)
            *group = into;
    }
}

void
mp_paths_merge(struct mp_paths *paths, const struct mp_path_level *level)
{
    struct merging merging = {.paths = paths, .first = level->first_group, .last = paths->count};
    assert(merging.first);
    if (paths->failed || merging.first > merging.last)
        return;
    const size_t size = ((size_t)merging.last - merging.first + 1) * sizeof *merging.into;
    merging.into = mp_mem_new(size);
    if (!merging.into) {
        paths->failed = true;
        return;
    }
    join_all(&merging);
    redirect(&merging, level);
    mp_mem_free(merging.into, size);
}
