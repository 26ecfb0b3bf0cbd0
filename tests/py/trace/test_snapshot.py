"""memprof.snapshot: views made from literals, and groups checked against sums made here."""

import gc
import os
import pickle
import sys
import textwrap
from collections import defaultdict

import memprof
import pytest
from memprof import Frame, Snapshot, Statistic, StatisticDiff, Traceback
from memprof.model import units

KEYS = ("line", "file", "function", "stack")
METRICS = ("live", "peak", "total")
KILOBYTE = sys.getsizeof(bytes(1000))


@pytest.fixture(autouse=True)
def trace_ends():
    yield
    memprof.stop()


# ---- frames and tracebacks ---------------------------------------------------------------------


def test_frame():
    frame = Frame("a.py", 3, "f")
    assert str(frame) == "a.py:3"
    assert repr(frame) == "<Frame filename='a.py' lineno=3 function='f'>"
    assert (frame.filename, frame.lineno, frame.function, frame.folded) == frame
    assert frame == Frame("a.py", 3, "f", False) != Frame("a.py", 3, "f", True)
    assert hash(frame) == hash(Frame("a.py", 3, "f"))
    assert Frame("a.py", 3).function == "<unknown>"
    assert Frame("a.py", 9) < Frame("a.py", 10) < Frame("b.py", 1)
    with pytest.raises(AttributeError):
        frame.lineno = 4


OUTER, MIDDLE, INNER = ("a.py", 1, "f", False), ("b.py", 2, "g", True), ("c.py", 3, "h", False)


def test_traceback_is_a_sequence_of_frames_the_oldest_first():
    stack = Traceback([OUTER, MIDDLE, INNER])
    assert len(stack) == 3
    assert list(stack) == [OUTER, MIDDLE, INNER]
    assert isinstance(stack[0], Frame) and all(isinstance(frame, Frame) for frame in stack)
    assert stack[0].filename == "a.py" and stack[-1].function == "h" and stack[1].folded
    assert stack[1:] == (MIDDLE, INNER)
    assert stack[::-1][0].filename == "c.py"
    assert stack[5:] == ()
    assert INNER in stack and ("c.py", 4, "h", False) not in stack
    assert stack.index(MIDDLE) == 1 and stack.count(OUTER) == 1
    assert list(reversed(stack)) == [INNER, MIDDLE, OUTER]
    for index in (3, -4):
        with pytest.raises(IndexError):
            stack[index]


def test_traceback_text():
    assert str(Traceback([OUTER, INNER])) == "c.py:3"
    assert (
        repr(Traceback([OUTER])) == "<Traceback (<Frame filename='a.py' lineno=1 function='f'>,)>"
    )


def test_traceback_equality_hash_and_order():
    stack, same = Traceback([OUTER, INNER]), Traceback((OUTER, INNER))
    assert stack == same and hash(stack) == hash(same)
    assert stack != Traceback([INNER, OUTER]) and stack != Traceback([OUTER])
    assert stack != (OUTER, INNER)
    assert Traceback([OUTER]) < stack < Traceback([OUTER, MIDDLE, INNER][1:])
    with pytest.raises(TypeError):
        stack < (OUTER,)


def test_traceback_format(tmp_path):
    path = tmp_path / "source.py"
    path.write_text("one()\n    two()  \n\n")
    stack = Traceback((str(path), line, "f", False) for line in (1, 2, 3, 9))
    first, second = f'  File "{path}", line 1', f'  File "{path}", line 2'
    third, last = f'  File "{path}", line 3', f'  File "{path}", line 9'
    whole = [first, "    one()", second, "    two()", third, last]
    assert stack.format() == stack.format(10) == stack.format(-10) == whole
    assert stack.format(2) == [third, last]
    assert stack.format(limit=-2) == whole[:4]
    assert stack.format(0) == []
    assert stack.format(most_recent_first=True) == [last, third, *whole[2:4], *whole[:2]]
    assert stack.format(-2, True) == [*whole[2:4], *whole[:2]]


# ---- statistics --------------------------------------------------------------------------------


def test_statistic():
    row = Statistic(Traceback([OUTER, INNER]), 3_000_000, 4)
    assert (row.size, row.count, row.traceback) == (3_000_000, 4, Traceback([OUTER, INNER]))
    assert str(row) == "c.py:3: size=2930 KiB, count=4, average=732 KiB"
    assert str(Statistic(Traceback([OUTER]), 0, 0)) == "a.py:1: size=0 B, count=0"
    assert repr(row) == (
        "<Statistic traceback=<Traceback (<Frame filename='a.py' lineno=1 function='f'>, "
        "<Frame filename='c.py' lineno=3 function='h'>)> size=3000000 count=4>"
    )
    same = Statistic(Traceback([OUTER, INNER]), 3_000_000, 4)
    assert row == same and hash(row) == hash(same)
    assert row != Statistic(Traceback([OUTER]), 3_000_000, 4)
    assert row != Statistic(row.traceback, 3_000_001, 4) != Statistic(row.traceback, 3_000_001, 5)
    assert row != (row.traceback, row.size, row.count)
    with pytest.raises(AttributeError):
        row.other = 1


