"""memprof.tracing: what a trace records, how large, and at which line.

A line of this file that ends in ``# @ name`` can be asked for by that name.
"""

import bz2
import ctypes
import gc
import os
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import memprof
import pytest
from conftest import FREE_THREADED, PEAK_SLACK
from memprof import _core

with open(__file__, encoding="utf-8") as source:
    MARKS = {
        text.rsplit("# @ ", 1)[1].strip(): number
        for number, text in enumerate(source, 1)
        if "# @ " in text and '"' not in text.rsplit("# @ ", 1)[1]
    }


@pytest.fixture(autouse=True)
def trace_ends():
    assert not memprof.is_tracing()
    yield
    memprof.stop()


def at(name, metric="live", snapshot=None):
    """(bytes, blocks) of a marked line."""
    rows = (snapshot or memprof.take_snapshot()).statistics("line", metric=metric)
    where = (__file__, MARKS[name])
    return next(((r.size, r.count) for r in rows if r.traceback[0][:2] == where), (0, 0))


def check_when_settled():
    """None, or why not. Before 3.13 join() comes back while the thread is still freeing."""
    deadline = time.monotonic() + 60
    while (why := _core.check()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return why


# ---- start, stop and their kin -----------------------------------------------------------------


def test_not_tracing():
    assert memprof.is_tracing() is False
    assert memprof.get_traced_memory() == (0, 0)
    assert memprof.get_object_traceback(object()) is None
    memprof.stop()
    memprof.clear()
    memprof.reset_peak()
    assert memprof.get_traced_memory() == (0, 0)
    assert not memprof.is_tracing()
    with pytest.raises(RuntimeError, match="^memprof is not tracing$"):
        memprof.take_snapshot()


def test_start_twice_with_the_same_options_goes_on(tmp_path):
    options = {"output": tmp_path / "p", "checkpoint": 5}
    memprof.start(**options)
    block = bytearray(1000)  # @ before the second start
    memprof.start(**options)
    assert at("before the second start") == (sys.getsizeof(block), 2)


@pytest.mark.parametrize(
    "other", [{"series": True}, {"checkpoint": 3.0}, {"output": "elsewhere.mprof"}]
)
def test_start_again_with_other_options_changes_nothing(other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memprof.start()
    block = bytearray(1000)  # @ before the other start
    with pytest.raises(RuntimeError, match="tracing already, with other options"):
        memprof.start(**other)
    assert memprof.is_tracing()
    assert at("before the other start") == (sys.getsizeof(block), 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("checkpoint", [0, -1, float("nan")])
def test_start_with_a_bad_checkpoint(checkpoint):
    with pytest.raises(ValueError, match="checkpoint must be more than 0"):
        memprof.start(checkpoint=checkpoint)
    assert not memprof.is_tracing()


def test_start_with_an_output_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        memprof.start(output=tmp_path / "no" / "such" / "folder")
    assert str(tmp_path) in str(caught.value)
    assert not memprof.is_tracing()
    memprof.start()  # with other options: nothing is left of the first
    assert memprof.is_tracing()


def test_clear_forgets_and_goes_on():
    memprof.start()
    old = bytearray(100_000)  # @ before clear
    memprof.clear()
    assert memprof.get_traced_memory()[1] < 10_000
    new = bytearray(1000)  # @ after clear
    del old
    assert at("before clear", "total") == (0, 0)
    assert at("after clear") == (sys.getsizeof(new), 2)
    assert memprof.get_traced_memory()[0] >= 0
    assert _core.check() is None


def test_reset_peak():
    memprof.start()
    bytearray(1_000_000)
    current, peak = memprof.get_traced_memory()
    assert current < 10_000 and peak > 1_000_000
    memprof.reset_peak()
    current, peak = memprof.get_traced_memory()
    assert current <= peak < 10_000
    bytearray(500_000)
    assert 500_000 - PEAK_SLACK < memprof.get_traced_memory()[1] < 510_000 + PEAK_SLACK


def test_trace_takes_a_snapshot_and_stops():
    with memprof.trace() as result:
        assert memprof.is_tracing()
        assert result.snapshot is None
        block = bytearray(1000)  # @ in trace()
    assert not memprof.is_tracing()
    assert at("in trace()", snapshot=result.snapshot) == (sys.getsizeof(block), 2)


def test_trace_within_a_trace_goes_on():
    memprof.start()
    with memprof.trace() as result:
        block = bytearray(1000)  # @ in the inner trace
    assert memprof.is_tracing()
    assert at("in the inner trace", snapshot=result.snapshot) == (sys.getsizeof(block), 2)
    with pytest.raises(RuntimeError), memprof.trace(series=True):
        pass
    assert memprof.is_tracing()


def test_trace_of_a_block_that_raises():
    with pytest.raises(KeyError), memprof.trace() as result:
        raise KeyError
    assert isinstance(result.snapshot, memprof.Snapshot)
    assert not memprof.is_tracing()


# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 15, 16, 17, 100, 510, 511, 512, 513, 4096, 100_000, 5_000_000])
def test_size_of_a_block(size):
    memprof.start()
    array = bytearray(size)  # @ array
    text = bytes(size + 1)  # @ text
    assert at("array") == (sys.getsizeof(array), 2)
    assert at("text") == (sys.getsizeof(text), 1)
    del array, text
    assert at("array") == at("text") == (0, 0)


@pytest.mark.parametrize("size", [2**32 - 34, 2**32 - 33, 2**32 + 100])
def test_size_of_a_block_of_4_gib(size):
    memprof.start()
    try:
        block = bytes(size)  # @ huge
    except MemoryError:
        pytest.skip("no 4 GiB of address space here")
    assert at("huge") == (sys.getsizeof(block), 1)
    assert memprof.get_object_traceback(block)[-1].lineno == MARKS["huge"]
    assert _core.check() is None
    del block
    assert at("huge") == (0, 0)


def test_size_of_the_smallest_objects():
    slots = [None] * 10_000
    memprof.start()
    for i in range(10_000):
        slots[i] = object()  # @ object
    size = sys.getsizeof(slots[0])
    assert at("object") == (10_000 * size, 10_000)
    slots[5000:] = []
    assert at("object") == (5000 * size, 5000)
    assert at("object", "total") == (10_000 * size, 10_000)


def test_size_of_instances():
    class Point:
        __slots__ = ("x", "y")

    memprof.start()
    point = Point()  # @ instance
    assert at("instance") == (sys.getsizeof(point), 1)


def test_realloc_moves_a_block_to_the_line_that_grew_it():
    memprof.start()
    array = bytearray(1000)  # @ made
    array.extend(bytes(5000))  # @ grown
    assert at("made") == (sys.getsizeof(array) - array.__alloc__(), 1)
    assert at("grown") == (array.__alloc__(), 1)
    del array[10:]  # @ shrunk
    assert at("grown") == (0, 0)
    assert at("shrunk") == (array.__alloc__(), 1)


# ---- a trace in mid-run ------------------------------------------------------------------------


def test_blocks_from_before_the_start():
    freed, grown = [bytearray(1000) for _ in range(100)], bytearray(1000)
    memprof.start()
    del freed
    assert memprof.get_traced_memory()[0] >= 0
    grown.extend(bytes(5000))  # @ grown from before
    assert at("grown from before") == (grown.__alloc__(), 1)
    del grown
    assert at("grown from before") == (0, 0)
    assert _core.check() is None


def test_blocks_from_an_earlier_trace():
    memprof.start()
    first = [bytearray(n) for n in range(2000)]  # @ first trace
    memprof.stop()
    second = [bytearray(n) for n in range(2000)]
    memprof.start()
    assert memprof.get_traced_memory()[0] < 10_000
    assert at("first trace", "total") == (0, 0)
    first[1000].extend(bytes(9000))  # @ second trace
    assert at("second trace") == (first[1000].__alloc__(), 1)
    del first, second
    gc.collect()
    assert at("second trace") == (0, 0)
    assert memprof.get_traced_memory()[0] >= 0
    assert _core.check() is None


# ---- peak and total ----------------------------------------------------------------------------


def test_what_was_live_at_the_peak():
    memprof.start()
    early = bytearray(100_000)  # @ freed before the peak
    del early
    whole = bytearray(200_000)  # @ live at the peak and now
    brief = bytearray(300_000)  # @ live at the peak
    sizes = sys.getsizeof(whole), sys.getsizeof(brief)
    del brief
    late = bytearray(250_000)  # @ made after the peak
    snapshot = memprof.take_snapshot()
    assert at("freed before the peak", "peak", snapshot) == (0, 0)
    assert at("live at the peak and now", "peak", snapshot) == (sizes[0], 2)
    assert at("live at the peak", "peak", snapshot) == (sizes[1], 2)
    assert at("made after the peak", "peak", snapshot) == (0, 0)
    assert at("made after the peak", snapshot=snapshot) == (sys.getsizeof(late), 2)
    for key in ("line", "stack"):
        rows = snapshot.statistics(key, metric="peak")
        assert abs(sum(row.size for row in rows) - snapshot.traced_memory[1]) <= PEAK_SLACK


def test_the_peak_is_now_while_memory_grows():
    slots = [None] * 100
    memprof.start()
    for i in range(100):
        slots[i] = bytearray(10_000)  # @ growing
    size = sys.getsizeof(slots[0])
    assert at("growing", "live") == (100 * size, 200)
    assert 0 <= 100 * size - at("growing", "peak")[0] <= PEAK_SLACK


def test_total_counts_every_allocation():
    memprof.start()
    for _ in range(1000):
        bytearray(100)  # @ thousand times
    assert at("thousand times") == (0, 0)
    assert at("thousand times", "total") == (1000 * sys.getsizeof(bytearray(100)), 2000)
    assert at("thousand times", "peak")[1] <= 2


# ---- stacks ------------------------------------------------------------------------------------


def test_a_very_deep_stack():
    depth = 5000
    lines = [f"def f{i}(): return f{i + 1}()" for i in range(depth)]
    scope = {}
    exec(compile("\n".join([*lines, f"def f{depth}(): return bytes(1000)"]), "deep", "exec"), scope)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1000)
    try:
        memprof.start()
        block = scope["f0"]()
        other = scope["f1"]()
    finally:
        sys.setrecursionlimit(limit)
    stack = [frame for frame in memprof.get_object_traceback(block) if frame.filename == "deep"]
    assert stack == [("deep", i + 1, f"f{i}", False) for i in range(depth + 1)]
    assert len(memprof.get_object_traceback(other)) == len(memprof.get_object_traceback(block)) - 1


@pytest.mark.parametrize("depth, cut", [(4000, False), (20_000, True)])
def test_what_is_outside_of_a_very_deep_recursion_is_left_out(depth, cut):
    """Each allocation would pass over it: the program would take the square of its depth."""

    def down(n):
        return down(n - 1) if n else bytes(1000)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1000)
    try:
        memprof.start()
        stack = memprof.get_object_traceback(down(depth))
    finally:
        sys.setrecursionlimit(limit)
    assert (stack[0].filename == "<frames left out: deep recursion>") == cut
    assert stack[-1].function == down.__qualname__ and stack[-1].folded
    assert (len(stack) == 2) == cut


def test_a_recursion_through_many_functions_is_cut_when_it_is_very_deep():
    """Nothing of it is folded; each allocation would walk all of it."""
    calls = [f"def f{i}(n): return f{(i + 1) % 5}(n - 1) if n else bytes(1000)" for i in range(5)]
    scope = {}
    exec(compile("\n".join(calls), "ring", "exec"), scope)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(40_000)
    try:
        memprof.start()
        stack = memprof.get_object_traceback(scope["f0"](30_000))
        memprof.stop()
    finally:
        sys.setrecursionlimit(limit)
    assert stack[0].filename == "<frames left out: deep recursion>"
    assert 8000 < len(stack) < 9000
    names = [frame.function for frame in stack[1:]]
    assert names == [f"f{(30_000 - i) % 5}" for i in range(len(names) - 1, -1, -1)]


def test_recursion_is_folded_and_marked():
    def down(n):
        return down(n - 1) if n else bytes(1000)  # @ recursion

    def even(n):
        return odd(n - 1) if n else bytes(1000)  # @ even

    def odd(n):
        return even(n - 1)  # @ odd

    memprof.start()
    blocks = [[down(0)], *([down(n)] for n in range(1, 50)), [even(8)], [even(40)]]
    plain, *folded, short, long = (memprof.get_object_traceback(block) for (block,) in blocks)
    assert plain[-1][1:] == (MARKS["recursion"], down.__qualname__, False)
    assert {stack[-1][1:] for stack in folded} == {(MARKS["recursion"], down.__qualname__, True)}
    assert [f.function for f in folded[0]].count(down.__qualname__) == 1
    assert len(set(folded)) == 1
    assert short == long
    assert [f.lineno for f in short[-2:]] == [MARKS["odd"], MARKS["even"]]
    assert short[-2].folded and not short[-1].folded
    assert short[-3].function == plain[-2].function


@pytest.mark.skipif(
    FREE_THREADED and sys.version_info < (3, 14),
    reason="3.13t never frees nested code objects once there was a second thread",
)
def test_code_objects_at_reused_addresses():
    """exec() makes code at the same addresses again and again, and threads have caches."""
    kept, addresses = {}, set()
    memprof.start()
    with ThreadPoolExecutor(1) as other_thread:
        for i in range(2000):
            name, line = f"made_{i}", i % 40 + 1
            text = "\n" * (line - 1) + f"def {name}(): return bytes(1000)\nmade = {name}()"
            code = compile(text, f"{name}.py", "exec")
            addresses.add(id(code.co_consts[0]))
            scope = {}
            if i % 3:
                exec(code, scope)
            else:
                other_thread.submit(exec, code, scope).result()
            kept[name] = line, scope["made"]
            scope.clear()
            del code
            if i % 50 == 0:
                gc.collect()  # without a GIL only that frees code
    assert len(addresses) < 500  # else the test says nothing
    for name, (line, block) in kept.items():
        assert memprof.get_object_traceback(block)[-1] == (f"{name}.py", line, name, False)


def test_code_objects_from_before_the_start():
    def make(i):
        return compile(f"made = bytes({1000 + i})", f"before_{i}.py", "exec")

    old = [make(i) for i in range(200)]
    addresses = {id(code) for code in old}
    memprof.start()
    for code in old:
        exec(code, {})
    del old, code
    gc.collect()
    new = [make(i) for i in range(200, 400)]
    while not addresses & {id(code) for code in new}:  # mimalloc uses all other blocks first
        new += [make(i) for i in range(200, 400)]
        assert len(new) < 20_000
    for code in new:
        exec(code, scope := {})
        assert memprof.get_object_traceback(scope["made"])[-1].filename == code.co_filename


# ---- threads, and memory without the GIL -------------------------------------------------------


def run_in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads():
    def work():
        slots = [None] * 500
        every.append(slots)
        barrier.wait()
        for i in range(500):
            slots[i] = bytearray(700)  # @ in threads
            bytearray(700)  # @ in threads, for a moment

    every, barrier = [], threading.Barrier(8)
    memprof.start()
    run_in_threads(8, work)
    size = sys.getsizeof(every[0][0])
    assert check_when_settled() is None
    assert at("in threads") == at("in threads", "total") == (4000 * size, 8000)
    assert at("in threads, for a moment", "total") == (4000 * size, 8000)
    assert at("in threads, for a moment") == (0, 0)
    stack = [frame.function for frame in memprof.get_object_traceback(every[7][0])]
    assert stack[0] == "Thread._bootstrap"
    assert stack[-2:] == ["Thread.run", work.__qualname__]


RAW_ONLY = [memprof.DomainFilter(True, "raw")]


def test_raw_memory_in_threads_without_the_gil():
    library = ctypes.CDLL(None)  # unlike ctypes.pythonapi, lets go of the GIL
    allocate, free = library.PyMem_RawMalloc, library.PyMem_RawFree
    allocate.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    kept = []

    def work():
        kept.append(allocate(5000))  # @ raw
        for _ in range(1000):
            free(allocate(3000))  # @ raw, for a moment

    memprof.start()
    run_in_threads(4, work)
    assert check_when_settled() is None
    snapshot = memprof.take_snapshot().filter_traces(RAW_ONLY)
    assert at("raw", snapshot=snapshot) == (20_000, 4)
    assert at("raw, for a moment", "total", snapshot) == (12_000_000, 4000)
    assert at("raw, for a moment", "live", snapshot) == (0, 0)
    assert _core.lost() == 0
    for address in kept:
        free(address)
    assert at("raw", snapshot=memprof.take_snapshot().filter_traces(RAW_ONLY)) == (0, 0)


def test_zlib_and_bz2_let_go_of_the_gil():
    packed = zlib.compress(os.urandom(100) * 10_000)
    memprof.start()
    unpacker = zlib.decompressobj()  # @ zlib starts
    unpacker.decompress(packed, 100)  # @ zlib's window
    packer = bz2.BZ2Compressor()  # @ bz2
    packer.compress(packed)
    snapshot = memprof.take_snapshot().filter_traces(RAW_ONLY)
    assert at("zlib starts", snapshot=snapshot)[0] > 5000
    assert at("zlib's window", snapshot=snapshot) == (32768, 1)
    assert at("bz2", snapshot=snapshot)[0] > 5_000_000
    del unpacker, packer
    snapshot = memprof.take_snapshot().filter_traces(RAW_ONLY)
    assert at("zlib's window", snapshot=snapshot) == at("bz2", snapshot=snapshot) == (0, 0)
    assert _core.check() is None
