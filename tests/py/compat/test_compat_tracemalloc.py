"""memprof.compat.tracemalloc against CPython's own tests of tracemalloc, and against tracemalloc.

Of test.test_tracemalloc the classes TestCommandLine and TestCAPI are not run: they are about
the interpreter's options and C functions, which start and feed its own tracer.
"""

import importlib.util
import sys
import tracemalloc as std
import unittest
import warnings

import memprof
import memprof.compat.tracemalloc as shim
import pytest
from conftest import run_plain

# ---- CPython's tests -------------------------------------------------------------------------

CLASSES = ("TestTraceback", "TestTracemallocEnabled", "TestSnapshot", "TestFilters")

CANNOT_PASS = {
    "TestTracemallocEnabled.test_new_reference": (
        "the second list comes from CPython's free list without a call of the allocator and keeps "
        "the first one's line: up to 3.12 only CPython's own tracer is told of it "
        "(_PyTraceMalloc_NewReference), from 3.13 on whoever asks for it (PyRefTracer)"
    ),
}
if sys.version_info >= (3, 13):
    CANNOT_PASS = {}


def cpython_module():
    """test.test_tracemalloc of this interpreter, or None where its tests are not installed."""
    try:
        found = importlib.util.find_spec("test.test_tracemalloc")
    except ModuleNotFoundError:
        found = None
    return importlib.import_module("test.test_tracemalloc") if found else None


def cpython_names():
    module = cpython_module()
    if module is None:
        return []
    names = unittest.TestLoader().getTestCaseNames
    return [f"{name}.{test}" for name in CLASSES for test in names(getattr(module, name))]


def cpython_params():
    names = cpython_names()
    if not names:
        package = f"libpython{sys.version_info[0]}.{sys.version_info[1]}-testsuite"
        missing = f"no test.test_tracemalloc here (on Debian it is in {package})"
        return [pytest.param("", marks=pytest.mark.skip(reason=missing), id="not-installed")]
    marks = {
        name: pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason=reason)
        for name, reason in CANNOT_PASS.items()
    }
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


@pytest.fixture(autouse=True)
def nothing_is_traced():
    yield
    shim.stop()
    memprof.stop()
    std.stop()


@pytest.fixture
def in_place(monkeypatch):
    """The shim where everybody looks for tracemalloc."""
    monkeypatch.setitem(sys.modules, "tracemalloc", shim)


# The test case is run alone, not by unittest's suites: those call each other in recursion, which
# memprof folds, and test_set_traceback_limit and test_snapshot count the frames of their callers.
@pytest.mark.parametrize("name", cpython_params())
def test_cpython(name, in_place, monkeypatch, tmp_path):
    module = cpython_module()
    monkeypatch.setattr(module, "tracemalloc", shim)
    monkeypatch.chdir(tmp_path)
    class_name, method = name.split(".")
    result = unittest.TestResult()
    getattr(module, class_name)(method).run(result)
    assert result.testsRun == 1
    for _, why in result.errors + result.failures + result.skipped:
        pytest.fail(why, pytrace=False)


def test_cpython_has_what_cannot_pass():
    names = cpython_names()
    assert not names or set(CANNOT_PASS) <= set(names)


# ---- the same as the standard library --------------------------------------------------------

WORK = """
def inner(keep, size):
    keep.append(bytes(size))

def work(keep):
    for size in (1000, 2000, 70000):
        inner(keep, size)
    keep.append(bytearray(3_000_000))
    keep.append(bytes(11))
"""


def snapshot_of_work(module, path, nframe):
    """Snapshot of the blocks that WORK's lines allocated under `module`'s tracer."""
    space = {}
    exec(compile(WORK, path, "exec"), space)
    keep = []
    module.start(nframe)
    space["work"](keep)
    snapshot = module.take_snapshot()
    module.stop()
    return snapshot.filter_traces([module.Filter(True, path)])


@pytest.fixture
def work_file(tmp_path):
    path = tmp_path / "work.py"
    path.write_text(WORK)
    return str(path)


@pytest.mark.parametrize("nframe", [1, 2, 50])
def test_traces_are_those_of_the_standard_library(work_file, nframe):
    ours, theirs = (snapshot_of_work(module, work_file, nframe) for module in (shim, std))
    assert len(ours.traces) >= 5
    assert sorted(ours.traces._traces) == sorted(theirs.traces._traces)


GROUPINGS = [
    ("lineno", False),
    ("filename", False),
    ("traceback", False),
    ("lineno", True),
    ("filename", True),
]