def test_statistic_diff():
    row = StatisticDiff(Traceback([INNER]), 5000, -700, 2, 1)
    assert (row.size, row.size_diff, row.count, row.count_diff) == (5000, -700, 2, 1)
    assert str(row) == "c.py:3: size=5000 B (-700 B), count=2 (+1), average=2500 B"
    assert str(StatisticDiff(Traceback([INNER]), 0, 0, 0, -3)) == (
        "c.py:3: size=0 B (+0 B), count=0 (-3)"
    )
    assert repr(row) == (
        "<StatisticDiff traceback=<Traceback (<Frame filename='c.py' lineno=3 function='h'>,)> "
        "size=5000 (-700) count=2 (+1)>"
    )
    same = StatisticDiff(Traceback([INNER]), 5000, -700, 2, 1)
    assert row == same and hash(row) == hash(same)
    for other in [(5001, -700, 2, 1), (5000, -701, 2, 1), (5000, -700, 3, 1), (5000, -700, 2, 2)]:
        assert row != StatisticDiff(row.traceback, *other)
    assert row != Statistic(row.traceback, 5000, 2)


@pytest.mark.parametrize(
    "value, text, signed",
    [
        (0, "0 B", "+0 B"),
        (-1, "-1 B", "-1 B"),
        (10_239, "10239 B", "+10239 B"),
        (10_240, "10.0 KiB", "+10.0 KiB"),
        (102_399, "100.0 KiB", "+100.0 KiB"),
        (102_400, "100 KiB", "+100 KiB"),
        (-10 * 2**20, "-10.0 MiB", "-10.0 MiB"),
        (2**40 * 12_000, "12000 TiB", "+12000 TiB"),
    ],
)
def test_sizes_in_words(value, text, signed):
    assert units.size(value) == text
    assert units.size(value, sign=True) == signed


# ---- snapshots of a small world ----------------------------------------------------------------

WORLD = {
    "world/a.py": """
        def one(keep): keep.append(bytes(1000))
        def two(keep): one(keep); one(keep); three(keep)
        def other(keep): [bytearray(300)
                          for _ in range(3)]; keep.append(bytearray(300))
    """,
    "world/b.py": """
        def three(keep): keep.append(b"x" * len(keep) * 100); four(keep, 3)
        def four(keep, n):
            if n: return four(keep, n - 1)
            keep.append(bytes(1000))
        class Five:
            def __init__(self, keep): keep.append(bytes(1000)); keep.append(bytes(1000))
        class Six:
            def __init__(self, keep): keep.append(bytes(1000)); keep.append(bytes(1000))
    """,
}
WORLD_CALLS = ("one", "two", "other", "Five", "two", "Six", "three")
IN_WORLD = [memprof.Filter(True, "world/*", all_frames=True)]


@pytest.fixture
def world():
    """The functions of WORLD, with a list that is large enough for what they keep."""
    names = {}
    for path in reversed(WORLD):
        exec(compile(textwrap.dedent(WORLD[path]), path, "exec"), names)
    return names


def live_in(world, *functions):
    keep = []
    for name in functions:
        world[name](keep)
    return keep


@pytest.fixture
def snapshot(world):
    live_in(world, *WORLD_CALLS)  # the first calls allocate data of the code, on some versions
    memprof.start()
    keep = live_in(world, *WORLD_CALLS)
    taken = memprof.take_snapshot().filter_traces(IN_WORLD)
    del keep
    memprof.stop()
    return taken


WIDTH = {"file": 1, "line": 2, "function": 3}  # how much of a frame names its group


def sums(snapshot, key, cumulative, metric):
    """Statistics of any key from those of stacks: {group: (size, count)}."""
    first_lines = {location[:3]: location[3] for location in snapshot._core.locations()}
    groups = defaultdict(lambda: (0, 0))
    for row in snapshot.statistics("stack", metric=metric):
        frames = [frame[:3] for frame in row.traceback]
        if key == "function":
            frames = [(file, first_lines[file, line, name], name) for file, line, name in frames]
        frames = frames if cumulative else frames[-1:]
        for group in {frame[: WIDTH[key]] for frame in frames}:
            size, count = groups[group]
            groups[group] = size + row.size, count + row.count
    return dict(groups)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize("key", WIDTH)
