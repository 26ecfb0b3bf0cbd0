#define _GNU_SOURCE
#include "test.h"

#include "make_snapshot.h"
#include "profile/profile_sections.h"

/* ---- sections in memory -------------------------------------------------------------------- */

/* All sections of a snapshot, each in memory of its own. */
struct written {
    struct mp_section sections[MP_TAGS];
    unsigned char *data[MP_TAGS];
    size_t size[MP_TAGS];
};

static void
put_section(struct written *written, enum mp_section_tag tag, const void *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1); /* a sanitizer sees one too many */
    assert_non_null(copy);
    if (size)
        memcpy(copy, data, size);
    free(written->data[tag]);
    written->data[tag] = copy;
    written->size[tag] = size;
}

static struct written
write_all(const struct mp_snapshot *snapshot)
{
    struct written written = {0};
    for (enum mp_section_tag tag = 0; tag < MP_TAGS; tag++) {
        struct mp_writer out = {0};
        written.sections[tag].records = mp_section_layout[tag].write(&out, snapshot);
        written.sections[tag].found = true;
        assert_false(out.failed);
        put_section(&written, tag, out.data, out.size);
        mp_writer_free(&out);
    }
    return written;
}

static void
free_all(struct written *written)
{
    for (enum mp_section_tag tag = 0; tag < MP_TAGS; tag++)
        free(written->data[tag]);
}

static int
read_all(struct written *written, struct mp_snapshot **snapshot, const char **why)
{
    for (enum mp_section_tag tag = 0; tag < MP_TAGS; tag++) {
        struct mp_section *section = &written->sections[tag];
        const unsigned char *data = written->data[tag];
        section->body.at = data;
        section->body.end = data + written->size[tag];
        section->body.failed = false;
    }
    *why = NULL;
    return mp_sections_read(written->sections, snapshot, why);
}

/* MP_OK with a sound snapshot, or a status with a reason, which is left in `said`. */
static const char *said;

static int
status_of(struct written *written)
{
    struct mp_snapshot *snapshot = NULL;
    const char *broken;
    const int status = read_all(written, &snapshot, &said);
    if (status == MP_OK)
        assert_true(mp_snapshot_check(snapshot, &broken));
    else
        assert_true(status == MP_CORRUPT && said && *said && !snapshot);
    mp_snapshot_free(snapshot);
    return status;
}

/* What comes of it when an integer of a section is another one. */
static int
status_with(struct written *written, enum mp_section_tag tag, size_t at, uint32_t value)
{
    unsigned char before[4], *place = written->data[tag] + at;
    assert_true(at + 4 <= written->size[tag]);
    memcpy(before, place, 4);
    for (int i = 0; i < 4; i++)
        place[i] = (unsigned char)(value >> 8 * i);
    const int status = status_of(written);
    memcpy(place, before, 4);
    return status;
}

static struct mp_snapshot *
make_one(void)
{
    struct maker *maker = make_begin();
    const uint32_t one = STACK(maker, {"a.py", "f", 1, 2});
    make_row(maker, make_frame(maker, one, &(struct frame){"b.py", "g", 3, 4}, MP_FOLDED), 50, 5);
    make_row(maker, one, 7, 1);
    make_checkpoint(&maker->series, 10, (struct mp_point[]){{1, 1, 7}, {2, 5, 50}}, 2);
    make_checkpoint(&maker->series, 20, NULL, 0);
    struct mp_snapshot *snapshot = make_end(maker);
    assert_int_equal(mp_snapshot_set_note(snapshot, "a=b\n", 4), MP_OK);
    return snapshot;
}

static struct written
write_one(void)
{
    struct mp_snapshot *snapshot = make_one();
    struct written written = write_all(snapshot);
    mp_snapshot_free(snapshot);
    return written;
}

/* ---- what is written ----------------------------------------------------------------------- */

static void
assert_comes_back(struct mp_snapshot *snapshot)
{
    struct mp_snapshot *back;
    struct written written = write_all(snapshot);
    assert_int_equal(read_all(&written, &back, &said), MP_OK);
    assert_same_snapshot(snapshot, back);
    mp_snapshot_free(back);
    mp_snapshot_free(snapshot);
    free_all(&written);
}

static void
what_is_written_is_read(void **state)
{
    (void)state;
    assert_comes_back(make_end(make_begin()));
    assert_comes_back(make_one());
    assert_comes_back(make_version1());
    for (uint32_t size = 1; size < 100; size += 7)
        assert_comes_back(make_random(size, size % 5));
}

