/* profile_sections: the sections of a profile file, written from a snapshot and
 * read back into one. Format: PROFILE_FORMAT.md. The frame around them (magic,
 * table, checksums) and the file itself are profile_file's.
 */
#ifndef MP_PROFILE_SECTIONS_H
#define MP_PROFILE_SECTIONS_H

#include "base/bytes.h"
#include "analyse/snapshot.h"

/* The first ones, to MP_FACT, are in every profile. */
enum mp_section_tag {
    MP_TEXT, MP_NAME, MP_LOCA, MP_STAC, MP_ROWS, MP_FACT, MP_NOTE, MP_TIME, MP_LEAK,
    MP_TAGS
};

struct mp_section_layout {
    char tag[5];
    uint64_t record_size; /* the smallest: bounds the number of records by the size */
    /* Append the section; returns the number of records. */
    uint64_t (*write)(struct mp_writer *out, const struct mp_snapshot *snapshot);
};

extern const struct mp_section_layout mp_section_layout[MP_TAGS];

/* A section as found in a file; records * record_size is within the body. */
struct mp_section {
    struct mp_reader body;
    uint64_t records;
    bool found;
};

/* Make a snapshot of all sections (an array of MP_TAGS). MP_CORRUPT or MP_NO_MEMORY;
 * then *why is a phrase for the message. */
MP_WARN_UNUSED int mp_sections_read(struct mp_section *sections, struct mp_snapshot **snapshot,
                                    const char **why);

#endif
