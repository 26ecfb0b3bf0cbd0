"""Profiles with wrong bytes, also behind right checksums: one clear error or a sound snapshot,
soon. tests/fuzz has the fuzzer of the C reader; here the whole way to Python is gone."""

import random
import re
import struct
import time
import zlib

import memprof
import pytest
from conftest import PROGRAMS, ROOT, run_traced

HEADER, ENTRY = 16, 32  # the table of sections: kind, checksum, offset, size, records


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    path = tmp_path_factory.mktemp("profiles") / "run.mprof"
    options = ("-q", "-o", path, "--checkpoint", "0.01")
    assert run_traced(PROGRAMS / "known_amounts.py", memprof=options).status == 0
    return [path.read_bytes(), (ROOT / "tests" / "golden" / "version1.mprof").read_bytes()]


def sections(data):
    """Position of each section's entry, where it lies and its size."""
    (count,) = struct.unpack_from("<I", data, 12)
    for at in range(HEADER, HEADER + ENTRY * count, ENTRY):
        yield at, *struct.unpack_from("<QQ", data, at + 8)


def repair(data: bytearray) -> None:
    for at, offset, size in sections(data):
        struct.pack_into("<I", data, at + 4, zlib.crc32(data[offset : offset + size]))


def corrupt(sound: bytes, chance: random.Random) -> bytes:
    data = bytearray(sound)
    way = chance.randrange(4)
    if way == 0:
        return bytes(data[: chance.randrange(len(data))])
    _, offset, size = chance.choice([s for s in sections(data) if s[2] >= 8])
    for _ in range(chance.randrange(1, 5)):
        at = offset + chance.randrange(size // 4) * 4
        value = chance.choice([0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(2**32)])
        struct.pack_into("<I", data, at, value)
    if way > 1:
        repair(data)
    return bytes(data)


def use(snapshot) -> None:
    for key in ("line", "function", "file", "stack"):
        rows = snapshot.statistics(key)
        assert sum(row.size for row in rows) == sum(
            row.size for row in snapshot.statistics("stack")
        )
    snapshot.compare_to(snapshot, "line")
    memprof.find_growth(snapshot)


def test_repair_is_right(profiles):
    for sound in profiles:
        data = bytearray(sound)
        repair(data)
        assert bytes(data) == sound


@pytest.mark.parametrize("seed", range(4))
def test_corrupt_profiles(tmp_path, profiles, seed):
    chance = random.Random(seed)
    path = tmp_path / "corrupt.mprof"
    refused = loaded = 0
    for n in range(250):
        path.write_bytes(corrupt(profiles[n % 2], chance))
        began = time.process_time()
        try:
            snapshot = memprof.Snapshot.load(path)
        except ValueError as error:
            assert re.fullmatch(r"cannot read profile '.*corrupt\.mprof': [^\n]+", str(error))
            refused += 1
        else:
            use(snapshot)
            loaded += 1
        assert time.process_time() - began < 10
    assert refused > 100 and loaded > 10