static void
bytes_are_those_of_the_format(void **state)
{
    (void)state;
    struct written it = write_one();
    assert_int_equal(it.size[MP_TEXT], it.sections[MP_TEXT].records);
    assert_memory_equal(it.data[MP_TEXT], "a.pyfb.pyg", 10);
    assert_memory_equal(it.data[MP_NAME], "\4\0\0\0\1\0\0\0\4\0\0\0\1\0\0\0", 16);
    assert_memory_equal(it.data[MP_LOCA], "\1\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0", 24);
    assert_memory_equal(it.data[MP_STAC], "\0\0\0\0\1\0\0\0\1\0\0\0\2\0\0\x80", 16);
    assert_memory_equal(it.data[MP_ROWS], "\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\x32", 17);
    assert_memory_equal(it.data[MP_FACT], "pid\0", 4);
    assert_memory_equal(it.data[MP_NOTE], "a=b\n", 4);
    assert_memory_equal(it.data[MP_TIME], "\x0a\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0\x1e", 17);
    free_all(&it);
}

static void
records_are_as_large_as_the_layout_says(void **state)
{
    (void)state;
    struct written it = write_one();
    for (enum mp_section_tag tag = 0; tag <= MP_TIME; tag++) {
        const uint64_t least = it.sections[tag].records * mp_section_layout[tag].record_size;
        assert_true(it.sections[tag].records > 0);
        assert_true(tag == MP_TIME ? it.size[tag] > least : it.size[tag] >= least);
        assert_int_equal(strlen(mp_section_layout[tag].tag), 4);
    }
    free_all(&it);
}

/* ---- sizes and counts ---------------------------------------------------------------------- */

/* The frame lets at most as many records through as the bytes have room for. */
static void
every_truncation_is_an_error_or_harmless(void **state)
{
    (void)state;
    for (enum mp_section_tag tag = 0; tag < MP_TAGS; tag++) {
        struct written it = write_one();
        for (size_t left = it.size[tag]; left-- > 0;) {
            const uint64_t room = left / mp_section_layout[tag].record_size;
            put_section(&it, tag, it.data[tag], left);
            if (it.sections[tag].records > room)
                it.sections[tag].records = room;
            status_of(&it);
        }
        assert_int_equal(it.sections[tag].records, 0);
        free_all(&it);
    }
}

static void
bytes_behind_the_records_are_not_looked_at(void **state)
{
    (void)state;
    for (enum mp_section_tag tag = 0; tag < MP_TAGS; tag++) {
        struct written it = write_one();
        unsigned char longer[4096];
        assert_true(it.size[tag] < sizeof longer - 64);
        memset(longer, 0xff, sizeof longer);
        memcpy(longer, it.data[tag], it.size[tag]);
        put_section(&it, tag, longer, it.size[tag] + 64);
        assert_int_equal(status_of(&it), MP_OK);
        free_all(&it);
    }
}

static void
fewer_records_are_fewer(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot;
    struct written it = write_one();
    it.sections[MP_ROWS].records = 1;
    it.sections[MP_TIME].records = 1;
    it.sections[MP_NOTE].records = 0;
    assert_int_equal(read_all(&it, &snapshot, &said), MP_OK);
    assert_int_equal(snapshot->count, 1);
    assert_int_equal(snapshot->series.count, 1);
    assert_int_equal(snapshot->note_size, 0);
    mp_snapshot_free(snapshot);
    it.sections[MP_STAC].records = 1; /* but the rows know of two */
    assert_int_equal(status_of(&it), MP_CORRUPT);
    free_all(&it);
}

static void
points_are_as_many_as_there_is_room_for(void **state)
{
    (void)state;
    struct written it = write_one();
    assert_int_equal(status_with(&it, MP_TIME, 24, 1), MP_CORRUPT); /* the next begins too early */
    assert_int_equal(status_with(&it, MP_TIME, 24, 3), MP_CORRUPT);
    assert_int_equal(status_with(&it, MP_TIME, 24, UINT32_MAX), MP_CORRUPT);
    assert_int_equal(status_with(&it, MP_TIME, 28, UINT32_MAX), MP_CORRUPT); /* its upper half */
    it.sections[MP_TIME].records = 3; /* of two: their points make room for the third */
    assert_int_equal(status_of(&it), MP_CORRUPT);
    free_all(&it);
}

