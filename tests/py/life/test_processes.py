"""Threads, children and other tracers: every process has its own profile, nothing is lost."""

from __future__ import annotations

import json
import sys

import memprof
import pytest
from conftest import ALLOCATORS, PROGRAMS, environment, run_both, run_memprof, run_traced

FORKING = PROGRAMS / "forking.py"
PARENT_BYTES = 1000 * 1000  # of keep_in_parent()
CHILD_BYTES = 500 * 2000  # of keep_in_child()


@pytest.fixture
def trace_children(tmp_path):
    """Run a function of forking.py with -o: the result, its profile and the children's."""

    def run(name, *options):
        path = tmp_path / "run.mprof"
        memprof_options = ("-o", path, "--checkpoint", "0.1", *options)
        result = run_traced(FORKING, name, path, memprof=memprof_options)
        children = sorted(set(tmp_path.iterdir()) - {path})
        return result, memprof.Snapshot.load(path), children

    return run


def live_bytes(snapshot, function: str, metric="live") -> int:
    """In or below a function of forking.py."""
    rows = snapshot.statistics("stack", metric=metric)
    return sum(row.size for row in rows if function in {frame.function for frame in row.traceback})


def assert_is_about(size: int, expected: int) -> None:
    """A little more than expected: headers of objects, the list."""
    assert expected <= size <= expected * 1.15


def assert_profile_of_child(path) -> None:
    snapshot = memprof.Snapshot.load(path)
    assert path.name == f"run.mprof.{snapshot.facts['pid']}"
    assert snapshot.facts["lost"] == 0
    assert_is_about(live_bytes(snapshot, "keep_in_child"), CHILD_BYTES)
    assert_is_about(live_bytes(snapshot, "keep_in_parent"), PARENT_BYTES)


@pytest.mark.parametrize("name", ["child_that_exits", "child_that_fails", "child_that_is_killed"])
def test_forked_child_writes_its_own_profile(trace_children, name):
    result, parent, children = trace_children(name)
    assert "child ended with" in result.stdout
    assert live_bytes(parent, "keep_in_child") == 0
    assert_is_about(live_bytes(parent, "keep_in_parent"), PARENT_BYTES)
    (child,) = children
    assert_profile_of_child(child)


@pytest.mark.parametrize("name", ["child_that_exits", "child_of_a_child"])
def test_only_the_first_process_reports(trace_children, name):
    result, _, _ = trace_children(name)
    assert result.stderr.count("memprof  python ") == 1
    assert result.stderr.count("Resident memory at the end") == 1


def test_child_without_output_prints_nothing():
    result = run_traced(FORKING, "child_that_exits", memprof=())
    assert result.stdout == "child over\nchild ended with 3\n"
    assert result.stderr.count("memprof  python ") == 1


def test_child_of_a_child_writes_too(trace_children):
    _, _, children = trace_children("child_of_a_child")
    assert len(children) == 2
    sizes = [live_bytes(memprof.Snapshot.load(path), "keep_in_child") for path in children]
    assert min(sizes) == 0
    assert_is_about(max(sizes), CHILD_BYTES)


def test_child_of_a_child_has_the_name_of_a_child(trace_children):
    _, _, children = trace_children("child_of_a_child")
    pids = {memprof.Snapshot.load(path).facts["pid"] for path in children}
    assert {path.name for path in children} == {f"run.mprof.{pid}" for pid in pids}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("processes_of_multiprocessing", 2),
        ("pool_of_multiprocessing", 1),
        ("executor_of_processes", 1),
    ],
)
def test_children_of_multiprocessing_write_theirs(trace_children, name, count):
    result, _, children = trace_children(name)
    assert result.status == 0
    assert result.stderr.count("memprof  python ") == 1
    assert len(children) == count
    for child in children:
        snapshot = memprof.Snapshot.load(child)
        assert live_bytes(snapshot, "keep_in_child") >= CHILD_BYTES
        assert snapshot.facts["lost"] == 0


def test_generations_of_multiprocessing_do_not_pile_up(trace_children):
    result, _, _ = trace_children("generations_of_processes", "-q")
    sizes = [int(line.split()[1]) for line in result.stdout.splitlines()]
    assert len(sizes) == 5
    assert max(sizes) <= sizes[0] + 1


