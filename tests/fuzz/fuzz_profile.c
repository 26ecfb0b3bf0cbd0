/* Any bytes give a sound snapshot or an error, and analysis takes any sound snapshot.
 *
 * Random bytes never have the right checksums: the mutator repairs them, and mostly it
 * changes one section where it stands, so that what is behind the checksums is reached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "analyse/diff.h"
#include "analyse/growth.h"
#include "profile/profile_file.h"
#include "profile/profile_sections.h"

enum { HEADER = 16, ENTRY = 32, CRC = 4, OFFSET = 8, SIZE = 16 };

/* Also with NDEBUG. */
#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* ---- what must be true ---------------------------------------------------------------- */

/* All rows count in one group each, unless frames count on the whole stack. */
static void
group_all(const struct mp_snapshot *snapshot)
{
    struct mp_totals all = {0};
    for (size_t i = 0; i < snapshot->count; i++)
        mp_totals_add(&all, &snapshot->rows[i].totals);
    for (int way = 0; way < 7; way++) {
        const enum mp_group_by by = (enum mp_group_by)(way % 4);
        struct mp_groups groups;
        struct mp_totals sum = {0};
        MUST(mp_group(snapshot, by, way >= 4, &groups) == MP_OK);
        mp_groups_sort(&groups, snapshot->symbols, (enum mp_metric)(way % 3));
        for (size_t i = 0; i < groups.count; i++)
            mp_totals_add(&sum, &groups.rows[i].totals);
        MUST(way >= 4 || memcmp(&sum, &all, sizeof sum) == 0);
        mp_groups_free(&groups);
    }
}

static void
judge(const struct mp_snapshot *snapshot)
{
    struct mp_growths growths;
    MUST(mp_growth(snapshot, &growths) == MP_OK);
    for (size_t i = 0; i < growths.count; i++) {
        MUST(growths.rows[i].stack <= snapshot->symbols->stacks);
        MUST(growths.rows[i].verdict < MP_VERDICTS);
    }
    mp_growths_free(&growths);
}

/* Equal snapshots, grouped in one of the seven ways. */
static void
compare(const struct mp_snapshot *before, const struct mp_snapshot *after, size_t way)
{
    struct mp_diff diff;
    MUST(mp_diff(before, after, (enum mp_group_by)(way % 4), way >= 4, &diff) == MP_OK);
    mp_diff_sort(&diff, (enum mp_metric)(way % 3));
    for (size_t i = 0; i < diff.count; i++)
        MUST(memcmp(&diff.rows[i].before, &diff.rows[i].after, sizeof diff.rows[i].before) == 0);
    mp_diff_free(&diff);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t before = mp_mem_mapped();
    struct mp_snapshot *snapshot, *again;
    const char *why = NULL;
    const int status = mp_profile_parse(data, size, &snapshot, &why);
    if (status != MP_OK) {
        MUST(!snapshot && why && *why);
        MUST(status <= MP_FOREIGN && status >= MP_CORRUPT);
    } else {
        MUST(mp_snapshot_check(snapshot, &why));
        group_all(snapshot);
        judge(snapshot);
        for (size_t way = 0; way < 7; way++)
            compare(snapshot, snapshot, way);
        MUST(mp_profile_parse(data, size, &again, &why) == MP_OK);
        compare(snapshot, again, size % 7); /* by way of common symbols: slow */
        mp_snapshot_free(again);
    }
    mp_snapshot_free(snapshot);
    MUST(mp_mem_mapped() == before);
    return 0;
}

/* ---- mutation ----------------------------------------------------------------------------- */

static uint64_t
load(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* Where a section lies in the file; NULL for one outside. */
static uint8_t *
section(uint8_t *data, size_t size, size_t index, size_t *length)
{
    const size_t at = HEADER + ENTRY * index;
    if (size < at + ENTRY)
        return NULL;
    const uint64_t offset = load(data + at + OFFSET, 8), bytes = load(data + at + SIZE, 8);
    *length = (size_t)bytes;
    return offset <= size && bytes <= size - offset ? data + offset : NULL;
}

static void
repair(uint8_t *data, size_t size)
{
    const size_t count = size < HEADER ? 0 : (size_t)load(data + 12, 4);
    for (size_t i = 0, length; i < count && i < 64; i++) {
        const uint8_t *body = section(data, size, i, &length);
        const uint32_t crc = body ? mp_crc32(body, length) : 0;
        for (size_t k = 0; body && k < 4; k++)
            data[HEADER + ENTRY * i + CRC + k] = (uint8_t)(crc >> 8 * k);
    }
}

/* Change one integer or some bytes of a section where it stands. */
static void
mutate_section(uint8_t *data, size_t size, unsigned seed)
{
    size_t length;
    uint8_t *body = section(data, size, seed % MP_TAGS, &length);
    if (!body || !length)
        return;
    const size_t at = seed / MP_TAGS % length / 4 * 4, left = length - at;
    LLVMFuzzerMutate(body + at, left < 8 ? left : 8, left < 8 ? left : 8);
}

/* The offset, the size or the number of records of a section. */
static void
mutate_entry(uint8_t *data, size_t size, unsigned seed)
{
    const size_t at = HEADER + seed % MP_TAGS * ENTRY + OFFSET + seed / MP_TAGS % 3 * 8;
    if (size >= HEADER + MP_TAGS * ENTRY)
        LLVMFuzzerMutate(data + at, 8, 8);
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (seed % 4 == 0)
        size = LLVMFuzzerMutate(data, size, max_size);
    else if (seed % 4 == 1)
        mutate_entry(data, size, seed / 4);
    else
        mutate_section(data, size, seed / 4);
    if (seed / 4 % 64)
        repair(data, size);
    return size;
}
