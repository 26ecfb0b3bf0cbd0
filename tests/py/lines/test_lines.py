"""The line engine: what is allocated on which line, by construction."""

import os
import runpy
import subprocess
import sys
import time

import memprof
import pytest
from conftest import FREE_THREADED, PROGRAMS, run_plain
from lines_helpers import MB, SLACK, check, is_about, marked, profiling
from memprof import _core
from memprof.control import tracing
from memprof.control.line_profiler import LineProfiler

# ---- one function ------------------------------------------------------------------------------


def simple():
    a = bytearray(3 * MB)  # a
    b = bytearray(MB)  # b
    del a  # del
    for _ in range(5):  # for
        c = bytearray(2 * MB)  # c
    return len(b) + len(c)  # return


def test_each_line_has_what_it_allocates_and_frees():
    with profiling(simple) as prof:
        simple()
    rows = marked(prof, simple)
    check(rows["a"], 1, allocated=3 * MB, freed=0, net=3 * MB, peak=3 * MB)
    check(rows["b"], 1, allocated=MB, freed=0, peak=4 * MB)
    check(rows["del"], 1, allocated=0, freed=3 * MB, net=-3 * MB, peak=4 * MB)
    check(rows["for"], 6, allocated=0, freed=0, peak=3 * MB)
    # the old one goes when the new one is there
    check(rows["c"], 5, allocated=10 * MB, freed=8 * MB, net=2 * MB, peak=5 * MB)
    check(rows["return"], 1, allocated=0)


def test_calls_add_up_and_the_def_counts_them():
    with profiling(simple) as prof:
        for _ in range(3):
            simple()
    rows = marked(prof, simple)
    check(rows["a"], 3, allocated=9 * MB, peak=3 * MB)
    assert next(r for r in prof.rows() if r["source"].startswith("def simple"))["hits"] == 3


def test_hits_of_a_long_loop_are_exact_and_small_allocations_add_up():
    def loop():
        for _ in range(20_000):  # for
            x = bytes(967)  # body
        return x

    with profiling(loop) as prof:
        loop()
    rows = marked(prof, loop)
    size = sys.getsizeof(bytes(967))
    check(rows["for"], 20_001)
    check(rows["body"], 20_000, allocated=20_000 * size, freed=19_999 * size, peak=2 * size)


def turns(n):
    """How often a line with a while loop is begun: 3.14 goes back to its condition at the end."""
    return n + (sys.version_info >= (3, 14))


def test_jumps_within_a_line_are_no_hits():
    loop = runpy.run_path(str(PROGRAMS / "loops_on_one_line.py"))["loop"]

    with profiling(loop) as prof:
        loop()
    rows = marked(prof, loop)
    assert rows["jumps"].hits == 10
    assert rows["for"].hits == 11
    assert rows["loop"].hits == turns(9)
    with profiling(one_line) as prof:
        for i in range(5):
            one_line(i)
    assert [row["hits"] for row in prof.rows()] == [5]


def test_each_turn_of_a_loop_on_one_line_is_a_hit():
    loops = runpy.run_path(str(PROGRAMS / "loops_on_one_line.py"))["loops"]
    lines = loops.__code__.co_firstlineno
    with profiling(loops) as prof:
        for _ in range(5):
            loops(200)  # integers that exist
    rows = marked(prof, loops)
    size = sys.getsizeof(bytes(967))
    check(rows["for"], 5 * 201, allocated=5 * 200 * size)
    check(rows["while"], 5 * turns(199), allocated=5 * 199 * size)
    check(rows["outer"], 5 * 201, allocated=0)
    check(rows["inner"], 5 * 200 * 4)
    far = {}
    source = "\n" * lines + "def far(n):\n" + "    n += 1\n" * 400 + "    while n > 401: n -= 1\n"
    exec(compile(source, "far.py", "exec"), far)
    with profiling(far["far"]) as prof:
        far["far"](5000)
    last = prof.rows()[-1]
    assert last["hits"] == turns(5000 - 1) and last["allocated"] - last["freed"] <= SLACK, last
    # the integers that the loop makes, no more
    assert last["allocated"] <= (sys.getsizeof(5000) + 5) * 5000 + SLACK


