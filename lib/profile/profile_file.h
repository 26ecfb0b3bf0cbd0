/* profile_file: a snapshot as one file, and back. Format: PROFILE_FORMAT.md.
 *
 * Writing is atomic: a temporary file beside the target, renamed at the end, so a
 * reader always sees the old or the new one whole. Reading trusts nothing: any
 * bytes give a valid snapshot or an error, never a crash.
 */
#ifndef MP_PROFILE_FILE_H
#define MP_PROFILE_FILE_H

#include "analyse/snapshot.h"

#define MP_PROFILE_MAGIC "memprof\n"
#define MP_PROFILE_VERSION 1u

/* MP_SYSTEM: errno says what; MP_NO_MEMORY. The file at `path` is then as it was. */
MP_WARN_UNUSED int mp_profile_write(const struct mp_snapshot *snapshot, const char *path);

/* MP_SYSTEM, MP_NO_MEMORY, or MP_FOREIGN, MP_NEWER, MP_TRUNCATED, MP_CORRUPT; then
 * *why is a phrase for the message (a constant, never NULL). */
MP_WARN_UNUSED int mp_profile_read(const char *path, struct mp_snapshot **snapshot,
                                   const char **why);

/* The same from memory: what the fuzzer calls. */
MP_WARN_UNUSED int mp_profile_parse(const void *data, size_t size, struct mp_snapshot **snapshot,
                                    const char **why);

#endif
