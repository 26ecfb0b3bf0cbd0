#define _GNU_SOURCE
#include "profile/profile_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/profile_sections.h"

enum {
    HEADER_SIZE = 16,
    ENTRY_SIZE = 32,
    SECTIONS_MAX = 64,
};

/* ==== the whole file: reading ============================================================= */

static int
fail(const char **why, const char *what, int status)
{
    *why = what;
    return status;
}

static int
read_entry(struct mp_reader *table, const unsigned char *data, size_t size,
           struct mp_section *sections, const char **why)
{
    const unsigned char *tag = mp_reader_take(table, 4);
    const uint32_t crc = mp_reader_u32(table);
    const uint64_t offset = mp_reader_u64(table), length = mp_reader_u64(table);
    const uint64_t records = mp_reader_u64(table);

    if (table->failed || offset > size || length > size - offset)
        return fail(why, "it ends before its sections do", MP_TRUNCATED);
    if (mp_crc32(data + offset, (size_t)length) != crc)
        return fail(why, "the checksum of a section is wrong", MP_CORRUPT);
    for (int i = 0; i < MP_TAGS; i++) {
        if (memcmp(tag, mp_section_layout[i].tag, 4) != 0)
            continue;
        if (sections[i].found || records > length / mp_section_layout[i].record_size ||
            records >= MP_FOLDED)
            return fail(why, "a section has an impossible number of records", MP_CORRUPT);
        sections[i] = (struct mp_section){.body = {data + offset, data + offset + length, false},
                                          .records = records, .found = true};
    }
    return MP_OK;
}

static int
read_table(const unsigned char *data, size_t size, struct mp_section *sections, const char **why)
{
    struct mp_reader in = {data, data + size, false};
    const unsigned char *magic = mp_reader_take(&in, 8);
    if (!magic || memcmp(magic, MP_PROFILE_MAGIC, 8) != 0)
        return fail(why, "it is not a memprof profile", MP_FOREIGN);
    const uint32_t version = mp_reader_u32(&in), count = mp_reader_u32(&in);
    if (in.failed)
        return fail(why, "it ends before its sections do", MP_TRUNCATED);
    if (version > MP_PROFILE_VERSION)
        return fail(why, "it was written by a later version of memprof", MP_NEWER);
    if (version == 0 || count > SECTIONS_MAX)
        return fail(why, "its header is damaged", MP_CORRUPT);
    for (uint32_t i = 0; i < count; i++) {
        const int status = read_entry(&in, data, size, sections, why);
        if (status != MP_OK)
            return status;
    }
    for (int i = MP_TEXT; i <= MP_FACT; i++)
        if (!sections[i].found)
            return fail(why, "a section is missing", MP_CORRUPT);
    return MP_OK;
}

int
mp_profile_parse(const void *data, size_t size, struct mp_snapshot **snapshot, const char **why)
{
    struct mp_section sections[MP_TAGS] = {0};
    *snapshot = NULL;
    *why = "";
    const int status = read_table(data, size, sections, why);
    if (status != MP_OK)
        return status;
    const int parsed = mp_sections_read(sections, snapshot, why);
    assert((parsed == MP_OK) == (*snapshot != NULL));
    return parsed;
}

/* Read exactly `size` bytes; an early end of the file counts as truncated. */
static int
read_all(int file, unsigned char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t got = read(file, data + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return MP_SYSTEM;
        if (got == 0)
            return MP_TRUNCATED;
        at += (size_t)got;
    }
    return MP_OK;
}

static int
read_open_file(int file, struct mp_snapshot **snapshot, const char **why)
{
    struct stat info;
    if (fstat(file, &info))
        return fail(why, "it cannot be read", MP_SYSTEM);
    if (!S_ISREG(info.st_mode))
        return fail(why, "it is not a regular file", MP_FOREIGN);
    const size_t size = (size_t)info.st_size;
    unsigned char *data = mp_mem_new(size);
    if (!data)
        return fail(why, "there is not enough memory for it", MP_NO_MEMORY);
    int status = read_all(file, data, size);
    if (status == MP_OK)
        status = mp_profile_parse(data, size, snapshot, why);
    else
        fail(why, "it cannot be read", status);
    mp_mem_free(data, size);
    return status;
}

