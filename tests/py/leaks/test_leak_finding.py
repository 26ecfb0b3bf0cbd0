"""find_leaks, assert_no_leaks, who_holds and heap()."""

from __future__ import annotations

import asyncio
import functools
import gc
import pickle
from itertools import accumulate

import memprof
import pytest
from conftest import run_plain
from memprof.control import leak_check as finding

KEPT: list = []


@pytest.fixture(autouse=True)
def clean():
    KEPT.clear()
    yield
    KEPT.clear()
    memprof.stop()


class Session:
    def __init__(self):
        self.log = [1.5] * 20


def leak():
    KEPT.append(Session())


# ---- find_leaks ------------------------------------------------------------------------------


def test_leaks_per_call():
    report = memprof.find_leaks(lambda: [leak(), leak(), None][2], warmup=2, repeat=10)
    first = report.leaks[0]
    assert report.unit == "call" and report.seconds == 10
    assert first.types[f"{__name__}.Session"] >= 20
    assert first.traceback[-1].function == "leak"
    assert first.holders[0].path == f"{__name__}.KEPT[..] -> Session"
    assert round(first.blocks_per_second) in (2, 4)  # 3.11: with a block of attributes each
    assert not memprof.is_tracing()


def test_every_other_call_leaks():
    def sometimes(calls=[]):  # noqa: B006
        calls.append(None)
        if len(calls) % 2:
            leak()

    report = memprof.find_leaks(sometimes, repeat=16)
    assert [leak for leak in report.leaks if f"{__name__}.Session" in leak.types]


def test_clean_functions_leak_nothing():
    @functools.lru_cache(maxsize=8)
    def cached(number):
        return [number] * 50

    turns = iter(range(1000))
    table = {}

    def clean():
        turn = next(turns)
        cached(turn % 8)
        session = Session()
        session.me = session  # a cycle
        table[turn % 5] = [turn]

    assert memprof.find_leaks(clean, warmup=10, repeat=20).leaks == ()


def test_exceptions_pass_and_the_trace_ends():
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        memprof.find_leaks(fail)
    assert not memprof.is_tracing()
    with pytest.raises(ValueError, match="repeat"):
        memprof.find_leaks(leak, repeat=2)


def test_trace_under_way_goes_on():
    memprof.start()
    assert memprof.find_leaks(leak).leaks
    assert memprof.is_tracing()


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], 1),
        ([0, 1, 2, 3, 5, 6], 1),
        ([0, 2, 4, 6, 9, 11], 2),
        ([0, 1, 3], 1),
        ([0, 3], 3),
        ([0, 1, 3, 4, 6, 7], pytest.approx(1.46, abs=0.01)),
    ],
)
def test_pace_leaves_out_the_table_of_a_container(blocks, expected):
    assert finding.pace(blocks) == expected


# ---- assert_no_leaks -----------------------------------------------------------------------------


