#include "profile/profile_sections.h"

#include <assert.h>
#include <string.h>

static const char no_memory[] = "there is not enough memory for it";

/* ==== sections: how each is written ==================================================== */

static uint64_t
write_text(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    mp_writer_add(out, snapshot->symbols->text, snapshot->symbols->text_size);
    return snapshot->symbols->text_size;
}

static uint64_t
write_names(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    const struct mp_symbols *symbols = snapshot->symbols;
    for (uint32_t id = 1; id <= symbols->names; id++)
        mp_writer_u32(out, (uint32_t)mp_symbols_name(symbols, id).length);
    return symbols->names;
}

static uint64_t
write_locations(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    const struct mp_symbols *symbols = snapshot->symbols;
    for (uint32_t id = 1; id <= symbols->locations; id++) {
        mp_writer_u32(out, symbols->location[id].file);
        mp_writer_u32(out, symbols->location[id].function);
        mp_writer_u32(out, symbols->location[id].first_line);
        mp_writer_u32(out, symbols->location[id].line);
    }
    return symbols->locations;
}

static uint64_t
write_stacks(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    const struct mp_symbols *symbols = snapshot->symbols;
    for (uint32_t id = 1; id <= symbols->stacks; id++) {
        mp_writer_u32(out, symbols->stack[id].parent);
        mp_writer_u32(out, symbols->stack[id].location);
    }
    return symbols->stacks;
}

static void
write_counts(struct mp_writer *out, const struct mp_counts *counts)
{
    mp_writer_u64(out, counts->bytes);
    mp_writer_u64(out, counts->blocks);
}

static uint64_t
write_rows(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mp_row *row = &snapshot->rows[i];
        assert(row->stack <= snapshot->symbols->stacks && row->kind < MP_KINDS);
        mp_writer_u32(out, row->stack);
        mp_writer_u32(out, row->domain);
        mp_writer_u32(out, row->kind);
        mp_writer_u32(out, 0);
        write_counts(out, &row->totals.live);
        write_counts(out, &row->totals.peak);
        write_counts(out, &row->totals.total);
    }
    return snapshot->count;
}

static uint64_t
write_facts(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    struct mp_facts values = snapshot->facts;
    for (size_t i = 0; i < MP_FACT_COUNT; i++) {
        mp_writer_add(out, mp_fact_names[i], MP_FACT_NAME_SIZE);
        mp_writer_u64(out, (uint64_t)*mp_fact_value(&values, i));
    }
    return MP_FACT_COUNT;
}

static uint64_t
write_note(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    mp_writer_add(out, snapshot->note, snapshot->note_size);
    return snapshot->note_size;
}

static uint64_t
write_series(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    for (size_t c = 0; c < snapshot->series.count; c++) {
        const struct mp_checkpoint *checkpoint = &snapshot->series.checkpoints[c];
        mp_writer_u64(out, checkpoint->time);
        mp_writer_u64(out, (uint64_t)checkpoint->traced);
        mp_writer_u64(out, (uint64_t)checkpoint->rss);
        mp_writer_u64(out, checkpoint->count);
        for (size_t i = 0; i < checkpoint->count; i++) {
            mp_writer_u32(out, checkpoint->points[i].id);
            mp_writer_u32(out, checkpoint->points[i].blocks);
            mp_writer_u64(out, checkpoint->points[i].bytes);
        }
    }
    return snapshot->series.count;
}

static void
write_text_of(struct mp_writer *out, const struct mp_explained *explained,
              struct mp_explained_text text)
{
    mp_writer_u32(out, text.length);
    mp_writer_add(out, explained->text + text.at, text.length);
}

static void
write_parts_of_leak(struct mp_writer *out, const struct mp_explained *explained,
                    const struct mp_explained_leak *leak)
{
    assert(leak->type + leak->types <= explained->type_count);
    assert(leak->holder + leak->holders <= explained->holder_count);
    for (size_t i = leak->type; i < leak->type + leak->types; i++) {
        mp_writer_u64(out, explained->types[i].objects);
        write_text_of(out, explained, explained->types[i].name);
    }
    for (size_t i = leak->holder; i < leak->holder + leak->holders; i++) {
        const struct mp_explained_holder *holder = &explained->holders[i];
        mp_writer_u64(out, holder->objects);
        write_text_of(out, explained, holder->path);
        write_text_of(out, explained, holder->detail);
        write_text_of(out, explained, holder->root);
    }
}

/* Nothing at all where no leak was explained. */
static uint64_t
write_leaks(struct mp_writer *out, const struct mp_snapshot *snapshot)
{
    const struct mp_explained *explained = &snapshot->explained;
    if (explained->count)
        mp_writer_u64(out, explained->unfollowed);
    for (size_t i = 0; i < explained->count; i++) {
        const struct mp_explained_leak *leak = &explained->leaks[i];
        mp_writer_u32(out, leak->stack);
        mp_writer_u32(out, leak->above);
        mp_writer_u64(out, leak->objects);
        mp_writer_u64(out, leak->owners);
        mp_writer_u64(out, leak->retained);
        mp_writer_u32(out, (uint32_t)leak->types);
        mp_writer_u32(out, (uint32_t)leak->holders);
        write_parts_of_leak(out, explained, leak);
    }
    return explained->count;
}