def strings(rows):
    return [(str(row), repr(row), row.traceback.format()) for row in rows]


@pytest.mark.parametrize(("key", "cumulative"), GROUPINGS)
def test_strings_are_those_of_the_standard_library(work_file, key, cumulative):
    ours, theirs = (snapshot_of_work(module, work_file, 2) for module in (shim, std))
    rows = ours.statistics(key, cumulative)
    assert work_file in repr(rows)
    assert strings(rows) == strings(theirs.statistics(key, cumulative))
    changes = ours.compare_to(theirs, key, cumulative)
    assert strings(changes) == strings(theirs.compare_to(theirs, key, cumulative))


def test_every_name_is_there():
    public = {name for name in vars(std) if name[0] != "_" and callable(getattr(std, name))}
    assert public - {"Sequence", "Iterable", "total_ordering"} == set(shim.__all__)
    for name in ("_get_traces", "_get_object_traceback", "_format_size", "_normalize_filename"):
        assert callable(getattr(shim, name))


def error_of(function, *args):
    with pytest.raises(Exception) as caught:
        function(*args)
    return type(caught.value), str(caught.value)


BAD_LIMITS = [0, -1, 65536, 2**30, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**70, 1.0, "1", None]


@pytest.mark.parametrize("nframe", BAD_LIMITS)
def test_start_refuses_what_the_standard_library_refuses(nframe):
    assert error_of(shim.start, nframe) == error_of(std.start, nframe)
    assert not shim.is_tracing()


def test_start_takes_no_keyword():
    assert error_of(lambda: shim.start(nframe=1))[0] is error_of(lambda: std.start(nframe=1))[0]


def test_errors_of_a_snapshot():
    assert error_of(shim.take_snapshot) == error_of(std.take_snapshot)
    shim.start()
    snapshot = shim.take_snapshot()
    assert error_of(snapshot.statistics, "nothing")[0] is ValueError
    assert error_of(snapshot.statistics, "traceback", True)[0] is ValueError
    assert error_of(snapshot.filter_traces, 1)[0] is TypeError


# ---- dumps -----------------------------------------------------------------------------------


def output_of(code, *args):
    done = run_plain("-c", code, *args)
    assert (done.stderr, done.status) == ("", 0)
    return done.stdout


LOAD = """
import sys, tracemalloc
snapshot = tracemalloc.Snapshot.load(sys.argv[1])
print(snapshot.traceback_limit, len(snapshot.traces), snapshot.mark)
print(snapshot.statistics("lineno")[0])
assert not any(name.startswith("memprof") for name in sys.modules)
"""

DUMP = """
import sys, tracemalloc
tracemalloc.start(4)
keep = bytearray(1_000_000)
snapshot = tracemalloc.take_snapshot()
snapshot.mark = "kept"
snapshot.dump(sys.argv[1])
"""


def test_standard_library_loads_our_dump(tmp_path, in_place):
    path = str(tmp_path / "dump")
    shim.start(4)
    keep = bytearray(1_000_000)
    snapshot = shim.take_snapshot()
    snapshot.mark = "kept"
    snapshot.dump(path)
    head, row = output_of(LOAD, path).splitlines()
    assert head == f"4 {len(snapshot.traces)} kept"
    assert row == str(snapshot.statistics("lineno")[0])
    assert len(keep) == 1_000_000 and __file__ in row


def test_we_load_a_dump_of_the_standard_library(tmp_path, in_place):
    path = str(tmp_path / "dump")
    output_of(DUMP, path)
    snapshot = shim.Snapshot.load(path)
    assert isinstance(snapshot, shim.Snapshot)
    assert (snapshot.traceback_limit, snapshot.mark) == (4, "kept")
    assert snapshot.statistics("lineno")[0].size >= 1_000_000


# ---- the limit -------------------------------------------------------------------------------


def allocate(depth, kept):
    return bytes(3000) if depth == 0 else kept(allocate, depth)


def call_a(function, depth):
    return call_b(function, depth)


def call_b(function, depth):
    return function(depth - 1, None)


def traceback_at(nframe):
    shim.start(nframe)
    block = allocate(1, call_a)
    trace = next(
        trace for trace in shim.take_snapshot().traces if trace.size == sys.getsizeof(block)
    )
    frames = shim.get_object_traceback(block)
    shim.stop()
    return trace.traceback, frames


