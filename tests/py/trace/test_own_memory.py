"""memprof's own memory: each request for it fails once, and it does not grow."""

import ast
import os

import memprof
import pytest
from conftest import EMULATOR, FREE_THREADED, run_plain

PRELUDE = """
import gc, os, sys, tempfile, threading, time
import memprof
from memprof import _core

def storm(n=100):
    kept = [bytearray(size) for size in range(n)] + [object() for _ in range(n)]
    kept += [{i: str(i)} for i in range(n)] + [lambda: kept, (n,) * 30, bytes(5_000_000)]
    text = "\\n".join(f"def f{i}(): kept.append([{i}])\\nf{i}()" for i in range(40))
    exec(compile(text, "storm.py", "exec"), {"kept": kept})
    del kept[::2]
    return kept

def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

known = int("MEMPROF_EMULATED" in os.environ)  # an emulator has a thread of its own

def check():
    while len(os.listdir("/proc/self/task")) > threading.active_count() + known: time.sleep(0.001)
    assert _core.check() is None, _core.check()
    snapshot = memprof.take_snapshot()
    rows = snapshot.statistics("stack")
    assert sum(row.size for row in rows) == snapshot.traced_memory[0]
"""

# Prints a line for each n: (fired, errors, lost), or what went wrong.
SWEEP = """
def trial(n, folder):
    errors = []
    def attempt(act):
        try: return act()
        except (MemoryError, OSError) as error: errors.append(type(error).__name__)
    def several():
        kept.append(memprof.get_object_traceback(kept))
        kept.append(_core.traces(3))
        memprof.clear()

    profile = os.path.join(folder, "profile")
    _core.fail_nth(n)
    attempt(lambda: memprof.start(series=True, output=profile))
    if not memprof.is_tracing(): attempt(memprof.start)
    if not memprof.is_tracing(): memprof.start()
    kept = storm()
    in_threads(2, lambda: storm(10))
    snapshot = attempt(memprof.take_snapshot) or memprof.take_snapshot()
    for key in ("line", "file", "function", "stack"): attempt(lambda: snapshot.statistics(key))
    attempt(lambda: snapshot.statistics("line", True))
    attempt(lambda: memprof.find_growth(snapshot))
    other = attempt(memprof.take_snapshot) or snapshot
    rows = attempt(lambda: other.compare_to(snapshot, "stack"))
    some = attempt(lambda: snapshot.filter_traces([memprof.Filter(True, "storm.py")]))
    attempt(lambda: snapshot.dump(profile + "2"))
    if not os.path.exists(profile + "2"): snapshot.dump(profile + "2")
    loaded = attempt(lambda: memprof.Snapshot.load(profile + "2"))
    loaded = loaded or memprof.Snapshot.load(profile + "2")
    lost = _core.lost()
    attempt(several)

    before = len(errors)  # did it happen at all? Otherwise it happens soon
    for _ in range(n):
        attempt(lambda: snapshot.statistics("line"))
    fired = len(errors) == before
    _core.fail_nth(0)
    _core.timeline_stop()

    check()
    assert loaded.statistics("stack") == snapshot.statistics("stack")
    assert not rows or rows == other.compare_to(snapshot, "stack")
    memprof.stop()
    memprof.start()
    kept = storm()
    in_threads(2, lambda: storm(10))
    check()
    assert _core.lost() == 0
    return fired, errors[:before], lost

for n in range(1, 1000):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with tempfile.TemporaryDirectory() as folder:
            try: answer = repr(trial(n, folder))
            except BaseException as error: answer = repr(repr(error))
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 4096).decode()
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    print(answer if status == 0 else repr(f"status {status}"), flush=True)
    if answer.startswith("(False"): break
"""


@pytest.fixture(scope="module")
def outcomes():
    """For each n what came of it when the n-th request for memory failed."""
    result = run_plain("-c", PRELUDE + SWEEP, timeout=170)
    assert (result.status, result.stderr) == (0, "")
    return [ast.literal_eval(line) for line in result.stdout.splitlines()]


def test_each_request_for_memory_may_fail(outcomes):
    wrong = {n: some for n, some in enumerate(outcomes, 1) if not isinstance(some, tuple)}
    assert wrong == {}
    assert len(outcomes) > 60
    assert [fired for fired, _, _ in outcomes] == [True] * (len(outcomes) - 1) + [False]


def test_what_cannot_be_recorded_is_counted_as_lost(outcomes):
    assert sum(lost > 0 for _, _, lost in outcomes) > 5


