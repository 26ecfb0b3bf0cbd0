#include "base/table.h"

#include <string.h>

#include "base/debug.h"

/* A link leads to a record, by its id, or with CELL to a cell, by its index. The list ends with
 * a link to cell 0, with which it begins. A cell holds the link to what follows it; 0: it is not
 * in use. NEW: it may not be in the list yet, so that no search begins there. */
#define CELL 0x80000000u
#define NEW 0x40000000u
#define END CELL

enum {
    PIECE = 1,    /* records of a piece, on an average, when the cells are doubled */
    START = 4,    /* bits: with few cells in use a new one has another close in front of it */
    CROWD = 1000, /* records from which on their hashes are asked to be spread */
    RETRY = 1024, /* after so many records a table that lacked memory tries again */
};

/* ---- order and cells -------------------------------------------------------------------- */

/* The list is in the order of places: of records these are their hashes, made odd. When there
 * are 1 << bits cells, they stand in front of all places that are `y` in their first bits. With
 * each new bit as many new cells come in between, and have the numbers after all old ones. */
static uint32_t
cell_of(uint32_t y, unsigned bits)
{
    y |= 1u << bits;
    return y >> (__builtin_ctz(y) + 1);
}

static uint32_t
place_of(uint32_t cell)
{
    return cell ? (cell << 1 | 1) << __builtin_clz(cell) : 0;
}

static _Atomic uint32_t *
cell_at(const struct mp_table *table, uint32_t cell)
{
    const unsigned first = table->first_bits;
    if (cell >> first == 0)
        return &atomic_load_explicit(&table->segments[0], memory_order_relaxed)[cell];
    const unsigned top = 31 - (unsigned)__builtin_clz(cell);
    return &atomic_load_explicit(&table->segments[top - first + 1],
                                 memory_order_acquire)[cell - (1u << top)];
}

static size_t
segment_bytes(const struct mp_table *table, unsigned segment)
{
    return sizeof(uint32_t) << (table->first_bits + (segment ? segment - 1 : 0));
}

/* ---- life ----------------------------------------------------------------------------------- */

int
mp_table_init(struct mp_table *table, size_t record_size, unsigned bits,
              bool (*equal)(const void *record, const void *key))
{
    assert(record_size >= sizeof(struct mp_record));
    assert(record_size % _Alignof(struct mp_record) == 0);
    assert(bits > 0 && bits < 31 && equal);
    memset(table, 0, sizeof *table);
    table->record_size = record_size;
    table->first_bits = bits;
    table->equal = equal;
    atomic_init(&table->bits, bits < START ? bits : START);
    _Atomic uint32_t *cells = mp_mem_new_sparse(segment_bytes(table, 0));
    if (!cells)
        return MP_NO_MEMORY;
    atomic_init(&cells[0], END);
    atomic_init(&table->segments[0], cells);
    return MP_OK;
}

void
mp_table_destroy(struct mp_table *table)
{
    MP_CHECK_WHOLE(mp_table_check, table);
    for (unsigned i = 0; i < MP_TABLE_SEGMENTS; i++)
        mp_mem_free_sparse((void *)atomic_load(&table->segments[i]), segment_bytes(table, i));
    for (unsigned i = 0; i < MP_TABLE_CHUNKS; i++)
        mp_mem_free(atomic_load(&table->chunks[i]), MP_TABLE_CHUNK_RECORDS * table->record_size);
    memset(table, 0, sizeof *table);
}

static bool
reach_segment(struct mp_table *table, unsigned segment)
{
    assert(segment);
    if (segment >= MP_TABLE_SEGMENTS)
        return false;
    if (atomic_load_explicit(&table->segments[segment], memory_order_acquire))
        return true;
    _Atomic uint32_t *cells = mp_mem_new_sparse(segment_bytes(table, segment));
    _Atomic uint32_t *none = NULL;
    if (!cells)
        return false;
    if (!atomic_compare_exchange_strong(&table->segments[segment], &none, cells))
        mp_mem_free_sparse((void *)cells, segment_bytes(table, segment));
    return true;
}

/* Twice as many cells, once there are two records for each. Without memory their pieces get
 * longer, and now and then it is tried again. */
