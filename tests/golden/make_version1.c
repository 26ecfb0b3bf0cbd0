/* Wrote tests/golden/version1.mprof, once: profiles of version 1 must stay readable, so
 * the file is kept as it is and never made again. make_version1() of make_snapshot.h tells
 * what is in it; each fact is the CRC-32 of its name. From the top of the checkout, with
 * O the directory of the library's objects:
 *
 *     cc -std=c11 -pthread -Ilib -Iinclude -Itests/c tests/golden/make_version1.c \
 *        $(find $O/lib -name "*.o") -lcmocka -o make_version1
 *     ./make_version1 tests/golden/version1.mprof
 */
#define _GNU_SOURCE
#include "test.h"

#include "base/bytes.h"
#include "make_snapshot.h"
#include "profile/profile_file.h"

int
main(int argc, char **argv)
{
    struct mp_snapshot *snapshot = make_version1();
    for (size_t i = 0; i < MP_FACT_COUNT; i++)
        *mp_fact_value(&snapshot->facts, i) =
            mp_crc32(mp_fact_names[i], strlen(mp_fact_names[i]));
    if (argc != 2 || mp_profile_write(snapshot, argv[1]) != MP_OK)
        return 1;
    mp_snapshot_free(snapshot);
    return 0;
}