/* ==== sections: how each is read ======================================================== */

const struct mp_section_layout mp_section_layout[MP_TAGS] = {
    [MP_TEXT] = {"TEXT", 1, write_text},       [MP_NAME] = {"NAME", 4, write_names},
    [MP_LOCA] = {"LOCA", 16, write_locations}, [MP_STAC] = {"STAC", 8, write_stacks},
    [MP_ROWS] = {"ROWS", 64, write_rows},      [MP_FACT] = {"FACT", 32, write_facts},
    [MP_NOTE] = {"NOTE", 1, write_note},       [MP_TIME] = {"TIME", 32, write_series},
    [MP_LEAK] = {"LEAK", 40, write_leaks},
};

static struct mp_symbols *
read_symbols(struct mp_section *sections)
{
    struct mp_symbols *symbols = mp_symbols_new(
        (uint32_t)sections[MP_NAME].records, (uint32_t)sections[MP_LOCA].records,
        (uint32_t)sections[MP_STAC].records, (size_t)sections[MP_TEXT].records);
    if (!symbols)
        return NULL;
    if (symbols->text_size)
        memcpy(symbols->text, mp_reader_take(&sections[MP_TEXT].body, symbols->text_size),
               symbols->text_size);
    uint64_t at = 0;
    assert(symbols->names == sections[MP_NAME].records);
    for (uint32_t id = 1; id <= symbols->names; id++) {
        symbols->name_at[id] = at;
        at += mp_reader_u32(&sections[MP_NAME].body);
    }
    symbols->name_at[symbols->names + 1] = at;
    for (uint32_t id = 1; id <= symbols->locations; id++) {
        struct mp_reader *in = &sections[MP_LOCA].body;
        struct mp_symbol_location *location = &symbols->location[id];
        location->file = mp_reader_u32(in);
        location->function = mp_reader_u32(in);
        location->first_line = mp_reader_u32(in);
        location->line = mp_reader_u32(in);
    }
    for (uint32_t id = 1; id <= symbols->stacks; id++) {
        symbols->stack[id].parent = mp_reader_u32(&sections[MP_STAC].body);
        symbols->stack[id].location = mp_reader_u32(&sections[MP_STAC].body);
    }
    for (int i = MP_TEXT; i <= MP_STAC; i++)
        assert(!sections[i].body.failed); /* read_entry() has compared sizes and numbers */
    return symbols;
}

static void
read_counts(struct mp_reader *in, struct mp_counts *counts)
{
    counts->bytes = mp_reader_u64(in);
    counts->blocks = mp_reader_u64(in);
}

static void
read_rows(struct mp_section *section, struct mp_snapshot *snapshot)
{
    struct mp_reader *in = &section->body;
    for (; snapshot->count < snapshot->capacity; snapshot->count++) {
        struct mp_row *row = &snapshot->rows[snapshot->count];
        row->stack = mp_reader_u32(in);
        row->domain = mp_reader_u32(in);
        row->kind = mp_reader_u32(in);
        mp_reader_u32(in);
        read_counts(in, &row->totals.live);
        read_counts(in, &row->totals.peak);
        read_counts(in, &row->totals.total);
    }
    assert(!in->failed && snapshot->count == section->records);
}

static void
read_facts(struct mp_section *section, struct mp_facts *values)
{
    for (size_t i = 0; i < MP_FACT_COUNT; i++)
        *mp_fact_value(values, i) = -1;
    for (uint64_t r = 0; r < section->records; r++) {
        const unsigned char *name = mp_reader_take(&section->body, MP_FACT_NAME_SIZE);
        const int64_t value = (int64_t)mp_reader_u64(&section->body);
        for (size_t i = 0; name && i < MP_FACT_COUNT; i++)
            if (memcmp(name, mp_fact_names[i], MP_FACT_NAME_SIZE) == 0)
                *mp_fact_value(values, i) = value;
    }
}

static int
read_checkpoint(struct mp_reader *in, struct mp_checkpoint *checkpoint)
{
    checkpoint->time = mp_reader_u64(in);
    checkpoint->traced = (int64_t)mp_reader_u64(in);
    checkpoint->rss = (int64_t)mp_reader_u64(in);
    const uint64_t count = mp_reader_u64(in);
    if (in->failed || count > mp_reader_left(in) / sizeof *checkpoint->points)
        return MP_CORRUPT;
    checkpoint->count = checkpoint->capacity = (size_t)count;
    checkpoint->points = mp_mem_new(checkpoint->count * sizeof *checkpoint->points);
    if (!checkpoint->points)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < checkpoint->count; i++) {
        checkpoint->points[i].id = mp_reader_u32(in);
        checkpoint->points[i].blocks = mp_reader_u32(in);
        checkpoint->points[i].bytes = mp_reader_u64(in);
    }
    return MP_OK;
}

