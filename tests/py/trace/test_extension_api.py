"""memprof/extension.h, through tests/extension/pool.c: blocks of other allocators.

A line of this file that ends in ``# @ name`` can be asked for by that name.
"""

import importlib.util
import shlex
import subprocess
import sysconfig
import threading

import memprof
import pytest
from conftest import FREE_THREADED, ROOT, environment, run_plain
from memprof import DomainFilter, _core

OK, NO_MEMORY, NOT_TRACING = 0, -1, -2
SOME = 0x7000_0000_0000  # an address where nothing is

with open(__file__, encoding="utf-8") as source:
    MARKS = {
        text.rsplit("# @ ", 1)[1].strip(): number
        for number, text in enumerate(source, 1)
        if "# @ " in text and '"' not in text.rsplit("# @ ", 1)[1]
    }


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    """The extension, built as its own setup would build it: no library of memprof's."""
    path = tmp_path_factory.mktemp("pool") / ("pool" + sysconfig.get_config_var("EXT_SUFFIX"))
    flags = "-std=c11 -O1 -Wall -Wextra -Werror -fPIC -shared -pthread"
    folders = ["-isystem", sysconfig.get_path("include"), "-I", ROOT / "include"]
    compiler = shlex.split(sysconfig.get_config_var("CC"))[0]
    command = [compiler, *flags.split(), *folders, ROOT / "tests/extension/pool.c", "-o", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def pool(pool_file):
    spec = importlib.util.spec_from_file_location("pool", pool_file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def trace_ends():
    yield
    _core.fail_nth(0)
    memprof.stop()


def rows_of(domain, metric="live"):
    """[(marked line or None, bytes, blocks)] of a domain, largest first."""
    names = {line: name for name, line in MARKS.items()}
    snapshot = memprof.take_snapshot().filter_traces([DomainFilter(True, domain)])
    return [
        (names.get(row.traceback[-1].lineno), row.size, row.count)
        for row in snapshot.statistics("stack", metric=metric)
    ]


# ---- a pool ------------------------------------------------------------------------------------


def test_blocks_of_a_pool_have_their_call_stacks(pool):
    memprof.start()
    first = pool.take(100)  # @ first
    blocks = [pool.take(1000) for _ in range(3)]  # @ three
    assert rows_of(pool.DOMAIN) == [("three", 3000, 3), ("first", 100, 1)]
    pool.give(blocks.pop())
    assert rows_of(pool.DOMAIN) == [("three", 2000, 2), ("first", 100, 1)]
    blocks.append(pool.resize(first, 5000))
    assert rows_of(pool.DOMAIN) == [("first", 5000, 1), ("three", 2000, 2)]
    for block in blocks:
        pool.give(block)
    assert rows_of(pool.DOMAIN) == []
    assert rows_of(pool.DOMAIN, "total") == [("first", 5100, 2), ("three", 3000, 3)]
    assert _core.check() is None


def test_tracked_blocks_count_as_traced_memory(pool):
    memprof.start()
    before = memprof.get_traced_memory()[0]
    pool.track(1, SOME, 10**12)
    assert memprof.get_traced_memory()[0] - before >= 10**12
    assert pool.untrack(1, SOME) == OK
    current, peak = memprof.get_traced_memory()
    assert current < 10**6 and peak >= 10**12
    assert [size for _, size, _ in rows_of(1, "peak")] == [10**12]


def test_the_whole_stack(pool):
    def inner():
        pool.track(5, SOME, 1)

    def outer():
        inner()

    memprof.start()
    outer()
    snapshot = memprof.take_snapshot().filter_traces([DomainFilter(True, 5)])
    (row,) = snapshot.statistics("stack")
    assert [frame.function for frame in row.traceback[-3:]] == [
        "test_the_whole_stack",
        outer.__qualname__,
        inner.__qualname__,
    ]


# ---- domains and addresses -----------------------------------------------------------------------


def test_one_address_in_two_domains(pool):
    memprof.start()
    assert pool.track(1, SOME, 100) == pool.track(2, SOME, 200) == OK
    assert pool.untrack(3, SOME) == OK  # not tracked: ignored
    assert [rows_of(domain)[0][1:] for domain in (1, 2)] == [(100, 1), (200, 1)]
    assert pool.untrack(1, SOME) == OK
    assert rows_of(1) == []
    assert rows_of(2)[0][1:] == (200, 1)
    assert _core.check() is None


@pytest.mark.parametrize("domain", [0, 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("address", [0, 1, 16, SOME, SOME + 8, 2**47, 2**64 - 1])
@pytest.mark.parametrize("size", [0, 1, 16, 2**32 - 1, 2**32, 2**62])
def test_any_domain_address_and_size(pool, domain, address, size):
    memprof.start()
    assert pool.track(domain, address, size) == OK
    traces = [t for t in _core.traces(1) if t[1] == size and t[2][0][0] == __file__]
    assert (domain, size) in [trace[:2] for trace in traces]
    assert _core.check() is None
    assert pool.untrack(domain, address) == OK
    assert domain == 0 or rows_of(domain) == []
    assert _core.check() is None


def test_domain_0_is_pythons_own(pool):
    memprof.start()
    assert pool.track(0, SOME, 10**9) == OK  # @ in domain 0
    assert rows_of(0)[0] == ("in domain 0", 10**9, 1)
    assert len(rows_of(0)) > 1
    assert pool.track(7, SOME, 10**9) == OK
    assert [size for _, size, _ in rows_of(0)].count(10**9) == 1


def test_blocks_within_a_traced_block(pool):
    memprof.start()
    whole = bytearray(100_000)  # @ whole
    address = id(whole)
    for i in range(100):
        assert pool.track(9, address + 16 * i, 16) == OK  # @ parts
    stack = memprof.get_object_traceback(whole)
    assert stack[-1].lineno == MARKS["whole"]
    assert rows_of(9) == [("parts", 1600, 100)]
    del whole  # the blocks within stay until they are untracked
    assert rows_of(9) == [("parts", 1600, 100)]
    for i in range(100):
        assert pool.untrack(9, address + 16 * i) == OK
    assert rows_of(9) == []
    assert _core.check() is None


def test_tracked_again_is_replaced(pool):
    memprof.start()
    assert pool.track(1, SOME, 1000) == OK  # @ replaced
    assert pool.track(1, SOME, 300) == OK  # @ replacing
    assert rows_of(1) == [("replacing", 300, 1)]
    assert rows_of(1, "total") == [("replaced", 1000, 1), ("replacing", 300, 1)]
    assert pool.untrack(1, SOME) == OK
    assert rows_of(1) == []
    assert _core.check() is None


def test_move_keeps_the_call_stack(pool):
    memprof.start()
    assert pool.track(1, SOME, 1000) == OK  # @ tracked
    assert pool.move(1, SOME, SOME + 64, 3000) == OK  # @ moved
    assert rows_of(1) == [("tracked", 3000, 1)]
    assert pool.move(1, SOME + 64, SOME + 64, 10) == OK  # resized in place
    assert rows_of(1) == [("tracked", 10, 1)]
    assert pool.move(1, SOME, SOME + 128, 500) == OK  # @ unknown before
    assert rows_of(1) == [("unknown before", 500, 1), ("tracked", 10, 1)]
    assert pool.move(1, SOME + 128, SOME + 64, 700) == OK  # onto another block: replaced
    assert rows_of(1) == [("unknown before", 700, 1)]
    assert pool.move(2, SOME + 64, SOME, 1) == OK  # another domain, another block
    assert rows_of(1) == [("unknown before", 700, 1)]
    assert _core.check() is None


def test_many_blocks(pool):
    memprof.start()
    for i in range(20_000):
        assert pool.track(i % 3, SOME + i, i) == OK
    for i in range(0, 20_000, 2):
        assert pool.untrack(i % 3, SOME + i) == OK
    assert _core.check() is None
    left = range(1, 20_000, 2)
    for domain in (1, 2):
        mine = [i for i in left if i % 3 == domain]
        assert [row[1:] for row in rows_of(domain)] == [(sum(mine), len(mine))]
    memprof.clear()
    assert rows_of(1) == rows_of(2) == []
    assert pool.untrack(1, SOME + 1) == OK
    assert _core.check() is None


# ---- results -------------------------------------------------------------------------------------


def test_results_when_not_tracing(pool):
    assert pool.connect() == 1
    assert pool.track(1, SOME, 1) == NOT_TRACING
    assert pool.untrack(1, SOME) == NOT_TRACING
    assert pool.move(1, SOME, SOME, 1) == NOT_TRACING
    memprof.start()
    assert pool.track(1, SOME, 1) == OK
    memprof.stop()
    assert pool.untrack(1, SOME) == NOT_TRACING
    memprof.start()
    assert rows_of(1) == []


@pytest.mark.parametrize("act", ["track", "move"])
def test_results_without_memory(pool, act):
    """Whichever of memprof's own requests fails: the block is tracked, or -1 and it is not."""
    results = []
    for n in range(1, 12):
        memprof.start()
        scope = {"pool": pool, "SOME": SOME}
        words = "1, SOME, 100" if act == "track" else "1, SOME, SOME + 1, 100"
        code = compile(f"result = pool.{act}({words})", f"{act}_{n}.py", "exec")  # a new stack
        lost = _core.lost()
        _core.fail_nth(n)
        exec(code, scope)
        _core.fail_nth(0)
        results.append(scope["result"])
        assert _core.check() is None
        assert _core.lost() - lost >= (scope["result"] == NO_MEMORY)
        expected = [(100, 1)] if scope["result"] == OK else []
        assert [row[1:] for row in rows_of(1)] == expected
        memprof.stop()
    # a thread without memory for a lane of its own takes the reserve lane
    assert set(results) == ({OK} if FREE_THREADED else {OK, NO_MEMORY})


IMPORTING = """
import sys
sys.path.insert(0, {folder!r})
import pool
assert pool.connect() == 0 and "memprof" not in sys.modules
assert [pool.track(1, 16, 1), pool.untrack(1, 16), pool.move(1, 16, 32, 1)] == [-2, -2, -2]
pool.give(pool.take(100))
import memprof
assert pool.track(1, 16, 1) == -2  # until it looks again
assert pool.connect() == pool.connect() == 1
assert pool.track(1, 16, 1) == -2
memprof.start()
assert pool.track(1, 16, 1) == 0
"""
NOT_THERE = """
import sys, types
sys.path.insert(0, {folder!r})
import pool
for strange in (None, types.ModuleType("x"), types.SimpleNamespace(c_api=5)):
    sys.modules["memprof._core"] = strange
    assert pool.connect() == 0  # and no exception is left behind
    assert pool.track(1, 16, 1) == -2
del sys.modules["memprof._core"]
import memprof
assert pool.connect() == 1
"""
WITHOUT = """
import sys
sys.path.insert(0, {folder!r})
import pool
assert pool.connect() == 0
block = pool.resize(pool.take(100), 5000)
pool.give(block)
try:
    import memprof
except ImportError:
    print("not installed")
"""


FROM_C = """
import ctypes
core = ctypes.CDLL({core!r})
assert core.memprof_start() == 0
assert not {track} or core.memprof_track(1, 16, 1) == 0
core.memprof_stop()
try:
    import memprof
except ImportError as error:
    print(error)
else:
    memprof.start()
    print(memprof.get_object_traceback(bytes(1000))[-1].lineno)
"""


@pytest.mark.parametrize(
    "track, printed", [(False, "13\n"), (True, "memprof was used from C before it was imported\n")]
)
def test_library_inside_the_extension_that_was_used_before(track, printed):
    """What a thread has of memprof cannot grow once it is there."""
    result = run_plain("-c", FROM_C.format(core=_core.__file__, track=track))
    assert (result.status, result.stdout, result.stderr) == (0, printed, "")


@pytest.mark.parametrize("program", [IMPORTING, NOT_THERE], ids=["later", "strange"])
def test_importing_memprof_after_the_extension(pool_file, program):
    result = run_plain("-c", program.format(folder=str(pool_file.parent)))
    assert (result.status, result.stderr) == (0, "")


def test_an_extension_without_memprof(pool_file):
    program = WITHOUT.format(folder=str(pool_file.parent))
    result = run_plain("-I", "-S", "-c", program, env=environment(PYTHONPATH=None))
    assert (result.status, result.stdout, result.stderr) == (0, "not installed\n", "")


# ---- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_thread", [False, True])
def test_calls_without_the_gil(pool, own_thread):
    memprof.start()
    worst = pool.storm(4, SOME, 1000, own_thread)  # @ storm
    assert worst == OK
    where = None if own_thread else "storm"  # Python does not know the other thread
    assert rows_of(4) == [(where, 10_000, 1000)]
    assert rows_of(4, "total") == [(where, 1000 * 160, 3000)]
    assert _core.check() is None
    assert _core.lost() == 0


def test_calls_from_many_threads(pool):
    def work(number):
        results.append(pool.storm(number % 2 + 1, SOME + number * 2**20, 2000, number % 3 == 0))

    results = []
    memprof.start()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pool.give(pool.take(100))
        memprof.take_snapshot()
    assert results == [OK] * 8
    for domain in (1, 2):
        rows = rows_of(domain)
        assert sum(size for _, size, _ in rows) == 4 * 20_000
        assert sum(count for _, _, count in rows) == 4 * 2000


def test_stop_and_start_while_threads_track(pool):
    def work(number):
        while not done:
            results.add(pool.storm(1, SOME + number * 2**20, 500, False))

    results, done = set(), False
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        memprof.start()
        memprof.take_snapshot()
        memprof.clear()
        memprof.stop()
    done = True
    for thread in threads:
        thread.join()
    assert results <= {OK, NOT_TRACING}
    memprof.start()
    assert pool.storm(1, SOME, 100, True) == OK
    assert rows_of(1) == [(None, 1000, 100)]
    assert _core.check() is None