@pytest.mark.parametrize("nframe", [1, 2, 3])
def test_limit_keeps_the_most_recent_frames(nframe):
    whole, _ = traceback_at(65535)
    cut, of_object = traceback_at(nframe)
    assert cut == of_object
    assert list(cut)[:-1] == list(whole)[-nframe:-1]
    assert cut[-1].lineno == allocate.__code__.co_firstlineno + 1
    assert len(cut) == nframe and cut.total_nframe == whole.total_nframe == len(whole) > 3


def test_limit_is_that_of_the_start_that_began():
    shim.start(7)
    shim.start(3)
    assert shim.get_traceback_limit() == 7
    shim.stop()
    assert shim.get_traceback_limit() == 7
    shim.start()
    assert shim.get_traceback_limit() == 1


def test_equal_frames_are_one_tuple():
    shim.start(1)
    blocks = [bytes(4001), [bytes(4001) for _ in "ab"]]
    frames = [trace[2] for trace in shim._get_traces()]
    assert len({id(item) for item in frames}) == len(set(frames))
    assert blocks


def recurse(depth):
    return bytearray(5000) if depth == 0 else recurse(depth - 1)


def test_recursion_is_folded():
    shim.start(100)
    block = recurse(50)
    lines = [frame.lineno for frame in shim.get_object_traceback(block)]
    assert lines.count(recurse.__code__.co_firstlineno + 1) == 1


# ---- one trace, two interfaces -----------------------------------------------------------------


def test_standard_library_tracer_stays_off():
    shim.start()
    assert not std.is_tracing()


def test_start_begins_a_trace_of_memprof():
    shim.start()
    assert memprof.is_tracing()
    memprof.start()  # no other options: joins
    shim.stop()
    assert not memprof.is_tracing()


def test_start_joins_a_native_trace_and_leaves_it():
    memprof.start()
    before = bytearray(1_000_000)
    assert not shim.is_tracing()
    assert shim.get_traced_memory() == (0, 0)
    shim.start(2)
    assert shim.is_tracing() and shim.get_traceback_limit() == 2
    assert shim.get_object_traceback(before) is not None
    shim.stop()
    assert not shim.is_tracing() and shim.get_traced_memory() == (0, 0)
    assert memprof.get_traced_memory()[0] > 1_000_000


def test_native_stop_ends_it_for_both():
    shim.start()
    memprof.stop()
    assert not shim.is_tracing()
    assert shim._get_traces() == []


def test_stop_spares_a_later_native_trace():
    shim.start()
    memprof.stop()
    memprof.start()
    shim.stop()
    assert memprof.is_tracing()


def test_without_a_trace_nothing_happens():
    block = bytearray(1000)
    shim.stop()
    shim.clear_traces()
    shim.reset_peak()
    assert shim.get_traced_memory() == (0, 0)
    assert shim.get_object_traceback(block) is None
    assert shim._get_traces() == []
    assert shim.get_tracemalloc_memory() >= 0


def test_without_a_trace_ever():
    code = (
        "import memprof.compat.tracemalloc as t; t.stop(); "
        "print(t._get_traces(), t.get_traceback_limit(), t.get_tracemalloc_memory() >= 0)"
    )
    assert output_of(code) == "[] 1 True\n"


def test_snapshot_is_not_in_the_trace():
    blocks = []
    lines = compile("blocks.append(bytearray(10))\n" * 5000, "many_lines.py", "exec")
    shim.start()
    exec(lines, {"blocks": blocks})
    shim.reset_peak()
    _, peak = shim.get_traced_memory()
    snapshots = [shim.take_snapshot() for _ in range(2)]
    live, later_peak = shim.get_traced_memory()
    assert later_peak - peak < 100_000
    del snapshots
    assert live - shim.get_traced_memory()[0] < 100_000
    assert len(blocks) == 5000


def test_cleared_is_exactly_empty():
    shim.start()
    for _ in range(1000):
        shim.clear_traces()
        assert shim.get_traced_memory() == (0, 0)


def test_unhooked_trace_warns():
    std.start()
    shim.start()
    std.stop()  # puts back the allocators it found
    with pytest.warns(RuntimeWarning, match="replaced Python's allocators") as caught:
        shim.take_snapshot()
    assert caught[0].filename == __file__


def test_warnings_show_the_allocation(in_place):
    shim.start(2)
    source = bytearray(100)
    text = warnings._formatwarnmsg(
        warnings.WarningMessage("unclosed", ResourceWarning, "x.py", 1, source=source)
    )
    assert "Object allocated at (most recent call last):" in text
    assert "source = bytearray(100)" in text