int
mp_profile_read(const char *path, struct mp_snapshot **snapshot, const char **why)
{
    *snapshot = NULL;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return fail(why, "it cannot be opened", MP_SYSTEM);
    const int status = read_open_file(file, snapshot, why);
    const int error = errno;
    close(file);
    errno = error;
    return status;
}

/* ==== the whole file: writing =============================================================== */

_Static_assert((int)MP_TAGS <= (int)SECTIONS_MAX, "a reader takes as many");

/* All sections one after the other; the table that describes them. */
static void
write_sections(const struct mp_snapshot *snapshot, struct mp_writer *table,
               struct mp_writer *body)
{
    const uint64_t start = HEADER_SIZE + (uint64_t)MP_TAGS * ENTRY_SIZE;
    mp_writer_add(table, MP_PROFILE_MAGIC, 8);
    mp_writer_u32(table, MP_PROFILE_VERSION);
    mp_writer_u32(table, MP_TAGS);
    for (int i = 0; i < MP_TAGS; i++) {
        const size_t before = body->size;
        const uint64_t records = mp_section_layout[i].write(body, snapshot);
        if (body->failed)
            return;
        assert(records <= (body->size - before) / mp_section_layout[i].record_size);
        mp_writer_add(table, mp_section_layout[i].tag, 4);
        mp_writer_u32(table, mp_crc32(body->data ? body->data + before : NULL, body->size - before));
        mp_writer_u64(table, start + before);
        mp_writer_u64(table, body->size - before);
        mp_writer_u64(table, records);
    }
}

static int
write_all(int file, const struct mp_writer *buffer)
{
    assert(!buffer->failed);
    for (size_t at = 0; at < buffer->size;) {
        const ssize_t put = write(file, buffer->data + at, buffer->size - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return MP_SYSTEM;
        at += (size_t)put;
    }
    return MP_OK;
}

/* Where to write for `path`: a link's target; *in_place for a device or a pipe, which
 * must not be replaced by a file, and for a link to nothing. */
static void
resolve_path(const char *path, char resolved[PATH_MAX], bool *in_place)
{
    struct stat info;
    if (stat(path, &info) == 0)
        *in_place = !S_ISREG(info.st_mode);
    else /* a link whose target is to be made */
        *in_place = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    if (!realpath(path, resolved))
        snprintf(resolved, PATH_MAX, "%s", path); /* does not exist yet */
}

/* A new file beside `path`, with the mode of the file there is; its name in `temporary`. Never
 * one that exists, nor through a link that somebody has left there. */
static int
create_beside(const char *path, char temporary[PATH_MAX])
{
    static _Atomic unsigned writes;
    struct stat info;
    const mode_t mode = stat(path, &info) == 0 ? info.st_mode & 0777 : 0666;
    for (int tries = 0; tries < 100; tries++) {
        const int length = snprintf(temporary, PATH_MAX, "%s.%ld.%u.tmp", path, (long)getpid(),
                                    atomic_fetch_add(&writes, 1));
        if (length < 0 || length >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        const int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (file >= 0 || errno != EEXIST)
            return file;
    }
    return -1;
}

/* Write both buffers and close the file. */
static int
fill_file(int file, const struct mp_writer *table, const struct mp_writer *body)
{
    int status = write_all(file, table);
    if (status == MP_OK)
        status = write_all(file, body);
    const int error = errno;
    if (close(file) && status == MP_OK)
        return MP_SYSTEM;
    if (status != MP_OK)
        errno = error;
    return status;
}

static int
replace_file(const char *target, const struct mp_writer *table, const struct mp_writer *body)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    bool in_place;
    resolve_path(target, path, &in_place);
    const int file = in_place ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
                              : create_beside(path, temporary);
    if (file < 0)
        return MP_SYSTEM;
    int status = fill_file(file, table, body);
    if (in_place)
        return status;
    if (status == MP_OK && rename(temporary, path))
        status = MP_SYSTEM;
    if (status != MP_OK) {
        const int error = errno;
        unlink(temporary);
        errno = error;
    }
    return status;
}

int
mp_profile_write(const struct mp_snapshot *snapshot, const char *path)
{
    struct mp_writer table = {0}, body = {0};
    write_sections(snapshot, &table, &body);
    const int status =
        table.failed || body.failed ? MP_NO_MEMORY : replace_file(path, &table, &body);
    mp_writer_free(&table);
    mp_writer_free(&body);
    return status;
}