NAMES = """
memprof.start()
made = {}
code = compile("made = bytes(1000)", "x" * 300_000, "exec")  # needs a new piece of memory
_core.fail_nth(1)
exec(code, made)
_core.fail_nth(0)
stack = memprof.get_object_traceback(made["made"])
assert stack is None or len(stack[-1].filename) == 300_000, stack[-1].filename[:50]
exec(code, made)
assert len(memprof.get_object_traceback(made["made"])[-1].filename) == 300_000
"""
THREADS = """
def work():
    started.set(); done.wait()
def start_one():
    started.clear(); threading.Thread(target=work).start(); started.wait()
started, done = threading.Event(), threading.Event()
memprof.start()
start_one()  # its block is in use
_core.fail_nth(1)
start_one()
_core.fail_nth(0)
done.set()
assert _core.lost() > 0
"""
CODE = """
def make(name):
    return compile("made = bytes(1000)", name, "exec")
def stack_made_by(code):
    names = {}
    exec(code, names)
    return memprof.get_object_traceback(names["made"])

size = sys.getsizeof(make("any")) - sys.getsizeof(b"")
around = [bytes(size) for _ in range(40_000)]
old = make("old.py")  # in the midst of memory that is never traced
around += [bytes(size) for _ in range(40_000)]
memprof.start()
stack_made_by(make("warm.py"))
_core.fail_nth(1)
exec(old, {})
_core.fail_nth(0)
address = id(old)
del old; gc.collect()  # without a GIL only that frees code
made = []  # mimalloc uses all other blocks of the page first
while id(new := make("new.py")) != address: made.append(new); assert len(made) < 10_000
stack = stack_made_by(new)
assert stack is None or stack[-1].filename == "new.py", stack[-1]
"""
SILENT = {"names": NAMES, "threads": THREADS, "code": CODE}


@pytest.mark.parametrize("program", SILENT.values(), ids=SILENT)
def test_nothing_is_wrong_in_silence(program):
    result = run_plain("-c", PRELUDE + program)
    assert (result.status, result.stderr) == (0, "")


LIMITED = """
import resource
memprof.start(); storm(); memprof.stop()
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE")
kept = []
for more in range(0, 60_000_000, 3_000_000):
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))
    try:
        memprof.start()
        kept.append(storm())
        memprof.take_snapshot().statistics("stack")
    except MemoryError:
        pass
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    if memprof.is_tracing(): check()
    memprof.stop()
    del kept[::2]
memprof.start()
kept.append(storm())
check()
assert _core.lost() == 0
"""


def test_an_address_space_that_is_too_small():
    result = run_plain("-c", PRELUDE + LIMITED)
    assert (result.status, result.stderr) == (0, "")


# ---- it does not grow ------------------------------------------------------------------------

CYCLES = """
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

all_there = threading.Barrier(4)  # else it depends on the moment how many there are

def cycle(path):
    memprof.start(series=True)
    kept = storm(500)
    in_threads(4, lambda: (all_there.wait(), storm(20), all_there.wait()))
    before = memprof.take_snapshot()
    memprof.clear()
    kept += storm(50)
    after = memprof.take_snapshot()
    for key in ("line", "function", "stack"):
        after.compare_to(before, key)
        before.filter_traces([memprof.Filter(True, "*", all_frames=True)]).statistics(key)
    after.dump(path)
    memprof.Snapshot.load(path).compare_to(before, "line")
    kept.append(_core.traces(5))
    memprof.stop()

with tempfile.TemporaryDirectory() as folder:
    sizes = []
    for _ in range(60):
        cycle(os.path.join(folder, "profile"))
        gc.collect()
        sizes.append((memprof.get_tracer_memory(), resident()))
own, all = zip(*sizes)
assert max(own[20:]) - max(own[10:20]) < 100_000, own
# 3.13t keeps constants of code forever and an emulator something of each thread, without us too
if {GROWS_NOT_ALONE}:
    assert max(all[20:]) - max(all[10:20]) < 3_000_000, all
"""


def test_cycles_of_start_and_stop_need_no_more_memory():
    program = PRELUDE + CYCLES.replace("{GROWS_NOT_ALONE}", str(not (FREE_THREADED or EMULATOR)))
    result = run_plain("-c", program, timeout=120)
    assert (result.status, result.stderr) == (0, "")


def test_stop_gives_memory_back():
    memprof.start()
    kept = [bytearray(100) for _ in range(300_000)]
    while_tracing = memprof.get_tracer_memory()
    memprof.stop()
    assert while_tracing - memprof.get_tracer_memory() > 10_000_000
    del kept


# ---- memprof's own objects -------------------------------------------------------------------


@pytest.fixture
def trace():
    memprof.start()
    yield
    memprof.stop()


def use_memprof():
    snapshot = memprof.take_snapshot()
    for metric in ("live", "peak", "total"):
        snapshot.statistics("stack", metric=metric)
    snapshot.compare_to(snapshot, "function", cumulative=True)
    snapshot.filter_traces([memprof.Filter(True, "*")])
    memprof.get_object_traceback(snapshot)
    return snapshot


def test_using_memprof_does_not_grow_the_numbers(trace):
    for _ in range(50):
        use_memprof()
    before = memprof.get_traced_memory()[0]
    for _ in range(100):
        use_memprof()
    assert abs(memprof.get_traced_memory()[0] - before) < 200


def test_memprofs_own_objects_are_in_no_statistics(trace):
    own = memprof.Filter(True, os.path.dirname(memprof.__file__) + "/*")
    kept = [use_memprof() for _ in range(50)]
    rows = memprof.take_snapshot().filter_traces([own]).statistics("line")
    assert sum(row.size for row in rows) < 1000, rows
    del kept