def test_groups_are_sums_of_stacks(snapshot, key, cumulative, metric):
    rows = snapshot.statistics(key, cumulative, metric=metric)
    found = {row.traceback[0][: WIDTH[key]]: (row.size, row.count) for row in rows}
    assert found == sums(snapshot, key, cumulative, metric)
    assert len(found) == len(rows) > 1
    assert all(len(row.traceback) == 1 for row in rows)
    assert key != "file" or {row.traceback[0][1:3] for row in rows} == {(0, "<unknown>")}


def test_live_blocks_of_the_small_world(snapshot):
    rows = {row.traceback[0]: (row.size, row.count) for row in snapshot.statistics("line")}
    assert rows["world/a.py", 2, "one", False][0] >= 5 * KILOBYTE
    assert rows["world/b.py", 7, "Five.__init__", False][0] >= 2 * KILOBYTE
    functions = {row.traceback[0][:3]: row for row in snapshot.statistics("function", True)}
    assert functions["world/a.py", 3, "two"].size >= 2 * (3 * KILOBYTE + sys.getsizeof(b""))
    assert ("world/b.py", 3, "four") in functions
    (folded,) = {
        row.traceback[-1]
        for row in snapshot.statistics("stack")
        if row.traceback[-1].function == "four"
    }
    assert folded == ("world/b.py", 5, "four", True)


def test_functions_of_one_name_are_told_apart_by_their_first_line(world):
    names = {}
    text = "def same(): return bytes(1000)\nfirst = same\ndef same(): return bytes(2000)\n"
    exec(compile(text, "world/same.py", "exec"), names)
    keep = names["first"](), names["same"]()  # for the first calls see snapshot()
    memprof.start()
    keep = names["first"](), names["same"]()
    rows = memprof.take_snapshot().filter_traces(IN_WORLD).statistics("function")
    assert [(row.traceback[0][:3], row.size) for row in rows] == [
        (("world/same.py", 3, "same"), KILOBYTE + 1000),
        (("world/same.py", 1, "same"), KILOBYTE),
    ]
    del keep


@pytest.mark.parametrize(
    "alias, key", [("lineno", "line"), ("filename", "file"), ("traceback", "stack")]
)
def test_tracemallocs_names_of_keys(snapshot, alias, key):
    assert snapshot.statistics(alias) == snapshot.statistics(key) != []
    assert snapshot.compare_to(snapshot, alias) == snapshot.compare_to(snapshot, key)


def test_unknown_words(snapshot):
    for act in (snapshot.statistics, lambda *a, **k: snapshot.compare_to(snapshot, *a, **k)):
        with pytest.raises(ValueError, match="^unknown key: 'lines'"):
            act("lines")
        with pytest.raises(ValueError, match="^unknown metric: 'alive'"):
            act("line", metric="alive")
        for key in ("stack", "traceback"):
            with pytest.raises(ValueError, match=f"cumulative makes no sense for key '{key}'"):
                act(key, cumulative=True)
    with pytest.raises(TypeError, match="cannot compare with list"):
        snapshot.compare_to([], "line")


def sorted_as_tracemalloc_does(rows):
    return sorted(rows, key=lambda row: (row.size, row.count, row.traceback), reverse=True)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("key", KEYS)
def test_order_of_statistics(key, metric):
    names = ("é", "\uffff", "\ud800", "🐍", "z", "Z", "zz")  # equal sizes: the names decide
    scope = {"keep": [None] * 1000}
    memprof.start()
    for i, name in enumerate(names * 3):
        text = "\n" * (i % 4) + f"keep[{i}], keep[{i + 100}] = bytes(500), bytes({500 + i % 2})"
        exec(compile(text, f"order/{name}", "exec"), scope)
    snapshot = memprof.take_snapshot().filter_traces([memprof.Filter(True, "order/*")])
    rows = snapshot.statistics(key, metric=metric)
    assert rows == sorted_as_tracemalloc_does(rows)
    assert len({(row.size, row.count) for row in rows}) < len(rows) >= len(names)


# ---- comparing ---------------------------------------------------------------------------------