static void
grow(struct mp_table *table, uint32_t id)
{
    unsigned bits = atomic_load_explicit(&table->bits, memory_order_relaxed);
    if (MP_LIKELY(id >> bits < PIECE) || ((id & (id - 1)) && id % RETRY))
        return;
    while (id >> bits >= PIECE &&
           (bits < table->first_bits || reach_segment(table, bits - table->first_bits + 1)))
        if (atomic_compare_exchange_strong(&table->bits, &bits, bits + 1))
            bits++;
}

/* ---- search ---------------------------------------------------------------------------------- */

/* Go on from the gap's link to the gap. */
static void
advance(const struct mp_table *table, struct mp_table_gap *gap)
{
    const uint32_t place = gap->place, near = gap->near;
    const void *key = gap->key;
    _Atomic uint32_t *link = gap->link;
    uint32_t value, next, found = 0;

    for (;;) {
        value = atomic_load_explicit(link, memory_order_acquire);
        next = value & ~NEW;
        if (next & CELL) {
            next &= ~CELL;
            if (next < near || next == 0 || place_of(next) > place)
                break;
            link = cell_at(table, next);
            continue;
        }
        struct mp_record *record = mp_table_at(table, next);
        const uint32_t its = atomic_load_explicit(&record->hash, memory_order_relaxed);
        if (its > place)
            break;
        link = &record->next;
        if (its == place && key && table->equal(record, key)) {
            found = next;
            break;
        }
    }
    gap->link = link;
    gap->value = value;
    gap->found = found;
}

static bool
is_in_use(uint32_t value)
{
    return value && !(value & NEW);
}

/* The nearest cell in use in front of one that is not, or not yet (`y`, see cell_of). */
static _Atomic uint32_t *
cell_before(const struct mp_table *table, uint32_t y, unsigned bits)
{
    _Atomic uint32_t *link;
    do {
        y &= y - 1;
        link = cell_at(table, cell_of(y, bits));
    } while (y && !is_in_use(atomic_load_explicit(link, memory_order_acquire)));
    return link;
}

/* Take a cell into the list, unless another thread does. */
static void
use_cell(struct mp_table *table, uint32_t y, unsigned bits)
{
    const uint32_t cell = cell_of(y, bits);
    _Atomic uint32_t *link = cell_at(table, cell);
    uint32_t unused = 0;
    if (!atomic_compare_exchange_strong(link, &unused, NEW | END))
        return;
    struct mp_table_gap gap = {.place = place_of(cell), .link = cell_before(table, y, bits)};
    do {
        advance(table, &gap);
        atomic_store_explicit(link, gap.value | NEW, memory_order_relaxed);
    } while (!atomic_compare_exchange_strong(gap.link, &gap.value,
                                             CELL | cell | (gap.value & NEW)));
    atomic_fetch_and(link, ~NEW);
}

uint32_t
mp_table_search(struct mp_table *table, uint64_t hash, const void *key, struct mp_table_gap *gap)
{
    const unsigned bits = atomic_load_explicit(&table->bits, memory_order_acquire);
    gap->place = (uint32_t)hash | 1; /* not 0, which marks a hole, nor a cell's place */
    gap->key = key;
    gap->near = 1u << bits;
    const uint32_t y = gap->place >> (32 - bits);
    gap->link = cell_at(table, cell_of(y, bits));
    uint32_t value = atomic_load_explicit(gap->link, memory_order_acquire);
    if (MP_UNLIKELY(!value)) {
        use_cell(table, y, bits);
        value = atomic_load_explicit(gap->link, memory_order_acquire);
    }
    if (MP_UNLIKELY(!is_in_use(value))) {
        gap->link = cell_before(table, y, bits);
        gap->near = 0;
    }
    advance(table, gap);
    return gap->found;
}

uint32_t
mp_table_find(const struct mp_table *table, uint64_t hash, const void *key)
{
    struct mp_table_gap gap;
    return mp_table_search((struct mp_table *)table, hash, key, &gap);
}

/* ---- new records ---------------------------------------------------------------------------- */

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

/* Put a record in the gap, or where the gap has moved meanwhile; its id, or that of an equal
 * one which was there first. */
static uint32_t
put_in(struct mp_table *table, struct mp_table_gap *gap, uint32_t id)
{
    struct mp_record *record = mp_table_at(table, id);
    assert(atomic_load(&record->hash) == 0); /* nobody had this id before */
    for (;;) {
        atomic_store_explicit(&record->next, gap->value & ~NEW, memory_order_relaxed);
        atomic_store_explicit(&record->hash, gap->place, memory_order_release);
        if (atomic_compare_exchange_strong_explicit(gap->link, &gap->value,
                                                    id | (gap->value & NEW), memory_order_release,
                                                    memory_order_relaxed))
            return id;
        advance(table, gap);
        if (gap->found) {
            atomic_store_explicit(&record->hash, 0, memory_order_release);
            return gap->found;
        }
    }
}