static int
read_series(struct mp_section *section, struct mp_series *series)
{
    if (section->records > MP_CHECKPOINTS)
        return MP_CORRUPT;
    for (uint64_t i = 0; i < section->records; i++) {
        struct mp_checkpoint checkpoint = {0};
        const int status = read_checkpoint(&section->body, &checkpoint);
        if (status != MP_OK)
            return status;
        mp_series_add(series, &checkpoint);
    }
    return MP_OK;
}

/* The smallest parts of a leak: a type with an empty name, a holder with empty texts. */
enum { TYPE_SIZE = 12, HOLDER_SIZE = 20 };

static struct mp_text
read_text(struct mp_reader *in)
{
    const uint32_t length = mp_reader_u32(in);
    const char *at = (const char *)mp_reader_take(in, length);
    return (struct mp_text){at, at ? length : 0};
}

static int
read_type(struct mp_reader *in, struct mp_explained *explained)
{
    const uint64_t objects = mp_reader_u64(in);
    return mp_explained_add_type(explained, objects, read_text(in));
}

static int
read_holder(struct mp_reader *in, struct mp_explained *explained)
{
    const uint64_t objects = mp_reader_u64(in);
    struct mp_text texts[3];
    for (int i = 0; i < 3; i++)
        texts[i] = read_text(in);
    return mp_explained_add_holder(explained, objects, texts);
}

static int
read_leak(struct mp_reader *in, struct mp_explained *explained)
{
    struct mp_explained_leak leak = {0};
    leak.stack = mp_reader_u32(in);
    leak.above = mp_reader_u32(in);
    leak.objects = mp_reader_u64(in);
    leak.owners = mp_reader_u64(in);
    leak.retained = mp_reader_u64(in);
    const uint32_t types = mp_reader_u32(in), holders = mp_reader_u32(in);
    if (in->failed || types > mp_reader_left(in) / TYPE_SIZE ||
        holders > mp_reader_left(in) / HOLDER_SIZE)
        return MP_CORRUPT;
    int status = mp_explained_add(explained, &leak);
    for (uint32_t i = 0; i < types && status == MP_OK; i++)
        status = read_type(in, explained);
    for (uint32_t i = 0; i < holders && status == MP_OK; i++)
        status = read_holder(in, explained);
    return status == MP_OK && in->failed ? MP_CORRUPT : status;
}

static int
read_leaks(struct mp_section *section, struct mp_explained *explained)
{
    int status = MP_OK;
    if (section->records)
        explained->unfollowed = mp_reader_u64(&section->body);
    for (uint64_t i = 0; i < section->records && status == MP_OK; i++)
        status = read_leak(&section->body, explained);
    return status;
}

/* Fill a new snapshot from the sections. */
static int
read_body(struct mp_section *sections, struct mp_snapshot *snapshot, const char **why)
{
    const size_t note_size = (size_t)sections[MP_NOTE].records;
    read_rows(&sections[MP_ROWS], snapshot);
    read_facts(&sections[MP_FACT], &snapshot->facts);
    int status = read_series(&sections[MP_TIME], &snapshot->series);
    if (status == MP_OK)
        status = read_leaks(&sections[MP_LEAK], &snapshot->explained);
    if (status == MP_OK && note_size)
        status = mp_snapshot_set_note(
            snapshot, (const char *)mp_reader_take(&sections[MP_NOTE].body, note_size), note_size);
    for (int i = 0; i < MP_TAGS && status == MP_OK; i++)
        if (sections[i].body.failed)
            status = MP_CORRUPT;
    if (status != MP_OK) {
        *why = status == MP_NO_MEMORY ? no_memory : "a section is damaged";
        return status;
    }
    return mp_snapshot_check(snapshot, why) ? MP_OK : MP_CORRUPT;
}

int
mp_sections_read(struct mp_section *sections, struct mp_snapshot **snapshot, const char **why)
{
    for (int i = 0; i < MP_TAGS; i++)
        assert(sections[i].records <=
               mp_reader_left(&sections[i].body) / mp_section_layout[i].record_size);
    struct mp_symbols *symbols = read_symbols(sections);
    struct mp_snapshot *made =
        symbols ? mp_snapshot_new(symbols, (size_t)sections[MP_ROWS].records) : NULL;
    if (!made) {
        *why = no_memory;
        return MP_NO_MEMORY;
    }
    const int status = read_body(sections, made, why);
    if (status == MP_OK)
        *snapshot = made;
    else
        mp_snapshot_free(made);
    return status;
}