@pytest.fixture
def two_snapshots(world):
    memprof.start()
    one = live_in(world, "one", "two", "Five")
    before = memprof.take_snapshot().filter_traces(IN_WORLD)
    two = live_in(world, "two", "three", "other", "Six")
    del one[:3]
    after = memprof.take_snapshot().filter_traces(IN_WORLD)
    del two
    memprof.stop()
    return before, after


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "key, cumulative",
    [*((k, False) for k in KEYS), ("line", True), ("file", True), ("function", True)],
)
def test_compare_to_subtracts(two_snapshots, key, cumulative, metric):
    before, after = (
        {row.traceback: row for row in some.statistics(key, cumulative, metric=metric)}
        for some in two_snapshots
    )
    none = Statistic(None, 0, 0)
    wanted = set()
    for traceback in before.keys() | after.keys():
        old, new = before.get(traceback, none), after.get(traceback, none)
        wanted.add(
            StatisticDiff(
                traceback, new.size, new.size - old.size, new.count, new.count - old.count
            )
        )
    rows = two_snapshots[1].compare_to(two_snapshots[0], key, cumulative, metric=metric)
    rows = [row for row in rows if row.size or row.size_diff or row.count_diff]
    assert set(rows) == wanted and len(rows) == len(wanted)
    assert rows == sorted(
        rows,
        key=lambda r: (abs(r.size_diff), r.size, abs(r.count_diff), r.count, r.traceback),
        reverse=True,
    )


def test_compare_to_leaves_out_what_is_in_neither(two_snapshots):
    before, after = two_snapshots
    tracebacks = {row.traceback for some in (before, after) for row in some.statistics("line")}
    assert {row.traceback for row in after.compare_to(before, "line")} == tracebacks


def test_compare_to_itself(snapshot):
    rows = snapshot.compare_to(snapshot, "line", metric="total")
    assert rows and all(row.size_diff == row.count_diff == 0 for row in rows)
    same = [Statistic(row.traceback, row.size, row.count) for row in rows]
    assert same == snapshot.statistics("line", metric="total")


# ---- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
def test_dump_and_load(two_snapshots, tmp_path, kind):
    loaded = []
    for number, snapshot in enumerate(two_snapshots):
        path = kind(tmp_path / f"profile {number}")
        snapshot.dump(path)
        loaded.append(Snapshot.load(path))
    for key in KEYS:
        for metric in METRICS:
            for snapshot, again in zip(two_snapshots, loaded, strict=True):
                rows = snapshot.statistics(key, metric=metric)
                assert again.statistics(key, metric=metric) == rows
            wanted = two_snapshots[1].compare_to(two_snapshots[0], key, metric=metric)
            assert loaded[1].compare_to(loaded[0], key, metric=metric) == wanted
            assert loaded[1].compare_to(two_snapshots[0], key, metric=metric) == wanted
    assert loaded[0].facts == two_snapshots[0].facts
    assert loaded[0].traced_memory == two_snapshots[0].traced_memory


def test_notes_of_a_profile(world, tmp_path):
    memprof.start(notes={"command": "a b=c", "größe": "two\nlines"})
    snapshot = memprof.take_snapshot()
    snapshot.dump(tmp_path / "profile")
    notes = Snapshot.load(tmp_path / "profile").notes
    assert notes == snapshot.notes
    assert notes["memprof"] == memprof.__version__
    assert (notes["command"], notes["größe"]) == ("a b=c", "two lines")


def test_notes_of_a_filtered_snapshot(two_snapshots):
    assert two_snapshots[0].notes["memprof"] == memprof.__version__


def test_dump_replaces_a_file_or_leaves_it(snapshot, tmp_path):
    path = tmp_path / "profile"
    path.write_text("something else")
    with pytest.raises(ValueError, match="not a memprof profile") as caught:
        Snapshot.load(path)
    assert str(path) in str(caught.value)
    snapshot.dump(path)
    assert Snapshot.load(path).statistics("line") == snapshot.statistics("line")
    with pytest.raises(OSError) as caught:
        snapshot.dump(tmp_path)
    assert caught.value.filename == str(tmp_path)
    assert os.listdir(tmp_path) == ["profile"]


def test_load_of_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        Snapshot.load(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")
    with pytest.raises(ValueError, match="not a regular file"):
        Snapshot.load(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="empty"):
        Snapshot.load(tmp_path / "empty")
    with pytest.raises(TypeError):
        Snapshot.load(None)
    with pytest.raises(ValueError, match="null"):
        Snapshot.load("with\0nul")


def test_a_snapshot_outlives_the_trace_and_does_not_change(world):
    memprof.start()
    keep = live_in(world, "two")
    snapshot = memprof.take_snapshot()
    text, rows = repr(snapshot), snapshot.statistics("stack")
    live, peak = snapshot.traced_memory
    keep += live_in(world, "two", "Five")
    memprof.stop()
    del keep
    gc.collect()
    assert snapshot.statistics("stack") == rows
    assert repr(snapshot) == text
    assert text == f"<Snapshot live={units.size(live)} peak={units.size(peak)}>"
    with pytest.raises(TypeError):
        pickle.dumps(snapshot)
