"""The hooks are out of the way while no selected function runs, and the numbers stay right."""

import ctypes
import os
import subprocess
import sys
import sysconfig
import threading
import tracemalloc

import memprof
import pytest
from lines_helpers import MB, SLACK, check, marked, profiling
from memprof import _core
from memprof.control.line_profiler import LineProfiler

MEM, OBJ = 1, 2

HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")

pauses = pytest.mark.skipif(
    not HAS_GIL or os.environ.get("PYTHONMALLOC", "") != "",
    reason="the hooks stay in without pymalloc",
)


class Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in "ctx malloc calloc realloc free".split()]


def allocators():
    found = []
    for domain in (MEM, OBJ):
        allocator = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
        found.append(tuple(getattr(allocator, name) for name, _ in Allocator._fields_))
    return found


def seen():
    return allocators()


@pauses
def test_hooks_are_in_only_while_a_selected_function_runs():
    before = allocators()

    def steps():
        yield seen()
        yield seen()

    with profiling(seen, steps) as prof:
        assert allocators() == before
        assert seen() != before
        assert allocators() == before
        generator = steps()
        assert next(generator) != before
        assert allocators() == before  # suspended
        assert next(generator) != before
        with pytest.raises(ZeroDivisionError):
            exec("def fails():\n    1 / 0", space := {})
            prof.add_function(space["fails"])
            space["fails"]()
        assert allocators() == before
    assert allocators() == before
    assert not _core.is_tracing()


@pauses
def test_a_wrapped_function_keeps_a_paused_trace_until_somebody_ends_one():
    before = allocators()
    wrapped = LineProfiler()(seen)
    assert wrapped() != before
    assert allocators() == before
    assert not memprof.is_tracing() and memprof.get_traced_memory() == (0, 0)
    with pytest.raises(RuntimeError):
        memprof.take_snapshot()
    with profiling(seen):
        seen()
    assert not _core.is_tracing()


@pauses
def test_threads_that_run_selected_functions_keep_the_hooks_in():
    before = allocators()
    inside, go_on = threading.Event(), threading.Event()

    def waits():
        inside.set()
        go_on.wait(60)

    with profiling(waits):
        thread = threading.Thread(target=waits)
        thread.start()
        assert inside.wait(60)
        assert allocators() != before
        go_on.set()
        thread.join()
        assert allocators() == before


def test_what_is_freed_elsewhere_is_not_freed_again():
    def makes():
        return [bytearray(MB) for _ in range(8)]  # makes

    def ends(data):
        data.clear()  # ends

    with profiling(makes, ends) as prof:
        data = makes()
        data.clear()  # not selected: the addresses are free again
        data.extend(bytearray(MB) for _ in range(8))
        ends(data)
    assert marked(prof, makes)["makes"].net >= 8 * MB
    assert marked(prof, ends)["ends"].freed <= 8 * (MB + 1000)
    assert _core.check() is None


@pauses
def test_blocks_of_other_sizes_at_known_addresses():
    """Large blocks are followed while the hooks are out; small ones take their like's place."""

    def makes():
        return bytearray(4 * MB), [bytes([i % 256]) * (i % 480) for i in range(20_000)]

    def ends(things):
        del things[:]  # ends

    with profiling(makes, ends) as prof:
        large, small = makes()
        del large, small
        ends([bytearray(64 * 1024) for _ in range(100)])
        headers = 100 * sys.getsizeof(bytearray())
        assert marked(prof, ends)["ends"].freed <= headers + 2 * SLACK
        makes()[1].clear()
        small = [bytes(i % 480) for i in range(40_000)]
        size = sum(map(sys.getsizeof, small)) + sys.getsizeof(small)
        ends(small)
    assert marked(prof, ends)["ends"].freed <= size + 16 * len(small)
    assert _core.check() is None


def test_what_other_code_grows_is_freed_at_its_size():
    def makes():
        return bytearray(MB)

    def ends(data):
        data[0].clear()  # ends

    with profiling(makes, ends) as prof:
        data = makes()
        data.extend(bytes(2 * MB))
        ends([data])
    assert _core.check() is None
    check(marked(prof, ends)["ends"], 1, allocated=0)
    assert 3 * MB <= marked(prof, ends)["ends"].freed <= 3.5 * MB


