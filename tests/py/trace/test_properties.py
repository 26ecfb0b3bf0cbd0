"""What must hold after any sequence of allocations, and what tracemalloc says of the same.

A line of this file that ends in ``# @ name`` can be asked for by that name.
"""

import _tracemalloc
import asyncio
import ctypes
import functools
import gc
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from string import Template
from types import SimpleNamespace

import memprof
import pytest
from conftest import PEAK_SLACK
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from memprof import _core

with open(__file__, encoding="utf-8") as source:
    MARKS = {
        text.rsplit("# @ ", 1)[1].strip(): number
        for number, text in enumerate(source, 1)
        if "# @ " in text and '"' not in text.rsplit("# @ ", 1)[1]
    }


@pytest.fixture(autouse=True)
def traces_end():
    yield
    stop_both()


def stop_both():
    memprof.stop()
    tracemalloc.stop()


def check_when_settled():
    """None, or why not. Before 3.13 join() comes back while the thread is still freeing."""
    deadline = time.monotonic() + 60
    while (why := _core.check()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return why


# ---- random programs -------------------------------------------------------------------------

# One line each. S is a list of eight slots.
ACTIONS = """
S[$i] = None
S[:] = [None] * 8
S[$i] = bytes($n)
S[$i] = bytearray($n)
S[$i] = "x" * $n
S[$i] = "\u00e9\u20ac" * $n
S[$i] = [None] * $n
S[$i] = list(range($n))
S[$i] = [float(n) for n in range($n % 500)]
S[$i] = [object() for _ in range($n % 500)]
S[$i] = {n: str(n) for n in range($n % 500)}
S[$i] = set(range($n % 2000))
S[$i] = tuple(range($n % 30))
S[$i] = $n ** ($n % 200)
S[$i] = Node(S[$j])
S[$i] = [Node(n) for n in range($n % 300)]
S[$i] = Slotted(S[$j])
S[$i] = Node(None); S[$i].value = S[$i]; S[$i].more.append(bytes($n))
S[$i] = type("Made", (Node,), {"n": bytes($n)})
S[$i] = lambda: $n
S[$i] = [$n for n in range($n % 100)]; S[$j] = S[$i]
S[$i] = generate($n); next(S[$i])
S[$i] = failure($n)
S[$i] = compile("a = [b for c in d]\\n" * ($n % 40), "other.py", "exec")
S[$i] = memoryview(bytearray($n))
S[$i] = S[$j] if not isinstance(S[$j], (list, dict)) else S[$j].copy()
grow(S[$i], $n)
grow(S[$i], $n)
shrink(S[$i], $n)
gc.collect()
gc.collect(0)
in_threads(3, lambda: [bytearray($n) for _ in range(20)])
S[$i] = in_threads(3, lambda: [bytearray($n) for _ in range(20)])
in_threads(1, lambda: S.__setitem__($i, [bytes($n), {}, []]))
""".strip().splitlines()

PRELUDE = """
import gc, threading
class Node:
    def __init__(self, value): self.value = value; self.more = [value] * 5
class Slotted:
    __slots__ = ("value", "__weakref__")
    def __init__(self, value): self.value = value
def generate(n):
    local = bytearray(n)
    while True: yield [local] * 10
def failure(n):
    local = bytes(n)
    try: raise KeyError(local)
    except KeyError as error: return error
def grow(it, n):
    if isinstance(it, list): it.extend(range(n))
    elif isinstance(it, bytearray): it.extend(bytes(n))
    elif isinstance(it, dict): it.update((n + i, [i]) for i in range(n % 500))
    elif isinstance(it, Node): it.more += [n] * (n % 100); setattr(it, f"name{n % 20}", n)
def shrink(it, n):
    if isinstance(it, (list, bytearray)): del it[n:]
    elif isinstance(it, dict): it.clear()
    elif isinstance(it, Node): vars(it).clear(); it.more = []
def in_threads(count, work):
    results = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return results
""".strip()

numbers = st.one_of(st.integers(0, 40), st.sampled_from([511, 512, 513]), st.integers(0, 20_000))
steps = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7), st.integers(0, 7), numbers)
programs = st.lists(steps, min_size=1, max_size=40)


def source_of(program):
    """Each step on a line of its own, so that its blocks can be told from others."""
    lines = [Template(action).substitute(i=i, j=j, n=n) for action, i, j, n in program]
    return "\n".join([PRELUDE, *lines])


def large_blocks(traces):
    """Blocks by (size, line) of the random program, from either tracer. Only sizes that no
    free list has: tracemalloc moves an object that comes from one to the line that took it,
    with memprof it stays where its block was allocated."""
    return Counter(
        (size, frames[0][1])
        for _, size, frames, _ in traces
        if frames[0][0] == "actions.py" and size > 300
    )


@contextmanager
def without_gc():
    """Both tracers are asked at one moment: no garbage goes between the two questions."""
    gc.disable()
    yield
    gc.enable()