uint32_t
mp_table_insert(struct mp_table *table, struct mp_table_gap *gap)
{
    const uint32_t id = take_id(table);
    if (!id)
        return 0;
    memcpy((struct mp_record *)mp_table_at(table, id) + 1, (const struct mp_record *)gap->key + 1,
           table->record_size - sizeof(struct mp_record));
    grow(table, id);
    return put_in(table, gap, id);
}

uint32_t
mp_table_intern(struct mp_table *table, uint64_t hash, const void *key)
{
    struct mp_table_gap gap;
    const uint32_t found = mp_table_search(table, hash, key, &gap);
    return found ? found : mp_table_insert(table, &gap);
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

/* ---- check ---------------------------------------------------------------------------------- */

static uint64_t
count_complete(const struct mp_table *table)
{
    uint64_t complete = 0;
    for (uint32_t id = 1; id <= mp_table_count(table); id++)
        complete += mp_table_peek(table, id) != NULL;
    return complete;
}

static uint64_t
count_used_cells(const struct mp_table *table)
{
    uint64_t used = 0;
    for (uint32_t cell = 1; cell >> atomic_load(&table->bits) == 0; cell++)
        used += atomic_load(cell_at(table, cell)) != 0;
    return used;
}

/* Is the link sound whose place must be above `last`, or the same for records? */
static const char *
fault_of(const struct mp_table *table, uint32_t link, uint32_t last)
{
    if (link & CELL) {
        if ((link & ~CELL) >> atomic_load(&table->bits))
            return "a link leads to a cell that does not exist";
        return place_of(link & ~CELL) > last ? NULL : "the list is out of order";
    }
    const struct mp_record *record = mp_table_peek(table, link);
    if (!record)
        return "the list leads to a hole";
    return atomic_load(&record->hash) >= last ? NULL : "the list is out of order";
}

struct mp_table_spread
mp_table_spread(const struct mp_table *table)
{
    struct mp_table_spread spread = {.cells = (uint64_t)1 << atomic_load(&table->bits)};
    uint64_t behind = 0;
    uint32_t link = atomic_load(cell_at(table, 0)) & ~NEW;

    while (link != END) {
        if (link & CELL) {
            behind = 0;
            link = atomic_load(cell_at(table, link & ~CELL)) & ~NEW;
            continue;
        }
        spread.records++;
        spread.steps += ++behind;
        if (behind > spread.longest)
            spread.longest = behind;
        link = atomic_load(&((struct mp_record *)mp_table_at(table, link))->next);
    }
    return spread;
}

/* Far more steps than good hashes need; few records may have been made so on purpose. */
static bool
is_crowded(struct mp_table_spread spread)
{
    return spread.records >= CROWD &&
           spread.steps / spread.records > 4 + 2 * spread.records / spread.cells;
}

bool
mp_table_check(const struct mp_table *table, const char **why)
{
    if (!atomic_load(&table->segments[0])) { /* never made, or destroyed */
        *why = mp_table_count(table) ? "there are records and no list" : NULL;
        return *why == NULL;
    }
    uint64_t records = 0, cells = 0;
    uint32_t last = 0;
    uint32_t link = atomic_load_explicit(cell_at(table, 0), memory_order_acquire);

    for (; link != END; link &= ~NEW) {
        *why = records > mp_table_count(table) ? "the list has a cycle"
                                               : fault_of(table, link, last);
        if (*why)
            return false;
        if (link & CELL) {
            cells++;
            last = place_of(link & ~CELL);
            link = atomic_load_explicit(cell_at(table, link & ~CELL), memory_order_acquire);
        } else {
            const struct mp_record *record = mp_table_at(table, link);
            records++;
            last = atomic_load(&record->hash);
            link = atomic_load_explicit(&record->next, memory_order_acquire);
        }
    }
    *why = records != count_complete(table)    ? "a record is not in the list"
           : cells > count_used_cells(table)   ? "a cell is in the list and not in use"
           : is_crowded(mp_table_spread(table)) ? "the hashes are badly spread"
                                               : NULL;
    return *why == NULL;
}