def test_small_blocks_live_on_between_the_steps_of_a_generator():
    def steps():
        data = [float(i) for i in range(50_000)]  # makes
        yield 1
        del data  # frees
        yield 2

    with profiling(steps) as prof:
        for _ in steps():
            [str(i) for i in range(50_000)]
    rows = marked(prof, steps)
    assert rows["makes"].net >= 50_000 * 32
    check(rows["frees"], 1, freed=rows["makes"].net)


def test_a_trace_of_the_users_sees_everything():
    with profiling(seen):
        kept = seen(), [object() for _ in range(1000)]
        del kept
        memprof.start()
        try:
            assert memprof.get_traced_memory()[0] < 100_000
            data = bytearray(MB)
            assert memprof.get_traced_memory()[0] >= MB
            seen()
            data.extend(data)
            assert memprof.get_traced_memory()[0] >= 2 * MB
            assert _core.check() is None
        finally:
            memprof.stop()
        assert not memprof.is_tracing()
        seen()
    assert _core.check() is None and not _core.is_tracing()


@pytest.mark.parametrize("size", [60, MB])
@pytest.mark.parametrize("is_first", [False, pytest.param(True, marks=pauses)])
def test_tracemalloc_comes_and_goes_while_the_hooks_are_out(size, is_first):
    kept = [None] * (MB // size)

    def makes():
        for i in range(len(kept)):
            kept[i] = bytearray(size)  # makes

    if is_first:
        tracemalloc.start()
    try:
        with profiling(makes) as prof:
            for _ in range(3):
                makes()
                tracemalloc.start()
                try:
                    makes()
                    assert tracemalloc.get_traced_memory()[0] >= 0.9 * MB
                finally:
                    tracemalloc.stop()
                makes()
    finally:
        tracemalloc.stop()
    count = 9 * len(kept)
    row, truth = marked(prof, makes)["makes"], count * sys.getsizeof(bytearray(size))
    if HAS_GIL:
        check(row, count, allocated=truth)
    else:  # objects that Python has made for the call may come from free lists, or not
        assert row.hits == count and row.allocated >= truth


def test_a_child_of_a_thread_in_a_selected_function_pauses(tmp_path):
    program = f"""if True:
        import os, sys, threading
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_lines_pause import allocators, profiling
        before = allocators()
        inside, go_on = threading.Event(), threading.Event()

        def waits():
            inside.set()
            go_on.wait(60)

        def seen():
            return allocators()

        with profiling(waits, seen):
            thread = threading.Thread(target=waits)
            thread.start()
            inside.wait(60)
            child = os.fork()
            if not child:
                ok = allocators() == before and seen() != before and allocators() == before
                os._exit(0 if ok else 1)
            status = os.waitpid(child, 0)[1]
            go_on.set()
            thread.join()
        sys.exit(status != 0 or allocators() != before)
    """
    if not pauses.args[0]:
        path = tmp_path / "program.py"
        path.write_text(program)
        done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


# Runs the program on stdin, whose lines have a source.
WITH_SOURCE = (
    "import linecache, sys; source = sys.stdin.read();"
    "linecache.cache['<it>'] = len(source), None, source.splitlines(True), '<it>';"
    "exec(compile(source, '<it>', 'exec'))"
)


@pytest.mark.parametrize("allocator", ["malloc", "debug", "pymalloc_debug"])
def test_other_allocators_of_python(allocator):
    """Where a large block is none of RAW the hooks stay in."""
    if not HAS_GIL and allocator != "debug":
        pytest.skip("free-threaded builds have mimalloc only")
    program = """if True:
        from memprof import _core
        from memprof.control.line_profiler import LineProfiler

        def makes():
            return bytearray(1 << 20)

        def ends(data):
            data.clear()

        prof = LineProfiler()
        prof.add_function(makes)
        prof.add_function(ends)
        with prof:
            for _ in range(3):
                data = [makes()]
                data.clear()
                data.append(bytearray(64))
                ends(data)
                ends([makes()])
        rows = {row["source"].strip(): row for row in prof.rows()}
        assert rows["return bytearray(1 << 20)"]["allocated"] >= 6 << 20
        assert 3 << 20 <= rows["data.clear()"]["freed"] <= (3 << 20) + 8192, rows
        assert _core.check() is None
    """
    done = subprocess.run(
        [sys.executable, "-c", WITH_SOURCE],
        input=program,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONMALLOC": allocator},
    )
    assert done.returncode == 0, done.stderr
