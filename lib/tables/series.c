#include "tables/series.h"

#include <assert.h>
#include <string.h>

void
mp_checkpoint_free(struct mp_checkpoint *checkpoint)
{
    assert(checkpoint->count <= checkpoint->capacity);
    mp_mem_free(checkpoint->points, checkpoint->capacity * sizeof *checkpoint->points);
    memset(checkpoint, 0, sizeof *checkpoint);
}

/* Keep the checkpoints 0, 2, 4 ... */
static void
thin_out(struct mp_series *series)
{
    size_t kept = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (i % 2 == 0)
            series->checkpoints[kept++] = series->checkpoints[i];
        else
            mp_checkpoint_free(&series->checkpoints[i]);
    }
    assert(kept >= MP_CHECKPOINTS / 2);
    series->count = kept;
    series->thinned++;
}

void
mp_series_add(struct mp_series *series, const struct mp_checkpoint *checkpoint)
{
    if (series->count == MP_CHECKPOINTS)
        thin_out(series);
    assert(checkpoint->count <= checkpoint->capacity);
    series->checkpoints[series->count++] = *checkpoint;
}

void
mp_series_clear(struct mp_series *series)
{
    for (size_t i = 0; i < series->count; i++)
        mp_checkpoint_free(&series->checkpoints[i]);
    memset(series, 0, sizeof *series);
}

int
mp_series_copy(const struct mp_series *series, struct mp_series *copy)
{
    assert(series != copy && series->count <= MP_CHECKPOINTS);
    memset(copy, 0, sizeof *copy);
    copy->thinned = series->thinned;
    for (size_t i = 0; i < series->count; i++) {
        struct mp_checkpoint checkpoint = series->checkpoints[i];
        const size_t size = checkpoint.count * sizeof *checkpoint.points;
        checkpoint.points = mp_mem_new(size);
        checkpoint.capacity = checkpoint.count;
        if (!checkpoint.points) {
            mp_series_clear(copy);
            return MP_NO_MEMORY;
        }
        memcpy(checkpoint.points, series->checkpoints[i].points, size);
        copy->checkpoints[copy->count++] = checkpoint;
    }
    return MP_OK;
}

static const char *
why_broken(const struct mp_checkpoint *checkpoint)
{
    if (checkpoint->count > checkpoint->capacity || (checkpoint->capacity && !checkpoint->points))
        return "a checkpoint has more points than room for them";
    for (size_t i = 1; i < checkpoint->count; i++)
        if (checkpoint->points[i - 1].id >= checkpoint->points[i].id)
            return "points of a checkpoint are not in order";
    return NULL;
}

bool
mp_series_check(const struct mp_series *series, const char **why)
{
    *why = series->count > MP_CHECKPOINTS ? "there are more checkpoints than room for them" : NULL;
    for (size_t i = 0; i < series->count && !*why; i++) {
        *why = why_broken(&series->checkpoints[i]);
        if (i && series->checkpoints[i - 1].time > series->checkpoints[i].time)
            *why = "a checkpoint is earlier than the one before";
    }
    return *why == NULL;
}

struct mp_point
mp_checkpoint_find(const struct mp_checkpoint *checkpoint, uint32_t id)
{
    size_t low = 0, high = checkpoint->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (checkpoint->points[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < checkpoint->count && checkpoint->points[low].id == id)
        return checkpoint->points[low];
    return (struct mp_point){.id = id};
}
