/* table: a set of fixed-size records with dense ids, insert-only and lock-free.
 *
 * The symbol tables of the tracer (names, locations, call stacks, sites) are
 * all tables. Ids start at 1; 0 means "none" and is what a full table or a
 * lack of memory returns. Records never move and never change.
 *
 * Invariant: every record that can be reached from a bucket is complete, and
 * whatever it refers to by id was complete before it.
 *
 * Thread rule: intern, find and at may be called from any thread at any time.
 * destroy needs the table to itself.
 */
#ifndef MP_TABLE_H
#define MP_TABLE_H

#include "base/debug.h"
#include "base/mem.h"

#define MP_TABLE_CHUNK_RECORDS 4096u
#define MP_TABLE_CHUNKS 1024u
#define MP_TABLE_MAX (MP_TABLE_CHUNK_RECORDS * MP_TABLE_CHUNKS - 1)

/* First member of each record type. A record whose `hash` is 0 is a hole: its
 * id was taken but never used (two threads inserted the same at once). */
struct mp_record {
    _Atomic uint32_t next;
    _Atomic uint32_t hash;
};

struct mp_table {
    size_t record_size;
    unsigned bucket_bits;
    bool (*equal)(const void *record, const void *key);
    _Atomic uint32_t *buckets;
    _Atomic uint32_t used;   /* ids handed out */
    char *_Atomic chunks[MP_TABLE_CHUNKS];
};

/* `key` is a record of the caller with everything but its mp_record filled in;
 * `equal` compares a stored record with it. */
MP_WARN_UNUSED int mp_table_init(struct mp_table *table, size_t record_size, unsigned bucket_bits,
                                 bool (*equal)(const void *record, const void *key));
void mp_table_destroy(struct mp_table *table);

/* The id of the record equal to `key`, 0 when there is none. */
uint32_t mp_table_find(const struct mp_table *table, uint64_t hash, const void *key);

/* The same, inserting a copy of `key` when there is none; 0 when full or out of memory. */
uint32_t mp_table_intern(struct mp_table *table, uint64_t hash, const void *key);

/* Highest id handed out. */
static inline uint32_t
mp_table_count(const struct mp_table *table)
{
    const uint32_t used = atomic_load_explicit(&table->used, memory_order_acquire);
    return used < MP_TABLE_MAX ? used : MP_TABLE_MAX;
}

/* The record of an id that intern or find returned. */
static inline void *
mp_table_at(const struct mp_table *table, uint32_t id)
{
    char *chunk = atomic_load_explicit(&table->chunks[id / MP_TABLE_CHUNK_RECORDS],
                                       memory_order_relaxed);
    assert(id && id <= mp_table_count(table) && chunk);
    return chunk + (size_t)(id % MP_TABLE_CHUNK_RECORDS) * table->record_size;
}

/* The record of any id up to the count, or NULL for a hole. */
const void *mp_table_peek(const struct mp_table *table, uint32_t id);

/* True when every chain is sound; otherwise *why says what is broken. While nobody inserts. */
bool mp_table_check(const struct mp_table *table, const char **why);

/* A good 64-bit mix of two words, for keys made of integers. */
static inline uint64_t
mp_hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

#endif