static void
checkpoints_are_no_more_than_a_series_has(void **state)
{
    (void)state;
    const size_t size = (MP_CHECKPOINTS + 1) * 32;
    unsigned char *many = calloc(1, size);
    struct written it = write_one();
    for (size_t i = 0; i <= MP_CHECKPOINTS; i++)
        many[32 * i] = (unsigned char)i; /* their times */
    put_section(&it, MP_TIME, many, size);
    it.sections[MP_TIME].records = MP_CHECKPOINTS + 1;
    assert_int_equal(status_of(&it), MP_CORRUPT);
    it.sections[MP_TIME].records = 12;
    assert_int_equal(status_of(&it), MP_OK);
    free(many);
    free_all(&it);
}

/* ---- values -------------------------------------------------------------------------------- */

static void
ids_out_of_bounds_are_an_error(void **state)
{
    (void)state;
    static const struct {
        enum mp_section_tag tag;
        size_t at;
        uint32_t right, wrong;
    } ids[] = {
        {MP_NAME, 0, 4, 5},      /* the lengths are more than the text */
        {MP_LOCA, 0, 4, 5},      /* file */
        {MP_LOCA, 4, 4, 5},      /* function */
        {MP_STAC, 4, 2, 3},      /* location */
        {MP_STAC, 8, 1, 2},      /* a stack that calls itself */
        {MP_ROWS, 0, 2, 3},      /* stack */
        {MP_ROWS, 8, 3, 4},      /* kind */
        {MP_TIME, 32, 1, 3},     /* stack of a point */
    };
    struct written it = write_one();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_int_equal(status_with(&it, ids[i].tag, ids[i].at, ids[i].right), MP_OK);
        assert_int_equal(status_with(&it, ids[i].tag, ids[i].at, ids[i].wrong), MP_CORRUPT);
        assert_int_equal(status_with(&it, ids[i].tag, ids[i].at, UINT32_MAX), MP_CORRUPT);
    }
    free_all(&it);
}

static void
put_fact(unsigned char *at, const char *name, unsigned char value)
{
    memset(at, 0, 32);
    memcpy(at, name, strlen(name));
    at[MP_FACT_NAME_SIZE] = value;
}

static void
facts_are_known_by_name(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot;
    struct written it = write_one();
    unsigned char facts[4 * 32];
    put_fact(facts, "rss", 5);
    put_fact(facts + 32, "of_a_later_version", 6);
    put_fact(facts + 64, "pid", 7);
    put_fact(facts + 96, "rss_or_not", 8);
    put_section(&it, MP_FACT, facts, sizeof facts);
    it.sections[MP_FACT].records = 4;
    assert_int_equal(read_all(&it, &snapshot, &said), MP_OK);
    assert_true(snapshot->facts.rss == 5 && snapshot->facts.pid == 7);
    for (size_t i = 0; i < MP_FACT_COUNT; i++) {
        const int64_t value = *mp_fact_value(&snapshot->facts, i);
        assert_true(value == -1 || value == 5 || value == 7);
    }
    mp_snapshot_free(snapshot);
    free_all(&it);
}

static void
sections_that_are_not_there_are_empty(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot;
    struct written nothing = {0};
    assert_int_equal(mp_sections_read(nothing.sections, &snapshot, &said), MP_OK);
    assert_int_equal(snapshot->count + snapshot->series.count + snapshot->note_size, 0);
    assert_int_equal(snapshot->symbols->stacks, 0);
    assert_int_equal(snapshot->facts.pid, -1);
    mp_snapshot_free(snapshot);
}

static int
read_one(void *data)
{
    struct mp_snapshot *snapshot = NULL;
    const int status = read_all(data, &snapshot, &said);
    assert_true(status == MP_OK || strstr(said, "memory"));
    mp_snapshot_free(snapshot);
    return status;
}

static void
each_request_for_memory_may_fail(void **state)
{
    (void)state;
    struct written it = write_one();
    fail_each_request(read_one, &it);
    free_all(&it);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(bytes_are_those_of_the_format),
        cmocka_unit_test(records_are_as_large_as_the_layout_says),
        cmocka_unit_test(every_truncation_is_an_error_or_harmless),
        cmocka_unit_test(bytes_behind_the_records_are_not_looked_at),
        cmocka_unit_test(fewer_records_are_fewer),
        cmocka_unit_test(points_are_as_many_as_there_is_room_for),
        cmocka_unit_test(checkpoints_are_no_more_than_a_series_has),
        cmocka_unit_test(ids_out_of_bounds_are_an_error),
        cmocka_unit_test(facts_are_known_by_name),
        cmocka_unit_test(sections_that_are_not_there_are_empty),
        cmocka_unit_test(each_request_for_memory_may_fail),
    };
    return RUN_TESTS(tests);
}
