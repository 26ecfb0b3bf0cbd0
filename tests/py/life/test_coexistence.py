"""memprof beside other hooks, allocators, interpreters, threads and forks; each in a process
of its own that must end with status 0 and nothing on stderr."""

import itertools
from importlib.util import find_spec

import pytest
from coexistence_helpers import FORK, INTERPRETERS, PRELUDE, RAW_WITHOUT_GIL, WHILE_OTHERS, run
from conftest import ALLOCATORS, run_at_once, run_plain

# ---- tracemalloc ----------------------------------------------------------------------------


class Chain:
    """Which hooks lie in front of the allocators: memprof's stay when others are in front of
    them, tracemalloc.stop() puts back what it found."""

    def __init__(self):
        self.hooks, self.found, self.on = (), None, set()

    def act(self, letter):
        """M and m start and stop memprof, T and t tracemalloc. Does memprof see allocations
        then? None when it is not tracing."""
        if letter == "M" and "M" not in self.hooks:
            self.hooks += ("M",)
        elif letter == "m" and self.hooks[-1:] == ("M",):
            self.hooks = self.hooks[:-1]
        elif letter == "T":
            self.found = self.hooks
            self.hooks += ("T",)
        elif letter == "t":
            self.hooks = self.found
        self.on ^= {letter.upper()}
        return "M" in self.hooks if "M" in self.on else None

    def play(self, letters):
        return [(letter, self.act(letter)) for letter in letters]


