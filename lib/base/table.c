#include "base/table.h"

#include <string.h>

#include "base/debug.h"

int
mp_table_init(struct mp_table *table, size_t record_size, unsigned bucket_bits,
              bool (*equal)(const void *record, const void *key))
{
    assert(record_size >= sizeof(struct mp_record));
    assert(record_size % _Alignof(struct mp_record) == 0);
    assert(bucket_bits > 0 && bucket_bits <= 32 && equal);
    memset(table, 0, sizeof *table);
    table->record_size = record_size;
    table->bucket_bits = bucket_bits;
    table->equal = equal;
    table->buckets = mp_mem_new_sparse(sizeof(uint32_t) << bucket_bits);
    return table->buckets ? MP_OK : MP_NO_MEMORY;
}

void
mp_table_destroy(struct mp_table *table)
{
    MP_CHECK_WHOLE(mp_table_check, table);
    mp_mem_free_sparse((void *)table->buckets, sizeof(uint32_t) << table->bucket_bits);
    for (unsigned i = 0; i < MP_TABLE_CHUNKS; i++) {
        char *chunk = atomic_load(&table->chunks[i]);
        mp_mem_free(chunk, MP_TABLE_CHUNK_RECORDS * table->record_size);
    }
    memset(table, 0, sizeof *table);
}

static _Atomic uint32_t *
bucket_of(const struct mp_table *table, uint64_t hash)
{
    return &table->buckets[hash >> (64 - table->bucket_bits)];
}

/* What is stored of a hash: never 0, which marks a hole. */
static uint32_t
stored_hash(uint64_t hash)
{
    return (uint32_t)hash | 1;
}

/* Search the chain from id `from` down to, not including, id `until`. */
static uint32_t
search(const struct mp_table *table, uint32_t from, uint32_t until, uint32_t hash, const void *key)
{
    for (uint32_t id = from; id != until;) {
        assert(id); /* a chain that is longer than it was still leads to where it led */
        const struct mp_record *record = mp_table_at(table, id);
        if (atomic_load_explicit(&record->hash, memory_order_relaxed) == hash &&
            table->equal(record, key))
            return id;
        id = atomic_load_explicit(&record->next, memory_order_relaxed);
    }
    return 0;
}

uint32_t
mp_table_find(const struct mp_table *table, uint64_t hash, const void *key)
{
    const uint32_t head = atomic_load_explicit(bucket_of(table, hash), memory_order_acquire);
    return search(table, head, 0, stored_hash(hash), key);
}

/* Take a new id and the memory for its record. */
static uint32_t
take_id(struct mp_table *table)
{
    if (atomic_load_explicit(&table->used, memory_order_relaxed) >= MP_TABLE_MAX)
        return 0;
    const uint32_t id = atomic_fetch_add(&table->used, 1) + 1;
    if (id > MP_TABLE_MAX)
        return 0;
    char *_Atomic *slot = &table->chunks[id / MP_TABLE_CHUNK_RECORDS];
    if (atomic_load(slot))
        return id;
    const size_t size = MP_TABLE_CHUNK_RECORDS * table->record_size;
    char *fresh = mp_mem_new(size);
    if (!fresh)
        return 0; /* the id stays a hole; the next one tries again */
    char *expected = NULL;
    if (!atomic_compare_exchange_strong(slot, &expected, fresh))
        mp_mem_free(fresh, size);
    return id;
}

uint32_t
mp_table_intern(struct mp_table *table, uint64_t hash, const void *key)
{
    _Atomic uint32_t *bucket = bucket_of(table, hash);
    uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);
    uint32_t found = search(table, head, 0, stored_hash(hash), key);
    if (found)
        return found;

    const uint32_t id = take_id(table);
    if (!id)
        return 0;
    struct mp_record *record = mp_table_at(table, id);
    assert(atomic_load(&record->hash) == 0); /* nobody had this id before */
    memcpy(record + 1, (const struct mp_record *)key + 1,
           table->record_size - sizeof(struct mp_record));
    for (;;) {
        const uint32_t seen = head;
        atomic_store_explicit(&record->next, head, memory_order_relaxed);
        atomic_store_explicit(&record->hash, stored_hash(hash), memory_order_release);
        if (atomic_compare_exchange_strong_explicit(bucket, &head, id, memory_order_release,
                                                    memory_order_acquire))
            return id;
        found = search(table, head, seen, stored_hash(hash), key);
        if (found) {
            atomic_store_explicit(&record->hash, 0, memory_order_release);
            return found;
        }
    }
}

const void *
mp_table_peek(const struct mp_table *table, uint32_t id)
{
    if (id == 0 || id > mp_table_count(table))
        return NULL;
    if (!atomic_load_explicit(&table->chunks[id / MP_TABLE_CHUNK_RECORDS], memory_order_acquire))
        return NULL;
    const struct mp_record *record = mp_table_at(table, id);
    return atomic_load_explicit(&record->hash, memory_order_acquire) ? record : NULL;
}

bool
mp_table_check(const struct mp_table *table, const char **why)
{
    if (!table->buckets) { /* never made, or destroyed */
        *why = mp_table_count(table) ? "there are records and no chains" : NULL;
        return *why == NULL;
    }
    const uint32_t count = mp_table_count(table);
    uint32_t chained = 0, complete = 0;

    for (uint32_t id = 1; id <= count; id++)
        complete += mp_table_peek(table, id) != NULL;
    for (uint64_t b = 0; b < (uint64_t)1 << table->bucket_bits; b++) {
        uint32_t id = atomic_load_explicit(&table->buckets[b], memory_order_acquire);
        while (id) {
            const struct mp_record *record = mp_table_peek(table, id);
            if (!record || ++chained > count) {
                *why = record ? "a chain has a cycle" : "a chain leads to a hole";
                return false;
            }
            id = atomic_load_explicit(&record->next, memory_order_relaxed);
        }
    }
    *why = chained == complete ? NULL : "a record is in no chain";
    return chained == complete;
}
