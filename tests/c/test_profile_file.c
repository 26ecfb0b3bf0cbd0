#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "make_snapshot.h"
#include "profile/profile_file.h"
#include "profile/profile_sections.h"

#ifndef MP_GOLDEN
#define MP_GOLDEN "tests/golden/"
#endif

enum { TABLE = 16, ENTRY = 32, CRC = 4, OFFSET = 8, SIZE = 16, RECORDS = 24, NOBODY = 65534 };

/* ---- profiles as bytes --------------------------------------------------------------------- */

static struct bytes
profile_of(struct mp_snapshot *snapshot)
{
    const char *path = scratch("profile");
    assert_int_equal(mp_profile_write(snapshot, path), MP_OK);
    mp_snapshot_free(snapshot);
    return read_bytes(path);
}

static struct mp_snapshot *
make_full(uint32_t size, size_t checkpoints)
{
    struct mp_snapshot *snapshot = make_random(size, checkpoints);
    assert_int_equal(mp_snapshot_set_note(snapshot, "a=\xc3\xa9\n", 5), MP_OK);
    make_explained(snapshot);
    return snapshot;
}

/* An error of the file, or a sound snapshot; anything else fails. */
static int
parse(const struct bytes *bytes)
{
    struct mp_snapshot *snapshot = (void *)bytes;
    const char *why = NULL, *broken;
    const int status = mp_profile_parse(bytes->data, bytes->size, &snapshot, &why);
    if (status == MP_OK)
        assert_true(mp_snapshot_check(snapshot, &broken));
    else
        assert_true(status <= MP_FOREIGN && status >= MP_CORRUPT && why && *why && !snapshot);
    mp_snapshot_free(snapshot);
    return status;
}

static unsigned char *
entry_of(const struct bytes *bytes, enum mp_section_tag tag)
{
    return bytes->data + TABLE + ENTRY * (size_t)tag; /* in the order they are written */
}