one_line = lambda n: n and 3 or 4  # noqa: E731


def test_a_peak_within_a_line_is_seen():
    def spike():
        n = len(bytearray(7 * MB))  # spike
        return n  # after

    with profiling(spike) as prof:
        spike()
    rows = marked(prof, spike)
    check(rows["spike"], 1, allocated=7 * MB, freed=7 * MB, net=0, peak=7 * MB)
    check(rows["after"], peak=0)


def test_lines_beyond_256_cost_nothing_either():
    """The interpreter makes an int object for the number of a line."""
    source = "\n" * 70_000 + "def far():\n    for _ in range(5000):\n        pass\n"
    space = {}
    exec(compile(source, "far.py", "exec"), space)
    with profiling(space["far"]) as prof:
        space["far"]()
    rows = {row["line"]: row for row in prof.rows()}
    assert sorted(rows) == [70_001, 70_002, 70_003]
    assert rows[70_003]["hits"] == 5000
    for row in rows.values():
        assert (
            row["allocated"] <= 5000 * (sys.getsizeof(70_000) + 5) and abs(row["net"]) <= SLACK
        ), row
    assert rows[70_003]["allocated"] <= SLACK and rows[70_003]["freed"] <= SLACK
    assert _core.check() is None


def test_comprehensions_and_inner_functions_are_in_the_outer_ones_lines():
    def outer():
        data = [bytes(9967) for _ in range(100)]  # comprehension

        def inner():
            return bytearray(MB)  # inner

        inner()  # call
        inner()  # call2
        return data

    with profiling(outer) as prof:
        outer()
    rows = marked(prof, outer)
    check(rows["comprehension"], net=100 * 10_000, peak=MB)
    check(rows["inner"], 2, allocated=2 * MB)
    check(rows["call"], 1, allocated=MB, freed=MB, peak=2 * MB)


def test_what_a_line_calls_is_included():
    def callee():
        x = bytearray(5 * MB)
        del x
        return bytearray(MB)

    def caller():
        y = callee()  # call
        return y  # return

    with profiling(caller) as prof:
        caller()
    rows = marked(prof, caller)
    check(rows["call"], 1, allocated=6 * MB, freed=5 * MB, net=MB, peak=5 * MB)
    check(rows["return"], 1, allocated=0, peak=MB)


# ---- enabling ------------------------------------------------------------------------------------


def test_two_profilers_of_one_function():
    with profiling(simple) as outer:
        simple()
        with profiling(simple) as inner:
            simple()
            assert sys.gettrace() is None
        simple()
    check(marked(outer, simple)["c"], 15, allocated=30 * MB, freed=24 * MB, peak=5 * MB)
    check(marked(inner, simple)["c"], 5, allocated=10 * MB, freed=8 * MB, peak=5 * MB)


def test_enabled_inside_the_function_itself():
    prof = LineProfiler()

    def itself():
        x = bytearray(MB)  # before
        prof.enable()
        y = bytearray(2 * MB)  # within
        prof.disable()
        z = bytearray(3 * MB)  # after
        return x, y, z

    prof.add_function(itself)
    for _ in range(2):
        itself()
    rows = marked(prof, itself)
    assert not {"before", "after"} & set(rows)
    if "within" in rows:  # 3.11 sees a frame from its beginning only
        check(rows["within"], 2, allocated=4 * MB, peak=2 * MB)