def is_possible(letters):
    """Nobody starts twice or stops without a start, and at the end nothing is on."""
    for one in "Mm", "Tt":
        acts = "".join(letter for letter in letters if letter in one)
        if acts != one * (len(acts) // 2):
            return False
    return True


ORDERS = [
    "".join(letters)
    for length in (2, 4, 6)
    for letters in itertools.product("MmTt", repeat=length)
    if is_possible(letters)
]

PLAY = """
warnings.simplefilter("error")
ACTS = {"M": memprof.start, "m": memprof.stop,
        "T": lambda: tracemalloc.start(3), "t": tracemalloc.stop}

def play(steps):
    letters = "".join(letter for letter, seen in steps)
    kept = []
    for letter, seen in steps:
        kept.append(storm(100))
        ACTS[letter]()
        kept.append(storm(100))
        del kept[0]
        if seen is None:
            assert not memprof.is_tracing() and not is_seen(5000)
            continue
        assert _core.check() is None, (letters, letter, _core.check())
        assert _core.is_reached() == seen, (letters, letter)
        assert is_seen(5000) == is_seen(400) == seen, (letters, letter)
        try:
            memprof.take_snapshot()
            assert seen, (letters, letter)
        except RuntimeWarning:
            assert not seen, (letters, letter)
        assert not tracemalloc.is_tracing() or tracemalloc.get_traced_memory()[0] > 10_000
"""


def test_orders_are_what_they_should_be():
    assert len(ORDERS) == 42
    assert Chain().play("MTtm") == [("M", True), ("T", True), ("t", True), ("m", None)]
    assert [seen for _, seen in Chain().play("TMtmMm")] == [None, True, False, None, True, None]


def test_every_order_of_starting_and_stopping_tracemalloc():
    chain = Chain()  # what one order leaves behind, the next one finds
    steps = [chain.play(order) for order in ORDERS + ORDERS[::-1]]
    run(PLAY + f"for steps in {steps}: play(steps)")


@pytest.mark.parametrize("python", [(), ("-X", "tracemalloc=1")], ids=["", "-X tracemalloc"])
def test_each_short_order_in_a_fresh_process(python):
    steps = [Chain().play(order) for order in ORDERS if len(order) <= 4]
    if python:  # tracemalloc is on already
        steps = [some[1:] for some in steps if some[0][0] == "T"]
    run_at_once(*(lambda some=some: run(PLAY + f"play({some})", python=python) for some in steps))


# ---- allocators and options of the interpreter --------------------------------------------------

MID_RUN = """
old = storm()
memprof.start()
assert is_seen(5000) and is_seen(400)
kept = storm(); in_threads(3, storm)
old[0] = None; del old[::2]
check()
memprof.stop(); del kept[::3]; memprof.start()
kept += storm(); del kept[::2]; old.clear()
check()
for i in range(500):  # code at addresses that are used again
    names = {}
    code = compile("def made(): return bytes(1000)\\nmade = made()", f"{i}.py", "exec")
    exec(code, names)
    assert memprof.get_object_traceback(names["made"])[-1].filename == f"{i}.py", i
    del code
check()
"""


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_allocators(allocator):
    run(MID_RUN, PYTHONMALLOC=allocator)


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_allocators_with_tracemalloc_from_the_environment(allocator):
    run(MID_RUN, PYTHONMALLOC=allocator, PYTHONTRACEMALLOC="3")


OPTIONS = ["dev", "tracemalloc=5", "frozen_modules=off", "faulthandler", "no_debug_ranges"]


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_interpreter(option):
    run(MID_RUN, python=["-X", option])


FAULTHANDLER = """
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, all_threads=True)
faulthandler.dump_traceback_later(0.02, repeat=True, file=open(os.devnull, "w"))
memprof.start()
for _ in range(50):
    kept = storm()
    os.kill(os.getpid(), signal.SIGUSR1)
faulthandler.cancel_dump_traceback_later()
check()
"""


@pytest.mark.parametrize(
    "option, program, line, count",
    [
        ("importtime", "memprof.start()\nimport json.tool\ncheck()", "| json.tool", 1),
        ("utf8", "memprof.start(); sys._debugmallocstats(); check()", "free PyDictObjects", 1),
        ("utf8", FAULTHANDLER, "(most recent call first):", 50),
    ],
    ids=["importtime", "_debugmallocstats", "faulthandler"],
)
def test_what_the_interpreter_writes_while_tracing(option, program, line, count):
    result = run_plain("-c", PRELUDE + program, python=["-X", option])
    assert result.status == 0, result
    lines = [" ".join(text.split()) for text in result.stderr.splitlines()]
    assert sum(text.endswith(line) or line in text for text in lines) == count


# ---- programs that check themselves -----------------------------------------------------------

PROGRAMS = {
    "start and stop while threads allocate": WHILE_OTHERS
    + """
class Nobody: start = stop = staticmethod(lambda: None)
if not getattr(sys, "_is_gil_enabled", lambda: True)() and sys.version_info < (3, 14):
    tracemalloc = Nobody  # 3.13's crashes when it is stopped while others allocate, also without us
def act():
    for _ in range(30):
        memprof.start(); tracemalloc.start(); storm(50); memprof.clear(); memprof.take_snapshot()
        memprof.stop(); tracemalloc.stop()
        tracemalloc.start(); memprof.start(); storm(50); memprof.clear(); memprof.take_snapshot()
        memprof.stop(); tracemalloc.stop()
while_others(storms, act)
memprof.start(); kept = storm(); check()
""",
    "clear and stop while threads resize without the GIL": RAW_WITHOUT_GIL
    + WHILE_OTHERS
    + """
for _ in range(20):
    memprof.start()
    while_others(churn, memprof.clear); check()
    while_others(churn, memprof.stop)
""",
    # tracemalloc's RAW hook, below ours, waits for the GIL
    "the same in front of tracemalloc": RAW_WITHOUT_GIL
    + WHILE_OTHERS
    + """
tracemalloc.start()
for _ in range(10):
    memprof.start()
    while_others(churn, memprof.clear)
    while_others(churn, memprof.stop)
""",
    "numbers of the same": RAW_WITHOUT_GIL
    + WHILE_OTHERS
    + """
tracemalloc.start(); memprof.start()
for _ in range(60): while_others(churn, memprof.clear); check()
""",
    "fork while threads allocate": FORK
    + WHILE_OTHERS
    + """
def in_child():
    global done
    done = True
    assert _core.check() is None, _core.check()
    kept = storm(); in_threads(2, storm)
    check()
    forked(check)
    memprof.stop(); memprof.start(); kept += storm(); check()
def act():
    for _ in range(15): forked(in_child)
memprof.start()
while_others(storms, act)
check()
""",
    # the child misses what was under way in other threads, but a new trace is sound
    "fork while threads resize without the GIL": FORK
    + RAW_WITHOUT_GIL
    + WHILE_OTHERS
    + """
def in_child():
    kept = storm()
    memprof.take_snapshot().statistics("stack")
    memprof.stop(); memprof.start(); kept += storm(); check()
def act():
    for _ in range(20): forked(in_child)
memprof.start()
while_others(churn, act)
check()
""",
    "interpreters come and go": INTERPRETERS
    + """
memprof.start()
for _ in range(5): use_one(); kept = storm(); check()
""",
    "an interpreter with memprof in it ends": INTERPRETERS
    + RAW_WITHOUT_GIL
    + """
memprof.start(series=True, checkpoint=0.01)
number = interpreters.create()
run_in(number, f"import sys; sys.path[:] = {sys.path}")
run_in(number, "from memprof.control import tracing; tracing._register()")
interpreters.destroy(number)
kept = []
def resize_once(): kept.append(resize(None, 70_000))
in_threads(1, resize_once)
rows = memprof.take_snapshot().statistics("function", metric="live")
large = [row for row in rows if row.size >= 70_000]
assert any(row.traceback[-1].function == "resize_once" for row in large), rows[:3]
known += 1; check()  # the timeline goes on
free(kept.pop())
""",
    "interpreters in threads": INTERPRETERS
    + WHILE_OTHERS
    + """
memprof.start()
while_others(use_one, lambda: [storm() for _ in range(20)]); check()
memprof.clear(); use_one(); check()
memprof.stop(); use_one(); memprof.start(); use_one(); check()
""",
    "an interpreter from before the start": INTERPRETERS
    + """
number = interpreters.create()
run_in(number)
memprof.start()
run_in(number); check()
run_in(number, "import memprof; assert memprof.is_tracing(); memprof.take_snapshot()")
interpreters.destroy(number); check()
""",
    "greenlets": """
import greenlet
home = greenlet.getcurrent()
def work(n):
    kept = []
    for _ in range(20): home.switch(kept.append(bytes(1000 + n)))
    return kept
memprof.start()
greenlets = [greenlet.greenlet(work) for _ in range(10)]
for _ in range(21): results = [one.switch(n) for n, one in enumerate(greenlets)]
for kept in results:
    assert [memprof.get_object_traceback(b)[-1].function for b in kept] == ["work"] * 20
check()
""",
    "settrace and setprofile": """
def f(): return [bytes(1000)]
def trace(frame, event, argument):
    events.append((event, [event] * 3))
    return trace
memprof.start()
for name in ("settrace", "setprofile"):
    events = []
    getattr(threading, name)(trace); getattr(sys, name)(trace)
    kept = f(); in_threads(2, f)
    getattr(sys, name)(None); getattr(threading, name)(None)
    assert len(events) > 5
    assert memprof.get_object_traceback(kept[0])[-1].function == "f"
check()
""",
    "the collector": """
class Node:
    def __del__(self): self.again = bytes(100)
memprof.start()
gc.callbacks.append(lambda *_: storm(20))
for _ in range(10):
    kept = [Node() for _ in range(100)]
    for node in kept: node.cycle = node
    gc.freeze(); del kept, node; kept = storm(); gc.collect(); gc.unfreeze(); gc.collect()
    memprof.take_snapshot()
gc.callbacks.clear()
check()
""",
    "daemon threads at the end": WHILE_OTHERS
    + """
done = False
memprof.start()
for _ in range(4): threading.Thread(target=storms, daemon=True).start()
time.sleep(0.02)
""",
    "daemon threads without the GIL at the end": RAW_WITHOUT_GIL
    + """
memprof.start()
for _ in range(3): threading.Thread(target=churn, daemon=True).start()
time.sleep(0.02)
""",
    "started in another interpreter": RAW_WITHOUT_GIL
    + INTERPRETERS
    + """
number = interpreters.create()
run_in(number, "import memprof; memprof.start()")
interpreters.destroy(number)  # ends the timeline; the trace goes on
assert memprof.is_tracing()
def ask(): return resize(None, 777_000)
block = ask()
rows = memprof.take_snapshot().statistics("function", metric="live")
large = [row for row in rows if row.size >= 700_000]
assert [row.traceback[-1].function for row in large] == ["ask"], large
free(block); check()
""",
    "daemon threads at the end, started in another interpreter": RAW_WITHOUT_GIL
    + INTERPRETERS
    + """
number = interpreters.create()
run_in(number, "import memprof; memprof.start()")
interpreters.destroy(number)
for _ in range(3): threading.Thread(target=churn, daemon=True).start()
time.sleep(0.02)
""",
    "atexit": """
@atexit.register
def before():
    kept = storm(); check(); memprof.stop()
memprof.start()
@atexit.register
def after():
    global kept
    kept = storm(); check(); memprof.stop(); memprof.start()
""",
    "after memprof's atexit": """
memprof.start()
atexit._run_exitfuncs()
kept = storm(); in_threads(2, storm); check()
""",
    "__del__ at the end": """
import builtins
class Last:
    def __del__(self): self.kept = storm(); memprof.take_snapshot(); _core.check()
memprof.start()
sys.last_one, builtins.last_one, one, cycle = Last(), Last(), Last(), Last()
cycle.cycle = cycle
""",
    "the timeline at the end": "memprof.start(series=True); kept = storm(); time.sleep(0.05)",
    "tracemalloc in front at the end": "memprof.start(); tracemalloc.start(); kept = storm()",
    "no hooks at the end": "tracemalloc.start(); memprof.start(); tracemalloc.stop()",
}
MARKS = {
    "greenlets": pytest.mark.skipif(not find_spec("greenlet"), reason="greenlet is not installed"),
}


def program(name):
    return pytest.param(name, marks=MARKS.get(name, ()))


@pytest.mark.parametrize("name", [program(name) for name in PROGRAMS])
def test_program(name):
    times = 6 if name.startswith("daemon") else 1  # it depends on the moment
    # greenlet needs the GIL, and Python says so
    warnings = "ignore:The global interpreter lock" if name == "greenlets" else None
    run_at_once(*[lambda: run(PROGRAMS[name], timeout=120, PYTHONWARNINGS=warnings)] * times)