def test_decorator():
    @memprof.assert_no_leaks(warmup=1, repeat=5)
    def leaking(number):
        """Doc."""
        leak()
        return number

    @memprof.assert_no_leaks
    def fine(number, *, plus=0):
        return number + plus

    assert fine(3, plus=4) == 7
    assert leaking.__doc__ == "Doc."
    with pytest.raises(memprof.LeakError) as caught:
        leaking(1)
    text = str(caught.value)
    assert f"{__name__}.Session objects (+1/call" in text
    assert f"held   {__name__}.KEPT[..] (list) -> Session" in text
    assert isinstance(caught.value, AssertionError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_decorator_of_a_coroutine_and_of_a_method():
    @memprof.assert_no_leaks(warmup=1, repeat=5)
    async def leaking():
        await asyncio.sleep(0)
        leak()

    class Case:
        @memprof.assert_no_leaks
        def method(self, value):
            return value

    with pytest.raises(memprof.LeakError):
        asyncio.run(leaking())
    assert Case().method(5) == 5


def test_context_manager():
    with memprof.assert_no_leaks():
        for _ in range(100):
            Session()
    with pytest.raises(memprof.LeakError) as caught, memprof.assert_no_leaks():
        for _ in range(100):
            leak()
    assert "Session objects" in str(caught.value)
    with memprof.assert_no_leaks(limit="1 MB"):
        leak()
    with pytest.raises(KeyError), memprof.assert_no_leaks():
        leak()
        raise KeyError


def test_context_manager_with_marks():
    cache = {}
    with memprof.assert_no_leaks() as check:
        for turn in range(30):
            cache.setdefault(turn % 3, [0] * 1000)
            check.mark()
    with pytest.raises(memprof.LeakError), memprof.assert_no_leaks() as check:
        for _ in range(30):
            leak()
            check.mark()


# ---- who_holds, heap() ---------------------------------------------------------------------------


def test_who_holds():
    leak()
    found = memprof.who_holds(KEPT[0])
    assert found.objects == 1 and found.retained_bytes > 200
    assert str(found) == f"{__name__}.KEPT[0] (list) -> Session   1 of 1"


def test_heap_by_type_and_algebra():
    for _ in range(30):
        leak()
    heap = memprof.heap()
    sessions = heap.of_type(f"{__name__}.Session")
    lists = heap.of_type("list")
    assert len(sessions) == 30 and sessions and not (sessions & lists)
    assert len(sessions | lists) == len(sessions) + len(lists)
    assert (heap - lists) | lists == heap
    assert len(sessions.referents & lists) == 30
    held = sessions.referents & lists
    assert sessions & held.referrers == sessions
    assert held.dominators & sessions == sessions
    assert sessions.retained.size >= sessions.size + held.size
    assert sum(part.objects for part in heap.by_type) == len(heap)
    assert sum(part.bytes for part in heap.by_module) == heap.size
    ((holder,)) = sessions.shortest_paths().holders
    assert (holder.path, holder.objects) == (f"{__name__}.KEPT[..] -> Session", 30)
    with pytest.raises(ValueError):
        heap & memprof.heap()


def test_heap_by_site():
    memprof.start()
    for _ in range(25):
        leak()
    sessions = memprof.heap().of_type(f"{__name__}.Session")
    (part,) = sessions.by_site
    assert part.name[-1].function == "leak" and part.objects == 25
    assert part.set() == sessions


def test_heap_keeps_nothing_alive():
    leak()
    heap = memprof.heap()
    before = len(gc.get_objects())
    KEPT.clear()
    assert len(heap.of_type(f"{__name__}.Session").shortest_paths().holders) == 0
    assert before - len(gc.get_objects()) < 100


def test_own_objects_are_left_out():
    program = (
        "import memprof; from memprof.control import heap as objects\n"
        "heap = memprof.heap()\n"
        "print([part.name for part in heap.by_type if part.name.startswith('memprof')])\n"
        "print(any('objects.py' in str(p.name) for p in heap.by_module))\n"
    )
    result = run_plain("-c", program)
    assert result.stdout == "[]\nFalse\n", result


@pytest.mark.parametrize("key", ["line", "file", "function", "stack"])
def test_comparison_with_object_types(key):
    memprof.start()
    leak()
    before = memprof.take_snapshot(types=True)
    for _ in range(40):
        leak()
    after = memprof.take_snapshot(types=True)
    rows = [row for row in after.compare_to(before, key) if f"{__name__}.Session" in row.types]
    assert [row.types[f"{__name__}.Session"] for row in rows] == [40]
    assert "leak" in rows[0].traceback[-1].function or key == "file"
    assert all(not row.types for row in after.compare_to(memprof.take_snapshot(), key))
    backwards = before.compare_to(after, key)
    assert [
        row.types[f"{__name__}.Session"]
        for row in backwards
        if row.types.get(f"{__name__}.Session")
    ] == [-40]


@pytest.mark.parametrize(
    ("steps", "leaks"),
    [
        ([10] * 12, True),
        ([30] * 4 + [5] * 8, True),  # slower, but with every call
        ([30, 20, 14, 10, 7, 5, 3, 2, 1, 1, 0, 0], False),  # a cache that fills up
        ([30, 20, 14, 10, 7, 5, 4, 3, 2, 2, 1, 1], False),
        ([0, 0, 0, 0, 0, 900, 0, 0, 0, 0, 0, 0], False),  # a table that is made larger
        ([0] * 12, False),
    ],
)
def test_growth_by_calls(steps, leaks):
    assert finding.grows(list(accumulate(steps, initial=100))) == leaks