def assert_large_blocks_agree():
    with without_gc():
        ours, theirs = _core.traces(1), _tracemalloc._get_traces()
    assert large_blocks(ours) == large_blocks(theirs)


def tracemallocs_lead():
    """Bytes that only tracemalloc knows: what was allocated between the two starts. The
    first number is a new object when the second one is asked for, but where it comes from a
    free list: the least is right. An ended thread may free its state between the two, once."""
    with without_gc():
        while True:
            leads = Counter()
            for _ in range(5):
                ours = _core.get_traced()[0]
                theirs = tracemalloc.get_traced_memory()[0]
                leads[theirs - ours] += 1
            if leads[min(leads)] > 1:
                return min(leads)


def assert_numbers_agree():
    assert check_when_settled() is None
    assert _core.lost() == 0
    snapshot = memprof.take_snapshot()
    live, peak = snapshot.traced_memory
    rows = {
        metric: {row.traceback: row for row in snapshot.statistics("stack", metric=metric)}
        for metric in ("live", "peak", "total")
    }
    assert sum(row.size for row in rows["live"].values()) == live
    assert abs(sum(row.size for row in rows["peak"].values()) - peak) <= PEAK_SLACK
    assert peak >= live - PEAK_SLACK
    for metric in ("live", "peak"):
        for traceback, row in rows[metric].items():
            total = rows["total"][traceback]
            assert total.size >= row.size >= 0 and total.count >= row.count >= 0
    facts = snapshot.facts
    assert sum(row.size for row in rows["total"].values()) == facts["total_bytes"]
    assert facts["total_bytes"] >= peak - PEAK_SLACK
    assert sum(row.count for row in rows["total"].values()) == facts["total_blocks"]


def start_both():
    tracemalloc.start()
    memprof.start()  # in front of tracemalloc: sees none of its own memory
    gc.collect()  # frees what went on free lists between the two


@settings(max_examples=100, deadline=None, derandomize=True)
@given(program=programs)
def test_both_tracers_say_the_same_of_any_program(program):
    code = compile(source_of(program), "actions.py", "exec")
    slots = [None] * 8
    try:
        start_both()
        lead = tracemallocs_lead()
        exec(code, {"S": slots})
        assert check_when_settled() is None
        assert tracemallocs_lead() == lead
        assert_large_blocks_agree()
        assert_numbers_agree()
        slots[:] = [None] * 8
        gc.collect()
        assert_large_blocks_agree()
        assert_numbers_agree()
    finally:
        stop_both()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(before=programs, during=programs, after=programs, cleared=st.booleans())
def test_any_program_when_the_trace_starts_in_mid_run(before, during, after, cleared):
    before, during, after = (
        compile(source_of(part), "actions.py", "exec") for part in (before, during, after)
    )
    names = {"S": [None] * 8}
    try:
        exec(before, names)
        start_both()
        exec(during, names)
        assert_large_blocks_agree()
        assert_numbers_agree()
        if cleared:
            tracemalloc.clear_traces()
            memprof.clear()
        else:
            stop_both()
            exec(before, names)
            start_both()
        exec(after, names)
        assert_large_blocks_agree()
        assert_numbers_agree()
    finally:
        stop_both()


# ---- who was live at the peak ------------------------------------------------------------------

UNIT = 5000 + 2 * PEAK_SLACK  # bytes; what else happens between the moves is less


def raw_allocator(library):
    allocate, resize, free = (
        getattr(library, "PyMem_Raw" + name) for name in ("Malloc", "Realloc", "Free")
    )
    allocate.restype = resize.restype = ctypes.c_void_p
    allocate.argtypes, free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    resize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return SimpleNamespace(allocate=allocate, resize=resize, free=free)


RAW = {"held": raw_allocator(ctypes.pythonapi), "released": raw_allocator(ctypes.CDLL(None))}

moves = st.tuples(
    st.sampled_from(["allocate", "allocate", "free", "resize", "reset"]),
    st.integers(0, 5),  # slot
    st.integers(1, 20),  # units
    st.sampled_from(list(RAW)),  # with the GIL or without: two ways of counting
)


def line_of(step):
    _, move, slot, units, gil = step
    return {
        "allocate": f"{gil}.free(S[{slot}]); S[{slot}] = {gil}.allocate({units * UNIT})",
        "free": f"{gil}.free(S[{slot}]); S[{slot}] = None",
        "resize": f"S[{slot}] = {gil}.resize(S[{slot}], {units * UNIT})",
        "reset": "reset_peak()",
    }[move]


def play(game):
    """(peak, {line: size at the peak}) in units, as the tracer should find them."""
    slots, peak, at_peak = {}, 0, {}
    for line, move, slot, units, _ in game:
        if move != "reset":
            slots.pop(slot, None)
        if move in ("allocate", "resize"):
            slots[slot] = line, units
        live = dict(slots.values())
        now = sum(live.values())
        assume(now != peak or live == at_peak)  # which of the two it is, the odd bytes decide
        if now > peak or move == "reset":
            peak, at_peak = now, live
    return peak, at_peak


