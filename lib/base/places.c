#include "base/places.h"

#include "base/debug.h"

enum { FIRST = 64, CHUNK = MP_PLACES_WORDS * sizeof(uint32_t) };

static bool
grow(struct mp_places *places)
{
    struct mp_places larger = {.slots = places->slots ? places->slots * 2 : FIRST,
                               .count = places->count};
    larger.chunks = mp_mem_new(larger.slots * sizeof *larger.chunks);
    if (!larger.chunks)
        return false;
    for (size_t i = 0; i < places->slots; i++)
        if (places->chunks[i].words)
            *mp_places_chunk(&larger, places->chunks[i].region) = places->chunks[i];
    mp_mem_free(places->chunks, places->slots * sizeof *places->chunks);
    *places = larger;
    MP_CHECK_WHOLE(mp_places_check, places);
    return true;
}

static bool
add_chunk(struct mp_places *places, uintptr_t region)
{
    uint32_t *words = mp_mem_new(CHUNK);
    if (!words)
        return false;
    assert(places->count < places->slots / 2); /* so that a search ends */
    *mp_places_chunk(places, region) = (struct mp_places_chunk){region, words};
    places->count++;
    return true;
}

int
mp_places_set(struct mp_places *places, uintptr_t address, uint32_t number)
{
    const uintptr_t region = address >> MP_PLACES_SHIFT;
    assert(number != 0); /* which stands for none */
    if (places->count * 2 >= places->slots && !grow(places))
        return MP_NO_MEMORY;
    if (!mp_places_chunk(places, region)->words && !add_chunk(places, region))
        return MP_NO_MEMORY;
    mp_places_chunk(places, region)->words[address >> 4 & (MP_PLACES_WORDS - 1)] = number;
    return MP_OK;
}

void
mp_places_destroy(struct mp_places *places)
{
    MP_CHECK_WHOLE(mp_places_check, places);
    for (size_t i = 0; i < places->slots; i++)
        mp_mem_free(places->chunks[i].words, CHUNK);
    mp_mem_free(places->chunks, places->slots * sizeof *places->chunks);
    *places = (struct mp_places){0};
}

size_t
mp_places_memory(const struct mp_places *places)
{
    return places->count * CHUNK + places->slots * sizeof *places->chunks;
}

bool
mp_places_check(const struct mp_places *places, const char **why)
{
    size_t used = 0;
    *why = NULL;
    if (places->slots & (places->slots - 1) || !places->slots != !places->chunks)
        *why = "the number of slots is no power of two";
    else if (places->count * 2 > places->slots)
        *why = "more than half of the slots are used";
    for (size_t i = 0; i < places->slots && !*why; i++) {
        const struct mp_places_chunk *chunk = &places->chunks[i];
        used += chunk->words != NULL;
        if (chunk->words && mp_places_chunk(places, chunk->region) != chunk)
            *why = "a region is not found where it is, or is there twice";
    }
    if (!*why && used != places->count)
        *why = "the count of regions is wrong";
    return *why == NULL;
}