static void
set(unsigned char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t
get(const unsigned char *at)
{
    struct mp_reader in = {at, at + 8, false};
    return mp_reader_u64(&in);
}

/* Make the checksums of all sections within the file right again. */
static void
repair(const struct bytes *bytes)
{
    for (enum mp_section_tag tag = MP_TEXT; tag < MP_TAGS; tag++) {
        unsigned char *entry = entry_of(bytes, tag);
        const uint64_t offset = get(entry + OFFSET), size = get(entry + SIZE);
        if (offset <= bytes->size && size <= bytes->size - offset)
            set(entry + CRC, mp_crc32(bytes->data + offset, size), 4);
    }
}

/* What becomes of a profile when an integer in it has another value. */
static int
parse_with(const struct bytes *bytes, unsigned char *at, uint64_t value, size_t size)
{
    unsigned char before[8], table[TABLE + ENTRY * MP_TAGS];
    memcpy(table, bytes->data, sizeof table);
    memcpy(before, at, size);
    set(at, value, size);
    repair(bytes);
    const int status = parse(bytes);
    memcpy(at, before, size);
    memcpy(bytes->data, table, sizeof table);
    return status;
}

/* ---- what is written ----------------------------------------------------------------------- */

static void
file_has_the_frame_that_the_format_says(void **state)
{
    (void)state;
    static const char tags[] = "TEXTNAMELOCASTACROWSFACTNOTETIMELEAK";
    const struct bytes bytes = profile_of(make_full(10, 2));
    uint64_t end = TABLE + ENTRY * MP_TAGS;
    assert_memory_equal(bytes.data, "memprof\n\1\0\0\0\11\0\0\0", TABLE);
    for (enum mp_section_tag tag = MP_TEXT; tag < MP_TAGS; tag++) {
        assert_memory_equal(entry_of(&bytes, tag), &tags[tag * 4], 4);
        assert_int_equal(get(entry_of(&bytes, tag) + OFFSET), end); /* no gaps */
        end += get(entry_of(&bytes, tag) + SIZE);
    }
    assert_int_equal(bytes.size, end);
    free(bytes.data);
}

static void
profile_of_version_1_has_its_values(void **state)
{
    (void)state;
    struct mp_snapshot *snapshot, *expected = make_version1();
    const char *why;
    int known = 0;
    assert_int_equal(mp_profile_read(MP_GOLDEN "version1.mprof", &snapshot, &why), MP_OK);
    for (size_t i = 0; i < MP_FACT_COUNT; i++) { /* facts of later versions are -1 */
        const int64_t value = *mp_fact_value(&snapshot->facts, i);
        if (value != -1)
            assert_int_equal(value, mp_crc32(mp_fact_names[i], strlen(mp_fact_names[i])));
        known += value != -1;
    }
    assert_int_equal(known, 23);
    expected->facts = snapshot->facts;
    assert_same_snapshot(snapshot, expected);
    mp_snapshot_free(snapshot);
    mp_snapshot_free(expected);
}

/* The older one has them as text, which is Python's to read. */
static void
profiles_of_leaks_have_what_explains_them(void **state)
{
    (void)state;
    struct mp_snapshot *older, *snapshot;
    const char *why;
    assert_int_equal(mp_profile_read(MP_GOLDEN "leaks_in_note.mprof", &older, &why), MP_OK);
    assert_int_equal(mp_profile_read(MP_GOLDEN "leaks_in_section.mprof", &snapshot, &why), MP_OK);
    assert_same_series(&older->series, &snapshot->series);
    assert_true(older->explained.count == 0 && older->note_size > 500);

    const struct mp_explained *explained = &snapshot->explained;
    assert_true(explained->count == 4 && explained->unfollowed == 7);
    assert_true(explained->leaks[0].stack == 9 && explained->leaks[0].above == 8);
    assert_true(explained->leaks[1].stack == 8 && explained->leaks[1].above == MP_NO_STACK);
    assert_true(explained->leaks[1].objects == 101 && explained->leaks[1].retained == 129866);
    assert_true(explained->leaks[1].types == 2 && explained->leaks[1].holders == 2);
    const struct mp_explained_type *type = &explained->types[explained->leaks[1].type];
    const struct mp_text name = mp_explained_text(explained, type->name);
    assert_true(name.length == 16 && memcmp(name.at, "__main__.Sitzung", 16) == 0);
    mp_snapshot_free(older);
    mp_snapshot_free(snapshot);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void
every_truncation_is_an_error(void **state)
{
    (void)state;
    struct bytes bytes = profile_of(make_full(8, 2));
    for (size_t size = bytes.size; size--;) {
        bytes.data = realloc(bytes.data, size + !size);
        bytes.size = size;
        assert_int_equal(parse(&bytes), size < 8 ? MP_FOREIGN : MP_TRUNCATED);
    }
    free(bytes.data);
}

/* Each bit, all bits of a byte, and those with the checksums made right again. */
static void
every_flipped_byte_is_an_error_or_harmless(void **state)
{
    (void)state;
    const struct bytes bytes = profile_of(make_full(8, 2));
    unsigned char *whole = malloc(bytes.size);
    memcpy(whole, bytes.data, bytes.size);
    size_t harmless = 0;
    for (size_t i = 0; i < 10 * bytes.size; i++) {
        bytes.data[i / 10] ^= (unsigned char)(i % 10 < 8 ? 1 << i % 10 : 0xff);
        if (i % 10 == 9)
            repair(&bytes);
        harmless += parse(&bytes) == MP_OK && i % 10 < 9;
        memcpy(bytes.data, whole, bytes.size);
    }
    assert_true(harmless < 200); /* optional tags, smaller numbers of records */
    free(bytes.data);
    free(whole);
}

static void
header_is_examined(void **state)
{
    (void)state;
    const struct bytes bytes = profile_of(make_full(3, 1));
    const struct { size_t at; uint32_t value; int status; } cases[] = {
        {0, 0, MP_FOREIGN},  {4, 0x0d666f72, MP_FOREIGN},  {8, 0, MP_CORRUPT},
        {8, 2, MP_NEWER},    {8, UINT32_MAX, MP_NEWER},    {12, 0, MP_CORRUPT},
        {12, 5, MP_CORRUPT}, {12, 6, MP_OK},               {12, 65, MP_CORRUPT},
        {12, UINT32_MAX, MP_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(parse_with(&bytes, bytes.data + cases[i].at, cases[i].value, 4),
                         cases[i].status);
    free(bytes.data);
}

static void
impossible_numbers_of_records_are_damage(void **state)
{
    (void)state;
    const struct bytes bytes = profile_of(make_full(8, 2));
    const uint64_t sizes[MP_TAGS] = {1, 4, 16, 8, 64, 32, 1, 32, 40};
    for (enum mp_section_tag tag = MP_TEXT; tag < MP_TAGS; tag++) {
        unsigned char *entry = entry_of(&bytes, tag);
        const uint64_t most = get(entry + SIZE) / sizes[tag];
        const uint64_t bad[] = {most + 1, 1u << 31, 1ull << 32, UINT64_MAX / sizes[tag],
                                (1ull << 32) + most, 1ull << 63, UINT64_MAX};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            assert_int_equal(parse_with(&bytes, entry + RECORDS, bad[i], 8), MP_CORRUPT);
    }
    free(bytes.data);
}

static void
sections_outside_the_file_are_truncated_and_may_overlap(void **state)
{
    (void)state;
    const struct bytes bytes = profile_of(make_full(8, 2));
    for (enum mp_section_tag tag = MP_TEXT; tag < MP_TAGS; tag++) {
        unsigned char *entry = entry_of(&bytes, tag);
        const uint64_t offset = get(entry + OFFSET);
        const uint64_t left = bytes.size - offset, size = bytes.size;
        const uint64_t offsets[] = {size + 1, size * 2, UINT64_MAX, UINT64_MAX - 8, 1ull << 63};
        const uint64_t lengths[] = {left + 1, size + 1, UINT64_MAX, 0 - offset, 1ull << 63};
        for (int i = 0; i < 5; i++)
            for (int way = 0; way < 2; way++)
                assert_int_equal(parse_with(&bytes, entry + (way ? SIZE : OFFSET),
                                            way ? lengths[i] : offsets[i], 8), MP_TRUNCATED);
        for (uint64_t at = 0; at <= size; at += 7) { /* over others; parse() looks at it */
            parse_with(&bytes, entry + OFFSET, at, 8);
            parse_with(&bytes, entry + SIZE, at, 8);
        }
    }
    free(bytes.data);
}

static void
sections_may_be_optional_unknown_or_in_another_order(void **state)
{
    (void)state;
    const struct bytes bytes = profile_of(make_full(8, 2));
    const uint32_t unknown = 0x31425a51, note = 0x45544f4e; /* QZB1, NOTE */
    for (enum mp_section_tag tag = MP_TEXT; tag < MP_TAGS; tag++) {
        assert_int_equal(parse_with(&bytes, entry_of(&bytes, tag), unknown, 4),
                         tag >= MP_NOTE ? MP_OK : MP_CORRUPT);
        if (tag != MP_NOTE) /* there twice */
            assert_int_equal(parse_with(&bytes, entry_of(&bytes, tag), note, 4), MP_CORRUPT);
    }
    for (int turn = 0; turn < MP_TAGS; turn++) {
        unsigned char first[ENTRY];
        memcpy(first, entry_of(&bytes, MP_TEXT), ENTRY);
        memmove(entry_of(&bytes, MP_TEXT), entry_of(&bytes, MP_NAME), ENTRY * (MP_TAGS - 1));
        memcpy(entry_of(&bytes, MP_TAGS - 1), first, ENTRY);
        assert_int_equal(parse(&bytes), MP_OK);
    }
    free(bytes.data);
}

static void
contents_out_of_bounds_are_damage(void **state)
{
    (void)state;
    struct maker *maker = make_begin();
    make_row(maker, STACK(maker, {"a", "f", 1, 1}, {"a", "g", 1, 2}), 10, 1);
    make_checkpoint(&maker->series, 5, (struct mp_point[]){{1, 1, 1}, {2, 1, 1}}, 2);
    make_checkpoint(&maker->series, 6, (struct mp_point[]){{1, 1, 1}}, 1);
    struct mp_snapshot *snapshot = make_end(maker);
    make_explained(snapshot);
    const struct bytes bytes = profile_of(snapshot);
    const struct { enum mp_section_tag tag; size_t at; uint64_t value; size_t size; } bad[] = {
        {MP_NAME, 0, 2, 4},  {MP_NAME, 8, UINT32_MAX, 4},   {MP_LOCA, 0, 4, 4},
        {MP_LOCA, 20, UINT32_MAX, 4}, {MP_STAC, 0, 1, 4},   {MP_STAC, 8, 2, 4},
        {MP_STAC, 12, 3, 4}, {MP_ROWS, 0, 3, 4},            {MP_ROWS, 8, MP_KINDS, 4},
        {MP_TIME, 24, 6, 8}, {MP_TIME, 24, UINT64_MAX, 8},  {MP_TIME, 24, 1ull << 60, 8},
        {MP_TIME, 32, 2, 4}, {MP_TIME, 48, 3, 4},           {MP_TIME, 64, 4, 8},
        {MP_TIME, 88, 2, 8},
        {MP_LEAK, 8, 3, 4},  {MP_LEAK, 12, 3, 4},           {MP_LEAK, 40, 3, 4},
        {MP_LEAK, 40, UINT32_MAX, 4}, {MP_LEAK, 44, 2, 4},  {MP_LEAK, 44, UINT32_MAX, 4},
        {MP_LEAK, 56, 9, 4}, {MP_LEAK, 56, UINT32_MAX, 4},  {MP_LEAK, 76, UINT32_MAX, 4},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned char *body = bytes.data + get(entry_of(&bytes, bad[i].tag) + OFFSET);
        assert_int_equal(parse_with(&bytes, body + bad[i].at, bad[i].value, bad[i].size),
                         MP_CORRUPT);
    }
    free(bytes.data);
}

/* ---- the file itself ----------------------------------------------------------------------- */

static int
status_of(const char *name)
{
    struct mp_snapshot *snapshot = (void *)&name;
    const char *why = NULL;
    errno = 0;
    const int status = mp_profile_read(scratch(name), &snapshot, &why);
    assert_true(status != MP_OK && !snapshot && why && *why);
    return status;
}

static void
reading_says_what_is_wrong(void **state)
{
    (void)state;
    write_bytes(scratch("empty"), "", 0);
    assert_int_equal(status_of("empty"), MP_FOREIGN);
    assert_int_equal(status_of("."), MP_FOREIGN); /* a directory */
    assert_int_equal(status_of("missing"), MP_SYSTEM);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(status_of("empty/below"), MP_SYSTEM);
    assert_int_equal(errno, ENOTDIR);
}

/* What `body` says in a child without privileges; -1 when it was killed. */
static int
in_child(int (*body)(const struct mp_snapshot *), const struct mp_snapshot *snapshot)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (getuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY))
            _exit(99);
        _exit(body(snapshot));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
read_pipe(const struct mp_snapshot *unused)
{
    alarm(1); /* nobody will ever write to it */
    return unused || status_of("pipe") != MP_FOREIGN;
}

static void
reading_a_pipe_is_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(scratch("pipe"), 0666) + chmod(scratch("."), 0755), 0);
    assert_int_equal(in_child(read_pipe, NULL), 0);
}

static int
write_in_vain(const struct mp_snapshot *snapshot)
{
    const char *const paths[] = {"/nowhere/x", scratch("open/x/y"), scratch("closed/x"),
                                 "/dev/full", "/"};
    const int errors[] = {ENOENT, ENOTDIR, EACCES, ENOSPC, EISDIR};
    const struct rlimit limit = {100, 100};
    struct stat info;
    for (int i = 0; i < 5; i++)
        if (mp_profile_write(snapshot, paths[i]) != MP_SYSTEM || errno != errors[i])
            return i + 1;
    if (mp_profile_write(snapshot, "/dev/null") || stat("/dev/null", &info) ||
        !S_ISCHR(info.st_mode))
        return 10;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return mp_profile_write(snapshot, scratch("open/x")) == MP_SYSTEM && errno == EFBIG ? 0 : 11;
}

static void
writing_in_vain_says_why_and_keeps_the_old_file(void **state)
{
    (void)state;
    static const char *const names[2][2] = {{"open", "open/x"}, {"closed", "closed/x"}};
    struct mp_snapshot *snapshot = make_full(20, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mkdir(scratch(names[i][0]), 0755), 0);
        write_bytes(scratch(names[i][1]), "old", 3);
        chmod(scratch(names[i][1]), 0666);
        chmod(scratch(names[i][0]), i ? 0555 : 0777);
    }
    assert_int_equal(chmod(scratch("."), 0755) + in_child(write_in_vain, snapshot), 0);
    for (int i = 0; i < 2; i++) {
        const struct bytes kept = read_bytes(scratch(names[i][1]));
        assert_true(kept.size == 3 && memcmp(kept.data, "old", 3) == 0);
        free(kept.data);
        chmod(scratch(names[i][0]), 0755);
        assert_int_equal(remove(scratch(names[i][1])), 0);
        assert_int_equal(rmdir(scratch(names[i][0])), 0); /* nothing else is left in it */
    }
    mp_snapshot_free(snapshot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_has_the_frame_that_the_format_says),
        cmocka_unit_test(profile_of_version_1_has_its_values),
        cmocka_unit_test(profiles_of_leaks_have_what_explains_them),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(every_flipped_byte_is_an_error_or_harmless),
        cmocka_unit_test(header_is_examined),
        cmocka_unit_test(impossible_numbers_of_records_are_damage),
        cmocka_unit_test(sections_outside_the_file_are_truncated_and_may_overlap),
        cmocka_unit_test(sections_may_be_optional_unknown_or_in_another_order),
        cmocka_unit_test(contents_out_of_bounds_are_damage),
        cmocka_unit_test(reading_says_what_is_wrong),
        cmocka_unit_test(reading_a_pipe_is_refused_at_once),
        cmocka_unit_test(writing_in_vain_says_why_and_keeps_the_old_file),
    };
    return RUN_TESTS(tests);
}