def test_an_exact_trace_goes_on_and_a_borrowed_one_ends():
    assert not memprof.is_tracing()
    with profiling(simple):
        assert not memprof.is_tracing() and not _core.is_tracing()
        simple()
        assert not memprof.is_tracing() and _core.is_tracing()
        with pytest.raises(RuntimeError):
            memprof.take_snapshot()
        memprof.start()
        kept = bytearray(MB)
        assert memprof.get_object_traceback(kept)[-1].filename == __file__
        memprof.stop()
        assert not memprof.is_tracing()
        simple()
    assert not _core.is_tracing() and tracing._state.holders == 0
    memprof.start()
    with profiling(simple) as prof:
        simple()
    assert memprof.is_tracing()
    check(marked(prof, simple)["a"], 1, allocated=3 * MB)
    assert _core.check() is None
    memprof.stop()


def test_code_that_is_not_selected_has_no_events():
    if sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is of 3.12")

    def other():
        return 1

    with profiling(simple):
        tools = [n for n in range(6) if sys.monitoring.get_tool(n) == "memprof lines"]
        assert len(tools) == 1 and tools[0] not in (0, 1, 2)
        other()
        assert sys.monitoring.get_local_events(tools[0], other.__code__) == 0
        assert sys.monitoring.get_local_events(tools[0], simple.__code__) != 0
    assert sys.monitoring.get_tool(tools[0]) is None


FORKED_THREADS = """
import os, sys, threading
from memprof.control.line_profiler import LineProfiler
def counted(wait):
    wait()
    return [bytes(1000) for _ in range(10)]
def run_threads(wait, meanwhile=lambda: None):
    done = []
    threads = [threading.Thread(target=lambda: done.append(counted(wait))) for _ in range(12)]
    for thread in threads: thread.start()
    meanwhile()
    for thread in threads: thread.join(60)
    return len(done)
prof = LineProfiler()
prof.add_function(counted)
go, inside = threading.Event(), threading.Barrier(13)
def wait():
    inside.wait(); go.wait()
def fork():
    inside.wait()
    pid = os.fork()
    if pid == 0:
        threading.stack_size(1 << 20)  # elsewhere than those of the parent
        os._exit(run_threads(threading.Barrier(12).wait))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 12
    go.set()
with prof:
    assert run_threads(wait, fork) == 12
"""


def test_threads_of_a_forked_child_have_stacks_of_their_own():
    result = run_plain("-W", "ignore::DeprecationWarning", "-c", FORKED_THREADS)
    assert (result.status, result.stderr) == (0, "")