@settings(max_examples=200, deadline=None, derandomize=True)
@given(drawn=st.lists(moves, min_size=1, max_size=60))
def test_who_was_live_at_the_peak(drawn):
    game = [
        (line, move, slot, units * 100 + line, gil)
        for line, (move, slot, units, gil) in enumerate(drawn, 1)
    ]
    peak, at_peak = play(game)
    code = compile("\n".join(line_of(step) for step in game), "moves.py", "exec")
    slots = [None] * 6
    try:
        memprof.start()
        exec(code, {"S": slots, "reset_peak": memprof.reset_peak, **RAW})
        snapshot = memprof.take_snapshot()
    finally:
        memprof.stop()
        for block in slots:
            RAW["held"].free(block)
    found = {
        row.traceback[0].lineno: row.size // UNIT
        for row in snapshot.statistics("line", metric="peak")
        if row.traceback[0].filename == "moves.py" and row.size >= UNIT
    }
    assert found == at_peak
    assert snapshot.traced_memory[1] // UNIT == peak


# ---- lines of all kinds of code ------------------------------------------------------------------


class Zoo:
    """Each entry of ``found`` was allocated at the line that is marked with its name."""

    def __init__(self, found):
        self.found = found
        found["in __init__"] = bytes(1000)  # @ in __init__

    @property
    def as_property(self):
        self.found["in a property"] = bytes(1000)  # @ in a property

    def __getitem__(self, key):
        self.found["in __getitem__"] = bytes(1000)  # @ in __getitem__

    def __enter__(self):
        self.found["in __enter__"] = bytes(1000)  # @ in __enter__

    def __exit__(self, *_):
        self.found["in __exit__"] = bytes(1000)  # @ in __exit__

    def generator(self):
        yield
        self.found["in a generator"] = bytes(1000)  # @ in a generator
        yield from self.inner()

    def inner(self):
        self.found["in yield from"] = bytes(1000)  # @ in yield from
        yield

    async def coroutine(self):
        await asyncio.sleep(0)
        self.found["in a coroutine"] = bytes(1000)  # @ in a coroutine
        async for _ in self.asynchronous():
            pass

    async def asynchronous(self):
        self.found["in an async generator"] = bytes(1000)  # @ in an async generator
        yield

    def statements(self):
        found = self.found
        found["in several lines"] = (
            len("not here"),
            bytes(1000),  # @ in several lines
        )[1]
        found["in a lambda"] = (lambda: bytes(1000))()  # @ in a lambda
        (found["in a comprehension"],) = [bytes(1000) for _ in "x"]  # @ in a comprehension
        try:
            raise KeyError
        except KeyError:
            found["in except"] = bytes(1000)  # @ in except
        finally:
            found["in finally"] = bytes(1000)  # @ in finally

        class Body:
            found["in a class body"] = bytes(1000)  # @ in a class body

        @functools.partial(found.setdefault, "in a decorator")  # @ in a decorator
        @lambda _: bytes(1000)  # @ in the lambda of a decorator
        def _(default=found.setdefault("in a default", bytes(1000))):  # @ in a default
            pass

        sorted([1], key=self.key)

    def key(self, value):
        self.found["called from C"] = bytes(1000)  # @ called from C
        return value


def visit_zoo():
    found = {}
    zoo = Zoo(found)
    zoo.as_property
    zoo[0]
    with zoo:
        list(zoo.generator())
    asyncio.run(zoo.coroutine())
    zoo.statements()
    found["in the lambda of a decorator"] = found.pop("in a decorator")
    return found


def test_lines_and_functions_of_all_kinds_of_code():
    tracemalloc.start(100)
    try:
        memprof.start()
        for _ in range(30):  # the interpreter specializes what runs often
            found = visit_zoo()
        ours = {name: memprof.get_object_traceback(block) for name, block in found.items()}
        theirs = {name: tracemalloc.get_object_traceback(block) for name, block in found.items()}
        memprof.stop()
    finally:
        tracemalloc.stop()
    assert len(found) == 18
    for name in found:
        assert ours[name][-1][:2] == (__file__, MARKS[name]), name
        assert [f[:2] for f in ours[name]] == [(f.filename, f.lineno) for f in theirs[name]], name
    functions = {name: ours[name][-1].function for name in found}
    assert functions["in __init__"] == "Zoo.__init__"
    assert functions["in a coroutine"] == "Zoo.coroutine"
    assert functions["in a class body"] == "Zoo.statements.<locals>.Body"
    assert functions["in a lambda"] == "Zoo.statements.<locals>.<lambda>"
    assert functions["called from C"] == "Zoo.key"
    assert ours["called from C"][-2].function == "Zoo.statements"
