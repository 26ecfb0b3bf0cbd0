#include "analyse/snapshot.h"

#include <assert.h>
#include <string.h>

#define FACT_NAME(name, meaning) #name,
#define FACT_OFFSET(name, meaning) offsetof(struct mp_facts, name),

const char mp_fact_names[MP_FACT_COUNT][MP_FACT_NAME_SIZE] = {MP_FACTS(FACT_NAME)};

int64_t *
mp_fact_value(struct mp_facts *facts, size_t index)
{
    assert(index < MP_FACT_COUNT);
    static const size_t offsets[MP_FACT_COUNT] = {MP_FACTS(FACT_OFFSET)};
    return (int64_t *)((char *)facts + offsets[index]);
}

struct mp_snapshot *
mp_snapshot_new(struct mp_symbols *symbols, size_t capacity)
{
    struct mp_snapshot *snapshot = mp_mem_new(sizeof *snapshot);
    if (snapshot) {
        snapshot->symbols = symbols;
        snapshot->capacity = capacity;
        snapshot->rows = mp_mem_new(capacity * sizeof *snapshot->rows);
        if (snapshot->rows)
            return snapshot;
        mp_mem_free(snapshot, sizeof *snapshot);
    }
    mp_symbols_release(symbols);
    return NULL;
}

void
mp_snapshot_free(struct mp_snapshot *snapshot)
{
    if (!snapshot)
        return;
    mp_symbols_release(snapshot->symbols);
    mp_series_clear(&snapshot->series);
    mp_explained_clear(&snapshot->explained);
    mp_mem_free(snapshot->rows, snapshot->capacity * sizeof *snapshot->rows);
    mp_mem_free(snapshot->note, snapshot->note_size);
    mp_mem_free(snapshot, sizeof *snapshot);
}

int
mp_snapshot_set_note(struct mp_snapshot *snapshot, const char *note, size_t size)
{
    char *copy = mp_mem_new(size);
    if (!copy)
        return MP_NO_MEMORY;
    memcpy(copy, note, size);
    mp_mem_free(snapshot->note, snapshot->note_size);
    snapshot->note = copy;
    snapshot->note_size = size;
    return MP_OK;
}

struct mp_snapshot *
mp_snapshot_select(const struct mp_snapshot *snapshot, const bool *keep)
{
    struct mp_snapshot *copy =
        mp_snapshot_new(mp_symbols_retain(snapshot->symbols), snapshot->count);
    if (!copy)
        return NULL;
    copy->facts = snapshot->facts;
    if (snapshot->note && mp_snapshot_set_note(copy, snapshot->note, snapshot->note_size)) {
        mp_snapshot_free(copy);
        return NULL;
    }
    assert(copy->capacity >= snapshot->count);
    for (size_t i = 0; i < snapshot->count; i++)
        if (keep[i])
            copy->rows[copy->count++] = snapshot->rows[i];
    return copy;
}

/* Differences of sums are signed: sums have 63 bits. */
static bool
counts_fit(const struct mp_counts *sum, const struct mp_counts *more)
{
    return more->bytes <= INT64_MAX - sum->bytes && more->blocks <= INT64_MAX - sum->blocks;
}

static bool
totals_fit(const struct mp_totals *sum, const struct mp_totals *more)
{
    return counts_fit(&sum->live, &more->live) && counts_fit(&sum->peak, &more->peak) &&
           counts_fit(&sum->total, &more->total);
}

bool
mp_snapshot_check(const struct mp_snapshot *snapshot, const char **why)
{
    struct mp_totals sum = {0};
    if (!mp_symbols_check(snapshot->symbols, why))
        return false;
    for (size_t i = 0; i < snapshot->count && !*why; i++)
        if (snapshot->rows[i].stack > snapshot->symbols->stacks)
            *why = "a row has a stack that does not exist";
        else if (snapshot->rows[i].kind >= MP_KINDS)
            *why = "a row has an unknown kind";
        else if (!totals_fit(&sum, &snapshot->rows[i].totals))
            *why = "the numbers of the rows are too large";
        else
            mp_totals_add(&sum, &snapshot->rows[i].totals);
    for (size_t c = 0; c < snapshot->series.count && !*why; c++) {
        const struct mp_checkpoint *checkpoint = &snapshot->series.checkpoints[c];
        for (size_t i = 0; i < checkpoint->count && !*why; i++)
            if (checkpoint->points[i].id > snapshot->symbols->stacks)
                *why = "a checkpoint has a stack that does not exist";
            else if (i && checkpoint->points[i].id <= checkpoint->points[i - 1].id)
                *why = "a checkpoint is not in order";
        if (c && checkpoint->time < snapshot->series.checkpoints[c - 1].time)
            *why = "the checkpoints are not in order";
    }
    return !*why && mp_explained_check(&snapshot->explained, snapshot->symbols->stacks, why);
}
