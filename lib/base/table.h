/* table: a set of fixed-size records with dense ids, insert-only and lock-free.
 *
 * The symbol tables of the tracer (names, locations, call stacks, sites) are
 * all tables. Ids start at 1; 0 means "none" and is what a full table or a
 * lack of memory returns. Records never move and never change.
 *
 * All records are in one list, in the order of their hashes; cells cut it in pieces of
 * one or two records. The number of cells doubles as the table fills: nothing is moved,
 * for a new cell only halves the piece of an old one (split-ordered lists: Shalev and
 * Shavit, Journal of the ACM 53.3, 2006; the order is that of the hashes and the cells
 * are numbered level by level, where theirs is that of reversed bits). So a new record
 * costs the same in a small table and in a large one.
 *
 * Invariant: every record that can be reached from a cell is complete, and
 * whatever it refers to by id was complete before it.
 *
 * Thread rule: intern, find (which may take a cell into use) and at may be called from any
 * thread at any time. destroy needs the table to itself.
 */
#ifndef MP_TABLE_H
#define MP_TABLE_H

#include "base/debug.h"
#include "base/mem.h"

#define MP_TABLE_CHUNK_RECORDS 16384u
#define MP_TABLE_CHUNKS 1024u
#define MP_TABLE_MAX (MP_TABLE_CHUNK_RECORDS * MP_TABLE_CHUNKS - 1)
#define MP_TABLE_SEGMENTS 25u

/* First member of each record type. A record whose `hash` is 0 is a hole: its
 * id was taken but never used (two threads inserted the same at once). */
struct mp_record {
    _Atomic uint32_t next;
    _Atomic uint32_t hash;
};

struct mp_table {
    size_t record_size;
    bool (*equal)(const void *record, const void *key);
    unsigned first_bits;     /* segment 0 has 1 << first_bits cells, the next as many, then twice */
    _Atomic unsigned bits;   /* 1 << bits cells are in use */
    _Atomic uint32_t used;   /* ids handed out */
    _Atomic uint32_t *_Atomic segments[MP_TABLE_SEGMENTS];
    char *_Atomic chunks[MP_TABLE_CHUNKS];
};

/* How well the hashes spread the records. */
struct mp_table_spread {
    uint64_t records, cells;
    uint64_t steps;   /* to find each record once, from its cell */
    uint64_t longest; /* records behind one cell */
};

/* `key` is a record of the caller with everything but its mp_record filled in;
 * `equal` compares a stored record with it. `bits`: there is memory for 1 << bits cells at once. */
MP_WARN_UNUSED int mp_table_init(struct mp_table *table, size_t record_size, unsigned bits,
                                 bool (*equal)(const void *record, const void *key));
void mp_table_destroy(struct mp_table *table);

/* The id of the record equal to `key`, 0 when there is none. */
uint32_t mp_table_find(const struct mp_table *table, uint64_t hash, const void *key);

/* The same, inserting a copy of `key` when there is none; 0 when full or out of memory. */
uint32_t mp_table_intern(struct mp_table *table, uint64_t hash, const void *key);

/* The two halves of intern, for who has something to make ready in between. A gap is the place
 * between two neighbours of the list where the key belongs; its members are the table's. */
struct mp_table_gap {
    uint32_t place;
    uint32_t near;          /* cells below this one are known to lie behind the gap */
    const void *key;        /* to be valid until the insertion is done */
    _Atomic uint32_t *link; /* from the neighbour in front */
    uint32_t value;         /* of the link, as it was read */
    uint32_t found;         /* the neighbour in front, when it is equal to the key; else 0 */
};

uint32_t mp_table_search(struct mp_table *table, uint64_t hash, const void *key,
                         struct mp_table_gap *gap);
uint32_t mp_table_insert(struct mp_table *table, struct mp_table_gap *gap);

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

/* True when the list is sound; otherwise *why says what is broken. While nobody inserts. */
bool mp_table_check(const struct mp_table *table, const char **why);

/* Of a sound table at rest. */
struct mp_table_spread mp_table_spread(const struct mp_table *table);

__extension__ typedef unsigned __int128 mp_wide;

/* Mix two words, or a word into a hash: both halves of a 128-bit product, folded (the step of
 * wyhash, and what foldhash does with pairs of words). */
static inline uint64_t
mp_hash_mix(uint64_t hash, uint64_t word)
{
    const mp_wide product = (mp_wide)(hash ^ 0xa0761d6478bd642fu) * (word ^ 0xe7037ed1a0b428dbu);
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

#endif