def test_fork_in_a_profiled_function():
    def forks():
        x = bytearray(MB)  # x
        pid = os.fork()  # fork
        y = bytearray(2 * MB)  # y
        return pid, x, y

    with profiling(forks) as prof:
        pid, *_ = forks()
        if pid == 0:
            row = marked(prof, forks)["y"]
            os._exit(0 if row.hits == 1 and is_about(row.allocated, 2 * MB) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    check(marked(prof, forks)["y"], 1, allocated=2 * MB)


def test_a_profiler_that_is_never_disabled():
    code = (
        "from memprof import _core\nfrom memprof.control.line_profiler import LineProfiler\n"
        "p = LineProfiler()\n"
        "def f(): return bytearray(1000)\np.add_function(f); p.enable(); f()\n"
        "class Late:\n    def __del__(self): f(); print(_core.is_tracing(), len(p.rows()))\n"
        "late = Late()\n"
    )
    result = run_plain("-c", code)
    assert (result.status, result.stdout, result.stderr) == (0, "False 1\n", "")


def test_other_interpreters_are_refused():
    interpreters = pytest.importorskip(
        "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    )
    code = (
        "import sys; sys.path[:] = "
        + repr(sys.path)
        + "\nfrom memprof.control.line_profiler import LineProfiler\n"
        "def f(): pass\ntry:\n    LineProfiler()(f)()\nexcept RuntimeError as error:\n"
        "    assert 'main interpreter' in str(error)\nelse:\n    raise SystemError\n"
    )
    other = interpreters.create()
    try:
        assert interpreters.run_string(other, code) is None
    finally:
        interpreters.destroy(other)
    with profiling(simple) as prof:
        simple()
    check(marked(prof, simple)["a"], 1, allocated=3 * MB)


def test_no_memory_for_an_activation_loses_lines_not_the_program():
    with profiling(simple):
        for n in range(1, 6):
            _core.fail_nth(n)
            simple()
        _core.fail_nth(0)
    with profiling(simple) as prof:
        simple()
    check(marked(prof, simple)["a"], 1, allocated=3 * MB)


def test_many_calls_leave_no_memory_behind():
    def short():
        return 1

    for _ in range(50):
        with profiling(short):
            short()
    before = _core.own_memory()
    for _ in range(300):
        with profiling(short):
            short()
    assert _core.own_memory() - before < 200_000


# ---- resident memory -----------------------------------------------------------------------------


def test_resident_memory_follows_what_is_touched():
    def touches():
        a = bytes(b"x" * (64 * 2**20))  # touched
        time.sleep(0.001)
        del a  # given back

    with profiling(touches) as prof:
        touches()
    measures = prof.measures(prof.functions[0])
    rows = marked(prof, touches)
    up, down = (measures[rows[mark].line][0] for mark in ("touched", "given back"))
    assert 63 < up < 67
    if not FREE_THREADED:  # mimalloc gives it back later
        assert -67 < down < -63
        assert rows["touched"].rss - rows["given back"].rss > 60 * 2**20
    baseline = prof.functions[0].core.baseline()
    assert abs(rows["touched"].rss - baseline - 64 * 2**20) < 2 * 2**20


def test_native_memory_is_in_the_resident_column():
    import ctypes

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]

    def native():
        block = libc.malloc(ctypes.c_size_t(48 * 2**20))  # malloc
        ctypes.memset(block, 1, 48 * 2**20)  # touch
        libc.free(block)  # free

    with profiling(native) as prof:
        native()
    measures = prof.measures(prof.functions[0])
    rows = marked(prof, native)
    assert rows["touch"].allocated < 10 * SLACK
    assert 47 < measures[rows["touch"].line][0] < 50
    assert -50 < measures[rows["free"].line][0] < -47


def test_children_are_added():
    def spawns():
        child = subprocess.Popen(  # popen
            [sys.executable, "-c", "x = b'x' * (50 << 20); print(1, flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        child.stdout.readline()  # wait
        child.communicate(b"\n")  # end

    prof = LineProfiler(include_children=True)
    prof(spawns)()
    rows = marked(prof, spawns)
    assert rows["wait"].rss - rows["end"].rss > 50 * 2**20


@pytest.mark.parametrize("backend", ["psutil_pss", "psutil_uss"])
def test_other_metrics_of_resident_memory(backend):
    def touches():
        a = b"x" * (64 * 2**20)  # touched
        return len(a)

    prof = LineProfiler(backend=backend)
    prof(touches)()
    rows = marked(prof, touches)
    memory = prof.measures(prof.functions[0])[rows["touched"].line][1]
    assert 64 < memory <= rows["touched"].rss / 2**20
    assert memory < _core.resident(0) / 2**20 + 70


FORKED_WHILE_BUSY = """
import os, threading, time
from memprof.control import line_profiler as lines
prof = lines.LineProfiler()
def counted(): return bytes(1000)
prof.add_function(counted)
inside = threading.Event()
def busy():
    with lines._lock:
        inside.set()
        time.sleep(0.3)
threading.Thread(target=busy).start()
inside.wait()
pid = os.fork()
if pid == 0:
    import signal
    signal.alarm(60)
    with prof: counted()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
with prof: counted()
"""


def test_fork_while_another_thread_enables():
    result = run_plain("-W", "ignore::DeprecationWarning", "-c", FORKED_WHILE_BUSY)
    assert (result.status, result.stderr) == (0, "")
