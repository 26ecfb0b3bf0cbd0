/* path_text: a path as text: app._sessions['by-id'] -> list[..] -> Session */
#ifndef MP_PATH_TEXT_H
#define MP_PATH_TEXT_H

#include "graph/path_groups.h"

/* The path of a group as UTF-8, not terminated, cut where `out` is full (perhaps within a
 * character); its length, less than `size`. With `types` the type of the first container is told
 * too. */
struct mp_group_path {
    const struct mp_paths *paths;
    uint32_t group; /* 0: none, which has no text */
    bool types;
};
size_t mp_path_text(const struct mp_group_path *path, char *out, size_t size);

/* A word for what holds it in the end: "module", "class", "frame" ... */
const char *mp_path_root(const struct mp_paths *paths, uint32_t group);

#endif
