"""What a snapshot is made of, as flat tables: the same as its statistics and its series."""

from __future__ import annotations

import gc
import hashlib
import threading
import time
from array import array
from collections import Counter

import memprof
import pytest
from conftest import ROOT, run_plain, run_traced
from memprof import Filter, Snapshot
from memprof.control.tracing import final_snapshot, snapshot_so_far
from memprof.model.tables import KINDS, tables_of

GOLDEN = ROOT / "tests" / "golden"
METRICS = ("live", "peak", "total")


def recurse(depth):
    return [bytes(300), recurse(depth - 1)] if depth else []


@pytest.fixture(scope="module")
def snapshot():
    """Of a trace with recursion, several threads, and a series."""
    memprof.start(series=True)
    try:
        kept = [recurse(30), {str(i): [i] for i in range(1000)}]
        threads = [threading.Thread(target=lambda: kept.append(recurse(3))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _ = [bytes(100_000) for _ in range(20)]
        del _
        wait = 0.1
        while len(snapshot_so_far()._core.series()) < 4 and wait < 20:
            time.sleep(wait)  # the dearer a checkpoint was, the later comes the next
            wait *= 2
        return final_snapshot()
    finally:
        memprof.stop()


def frames_of(tables, stack):
    """The call stack as statistics() has it, the oldest frame first."""
    locations, frames = tables.locations, []
    while True:
        at = tables.stacks.location[stack]
        file, function = (tables.names[column[at]] for column in locations[:2])
        frames.insert(0, (file, locations.line[at], function, bool(tables.stacks.folded[stack])))
        stack = tables.stacks.parent[stack]
        if not stack:
            return tuple(frames)


def by_stack(tables, metric):
    sums = {}
    rows = tables.rows
    columns = getattr(rows, f"{metric}_bytes"), getattr(rows, f"{metric}_blocks")
    for stack, size, blocks in zip(rows.stack, *columns, strict=True):
        sum_of = sums.setdefault(stack, [0, 0])
        sum_of[0] += size
        sum_of[1] += blocks
    return {frames_of(tables, stack): tuple(numbers) for stack, numbers in sums.items()}


def assert_same(snapshot):
    tables = tables_of(snapshot)
    for metric in METRICS:
        found = {
            tuple(map(tuple, row.traceback)): (row.size, row.count)
            for row in snapshot.statistics("stack", metric=metric)
        }
        tabled = by_stack(tables, metric)
        assert found == {frames: numbers for frames, numbers in tabled.items() if any(numbers)}


@pytest.mark.parametrize("name", ["version1", "leaks_in_note"])
def test_tables_of_profiles_say_what_statistics_say(name):
    assert_same(Snapshot.load(GOLDEN / f"{name}.mprof"))


def test_tables_of_a_trace_say_what_statistics_say(snapshot, tmp_path):
    assert_same(snapshot)
    assert_same(snapshot.filter_traces([Filter(True, __file__)]))
    snapshot.dump(tmp_path / "profile")
    assert_same(Snapshot.load(tmp_path / "profile"))
    assert any(tables_of(snapshot).stacks.folded)


def test_stacks_are_a_tree(snapshot):
    stacks, locations = tables_of(snapshot)[2], tables_of(snapshot).locations
    assert stacks.parent[0] == stacks.location[0] == stacks.folded[0] == 0
    assert all(parent < stack for stack, parent in enumerate(stacks.parent) if stack)
    assert max(stacks.location) < len(locations.file)
    assert (
        len({len(column) for column in stacks}) == len({len(column) for column in locations}) == 1
    )


def test_locations_are_those_of_statistics(snapshot):
    tables = tables_of(snapshot)
    assert tables.names[0] == "<unknown>" and [c[0] for c in tables.locations] == [0, 0, 0, 0]
    first_lines = {
        (tables.names[file], tables.names[function], first)
        for file, function, first, _ in zip(*tables.locations, strict=True)
    }
    assert (__file__, "recurse", recurse.__code__.co_firstlineno) in first_lines
    rows = snapshot.statistics("function", metric="total")
    groups = {(row.traceback[-1].filename, row.traceback[-1].function) for row in rows}
    assert groups <= {row[:2] for row in first_lines}


def test_series_is_that_of_the_trace(snapshot):
    checkpoints = tables_of(snapshot).checkpoints
    times, traced, rss = (column.tolist() for column in checkpoints[:3])
    expected = snapshot._core.series()
    assert len(times) > 3
    assert list(zip(traced, rss, strict=True)) == [row[1:] for row in expected]
    assert [at / 1e9 for at in times] == [row[0] for row in expected]
    for points in checkpoints.points:
        assert sorted(set(points.stack)) == points.stack.tolist()
    last = checkpoints.points[-1]
    assert sum(last.bytes) == traced[-1]
    assert all(last.blocks)


def test_points_are_those_of_growth():
    snapshot = Snapshot.load(GOLDEN / "leaks_in_note.mprof")
    checkpoints = tables_of(snapshot).checkpoints
    for leak in memprof.find_growth(snapshot).leaks:
        for (_, size, blocks), points in zip(leak.points, checkpoints.points, strict=True):
            stacks = points.stack.tolist()
            at = stacks.index(leak.stack) if leak.stack in stacks else None
            assert (size, blocks) == (
                (0, 0) if at is None else (points.bytes[at], points.blocks[at])
            )


def test_kinds_and_domains():
    tables = tables_of(Snapshot.load(GOLDEN / "version1.mprof"))
    kinds = [KINDS[kind] for kind in tables.rows.kind]
    assert Counter(kinds) == {"raw": 1, "mem": 1, "obj": 2, "tracked": 1}
    assert tables.rows.domain[kinds.index("tracked")] == 0xDEADBEEF
    assert tables.rows.live_bytes[kinds.index("tracked")] == 5 << 30
    assert tables.checkpoints.rss.tolist() == [-1, 60000000]
    assert [len(points.stack) for points in tables.checkpoints.points] == [2, 0]


def test_columns_are_views_that_keep_the_snapshot():
    tables = tables_of(Snapshot.load(GOLDEN / "version1.mprof"))
    gc.collect()
    column = tables.rows.live_bytes
    assert (column.format, column.itemsize, column.ndim, column.readonly) == ("Q", 8, 1, True)
    assert sum(column[1:]) + column[0] == sum(column)
    assert array("Q", column.tobytes()) == array("Q", column) == array("Q", column.tolist())
    with pytest.raises(TypeError):
        column[0] = 1
    with pytest.raises(BufferError):  # they are not side by side
        hashlib.sha256(column.obj)
    numpy = pytest.importorskip("numpy")
    whole = numpy.asarray(column)
    assert whole.dtype == numpy.uint64 and whole.tolist() == column.tolist()
    assert not whole.flags.writeable and not whole.flags.owndata


def test_snapshot_of_nothing():
    memprof.start()
    empty = memprof.take_snapshot().filter_traces([Filter(True, "nowhere")])
    memprof.stop()
    tables = tables_of(empty)
    assert {len(column) for column in tables.rows} == {0}
    assert tables.checkpoints.points == [] and tables.checkpoints.time.tolist() == []


def test_making_tables_is_not_traced():
    program = (
        "import memprof\nfrom memprof.model.tables import tables_of\nmemprof.start()\n"
        "kept = [bytes(50) for _ in range(1000)]\n"
        "snapshot = memprof.take_snapshot()\nbefore = memprof.get_traced_memory()[0]\n"
        "tables = tables_of(snapshot)\n"
        "print(memprof.get_traced_memory()[0] - before < 500)\n"
    )
    assert run_plain("-c", program).stdout == "True\n"


def test_a_large_profile(tmp_path):
    """The numbers of the largest sites, of a real program."""
    path = tmp_path / "profile"
    run_traced("-c", "import json, inspect, decimal", memprof=("-q", "-o", path))
    assert_same(Snapshot.load(path))