def test_fork_among_running_threads(trace_children):
    result, parent, children = trace_children("fork_among_threads")
    assert result.stdout.count("child ended with 3\n") == 5
    assert len(children) == 5
    for child in children:
        assert_profile_of_child(child)
    assert parent.facts["lost"] == 0


def test_forking_program_is_as_without_memprof():
    plain, traced = run_both(FORKING, "child_that_fails")
    assert plain.status == 0 and "ValueError: in the child" in plain.stderr
    assert traced == plain


def test_fork_warns_of_no_thread_of_ours(trace_children):
    """os.fork() in __main__ warns where there is more than one thread."""
    result, _, _ = trace_children("child_that_exits", "-q")
    assert result.stderr == ""


def test_json_report_of_the_parent_only(tmp_path):
    path = tmp_path / "report.json"
    run_traced(FORKING, "child_that_exits", memprof=("--format", "json", "-o", path))
    assert [path] == list(tmp_path.iterdir())
    rows = json.loads(path.read_text())["rows"]
    by_file = [row for row in rows if row["file"] == str(FORKING)]
    assert by_file[0]["function"] in ("keep_in_parent", "<listcomp>")
    assert_is_about(sum(row["bytes"] for row in by_file), PARENT_BYTES)


# ---- threads -----------------------------------------------------------------------------


def test_no_allocation_of_a_thread_is_lost(tmp_path):
    """Eight threads allocate at once; each one's blocks are counted, and freed blocks too."""
    path = tmp_path / "run.mprof"
    result = run_traced(PROGRAMS / "threading_blocks.py", memprof=("-q", "-o", path))
    assert result.stdout == "8 threads over\n"
    snapshot = memprof.Snapshot.load(path)
    assert snapshot.facts["lost"] == 0
    assert live_bytes(snapshot, "keep_one") == 8 * 1000 * sys.getsizeof(bytes(500))
    by_line = {
        (row.traceback[-1].function, metric): row.count
        for metric in ("live", "total")
        for row in snapshot.statistics("function", metric=metric)
    }
    assert by_line["keep_one", "live"] == by_line["keep_one", "total"] == 8 * 1000
    assert by_line["drop_one", "total"] == 8 * 1000
    assert ("drop_one", "live") not in by_line


# ---- beside other tracers ----------------------------------------------------------------


def test_program_that_uses_tracemalloc(tmp_path):
    path = tmp_path / "run.mprof"
    plain, traced = run_both(PROGRAMS / "using_tracemalloc.py")
    assert plain.status == 0 and plain.stdout.endswith("kept 100\n")
    assert traced == plain
    run_traced(PROGRAMS / "using_tracemalloc.py", memprof=("-q", "-o", path))
    snapshot = memprof.Snapshot.load(path)
    assert snapshot.facts["lost"] == 0
    assert_is_about(live_bytes(snapshot, "during"), 100 * 5000)
    assert_is_about(live_bytes(snapshot, "after"), 50 * 5000)


def test_tracemalloc_that_was_there_first(tmp_path):
    """Its stop() takes our hooks out; that is said, and what came before is kept."""
    path = tmp_path / "run.mprof"
    program = PROGRAMS / "using_tracemalloc.py"
    result = run_traced(program, memprof=("-o", path), python=("-X", "tracemalloc=2"))
    assert result.status == 0
    assert "another tool has replaced Python's allocators" in result.stderr
    snapshot = memprof.Snapshot.load(path)
    assert_is_about(live_bytes(snapshot, "during"), 100 * 5000)
    assert live_bytes(snapshot, "after") == 0


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_other_allocators(tmp_path, allocator):
    path = tmp_path / "run.mprof"
    changed = environment(PYTHONMALLOC=allocator)
    result = run_traced(FORKING, "child_that_exits", memprof=("-o", path), env=changed)
    assert (result.stdout, result.status) == ("child over\nchild ended with 3\n", 0)
    snapshot = memprof.Snapshot.load(path)
    assert snapshot.facts["lost"] == 0
    assert_is_about(live_bytes(snapshot, "keep_in_parent"), PARENT_BYTES)
    shown = run_memprof("show", path)
    assert shown.status == 0 and "Resident memory at the end" in shown.stdout
