"""Living in a process with what people run there: event loops, interpreters with a GIL of
their own, debug hooks, coverage, other mallocs, the JIT; and with no memory left."""

import ctypes.util
import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

import pytest
from coexistence_helpers import FORK, PRELUDE, WHILE_OTHERS, run
from conftest import ALLOCATORS, EMULATOR, FREE_THREADED, ROOT, run_plain, run_traced
from memprof import Snapshot

# ---- event loops -------------------------------------------------------------------------------

ASYNCIO = """
import asyncio
async def leaf(n):
    await asyncio.sleep(0)
    block = bytes(1000 + n)
    await asyncio.sleep(0)
    return block
async def generate(n):
    for i in range(n): yield await leaf(i)
async def branch(n):
    results = await asyncio.gather(*(leaf(i) for i in range(n)))
    results += [block async for block in generate(n)]
    results += [await asyncio.to_thread(bytes, 3000)]
    task = asyncio.create_task(asyncio.sleep(10)); await asyncio.sleep(0); task.cancel()
    return results
memprof.start()
for _ in range(3): results = asyncio.run(branch(50))
stacks = [memprof.get_object_traceback(block) for block in results[:100]]
assert {stack[-1].function for stack in stacks} == {"leaf"}, {stack[-1] for stack in stacks}
assert {stack[-2].function for stack in stacks[50:]} == {"generate"}
check()
"""


def test_asyncio():
    run(ASYNCIO)
    run(ASYNCIO, PYTHONASYNCIODEBUG="1")


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, gevent.pool
def work(n):
    kept = []
    for i in range(20):
        kept.append(bytes(1000 + n)); gevent.sleep(0)
    return kept
memprof.start()
pool = gevent.pool.Pool(10)
for kept in pool.map(work, range(50)):
    assert {memprof.get_object_traceback(block)[-1].function for block in kept} == {"work"}
killed = [gevent.spawn(work, 5) for _ in range(20)]
gevent.sleep(0); gevent.killall(killed); del killed, pool, kept; gc.collect()
assert _core.check() is None and _core.lost() == 0
"""


@pytest.mark.skipif(not find_spec("gevent"), reason="gevent is not installed")
def test_gevent():
    run(GEVENT, python=("-W", "ignore:The global interpreter lock"))  # its extensions need it


# ---- interpreters --------------------------------------------------------------------------------

CONCURRENT = (
    WHILE_OTHERS
    + """
from concurrent import interpreters
from concurrent.futures import InterpreterPoolExecutor
CODE = '''
kept = [bytearray(n) for n in range(1000)] + [object() for _ in range(2000)]
exec("def made(): return [bytes(5000)]"); kept.append(made())
del kept[::2]
'''
def use_one():
    one = interpreters.create()
    one.exec(CODE); one.exec("import memprof; assert memprof.is_tracing()")
    one.close()
def several():
    while not done: use_one()
memprof.start()
use_one(); check()
while_others(several, lambda: [storm() for _ in range(20)]); check()
with InterpreterPoolExecutor(2) as pool:
    assert list(pool.map(len, ["a" * n for n in range(50)])) == list(range(50))
memprof.take_snapshot().statistics("stack")
check()
"""
)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is of 3.14")
def test_concurrent_interpreters():
    run(CONCURRENT)


# ---- threads and children ------------------------------------------------------------------------

OUTLIVING = """
memprof.start()
def late():
    threading.main_thread().join()
    for _ in range(20): storm(50)
    memprof.take_snapshot().statistics("stack")
for _ in range(3): threading.Thread(target=late).start()
"""
FORK_IN_STORMS = (
    FORK
    + WHILE_OTHERS
    + """
known += 1  # the timeline is a thread that Python does not know
def child():
    global done
    done = True
    kept = storm(); gc.collect()
    check()
    if generation < 2: again()
def again():
    global generation
    generation += 1
    forked(child)
    generation -= 1
def act():
    for _ in range(10): again()
generation = 0
memprof.start(series=True)
while_others(storms, act)
check()
"""
)


@pytest.mark.parametrize("program", [OUTLIVING, FORK_IN_STORMS], ids=["outliving", "forks"])
def test_threads_and_children(program):
    run(program)


# ---- hooks of others -----------------------------------------------------------------------------

DEBUG_HOOKS = """
api = ctypes.pythonapi
def play(steps):
    kept = [storm(50)]
    for step in steps:
        step(); kept.append(storm(50))
        if memprof.is_tracing(): assert _core.check() is None, _core.check()
    del kept[::2]; gc.collect()
    return kept
kept = play([memprof.start, tracemalloc.start, tracemalloc.stop, memprof.stop])
api.PyMem_SetupDebugHooks()  # with another hook in front, tracemalloc's too, Python recurses
kept += play([memprof.start, tracemalloc.start, tracemalloc.stop, memprof.stop])
api.PyMem_SetupDebugHooks()
kept += play([memprof.start]); assert is_seen(5000) and is_seen(400); check()
kept += play([memprof.stop, memprof.start, tracemalloc.start, memprof.clear, tracemalloc.stop])
"""


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_debug_hooks_in_mid_run(allocator):
    """The hooks are there when Python is started so; asked for again they must not double."""
    if "debug" not in allocator:
        pytest.skip("debug hooks in mid-run would read headers that older blocks do not have")
    run(DEBUG_HOOKS, PYTHONMALLOC=allocator)


COVERAGE = """
import coverage
measured = coverage.Coverage(data_file=None, include=["*/json/*"], branch={branch})
memprof.start()
measured.start()
import json
kept = [json.loads(json.dumps({{"a": [n] * 10}}, indent=1)) for n in range(200)]
in_threads(3, lambda: json.dumps(kept, indent=1))
measured.stop()
check()
assert len(measured.get_data().measured_files()) > 1
"""


@pytest.mark.skipif(not find_spec("coverage"), reason="coverage is not installed")
@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_coverage(core):
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is of 3.12")
    if core == "ctrace" and not find_spec("coverage.tracer"):
        pytest.skip("coverage has no C tracer for this Python")
    branch = core != "sysmon" or sys.version_info >= (3, 14)
    run(COVERAGE.format(branch=branch), COVERAGE_CORE=core, PYTHONWARNINGS="ignore")


DEBUGGER = """
def f(n):
    block = bytes(1000)
    return g(n, block)
def g(n, block):
    return [block] * n
f(3)
print("over")
"""


def test_debugger_in_a_traced_program(tmp_path):
    """pdb steps, prints the stack and goes on, the same as without memprof."""
    (tmp_path / "program.py").write_text("breakpoint()" + DEBUGGER)
    commands = (
        "next\nbreak g\ncontinue\nwhere\nstep\np n, len(block)\nup\nlist\nclear 1\ncontinue\n"
    )
    plain, traced = (
        runner("program.py", cwd=tmp_path, stdin=commands) for runner in (run_plain, run_traced)
    )
    assert traced == plain and "(3, 1000)" in plain.stdout and plain.stdout.endswith("over\n")


# ---- other mallocs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jemalloc", "mimalloc"])
def test_preloaded_malloc(name):
    library = ctypes.util.find_library(name)
    if not library:
        pytest.skip(f"lib{name} is not installed")
    program = "assert {0!r} in open('/proc/self/maps').read()\n"
    program += "memprof.start(series=True); known += 1  # the timeline\n"
    program += "kept = storm(); in_threads(4, storm); check(); memprof.stop(); memprof.start()\n"
    program += "kept += storm(); pid = os.fork()\nif pid == 0: check(); os._exit(0)\n"
    program += "assert os.waitpid(pid, 0)[1] == 0; check()"
    run(program.format(name), LD_PRELOAD=library, PYTHONMALLOC="debug")
    run(program.format(name), LD_PRELOAD=library)


# ---- the JIT, lazy imports, options --------------------------------------------------------------

HOT = """
class Node:
    def __init__(self, n): self.n = n; self.kept = [n] * 10
def make(n): return bytes(2000 + n)
def hot(count):
    kept = []
    for n in range(count):
        kept.append(make(n % 7)); Node(n)
    return kept
hot(20_000)
memprof.start()
kept = hot(30_000)
stacks = {memprof.get_object_traceback(block)[-2:] for block in kept}
(stack,) = stacks
assert [frame.function for frame in stack] == ["hot", "make"], stack
rows = {row.traceback[-1].function: row for row in memprof.take_snapshot().statistics("function")}
assert 0 <= rows["make"].count - 30_000 <= 1  # one number, if none was in the free list
check()
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the JIT is of 3.13")
def test_the_jit():
    """The line of an allocation is exact in compiled code, too, where this Python has a JIT."""
    run(HOT, PYTHON_JIT="1")


def test_hot_code():
    run(HOT, PYTHON_JIT="0")


LAZY = """
memprof.start()
lazy import json, decimal
lazy from xml.etree import ElementTree
assert "decimal" not in sys.modules
kept = [json.dumps([n]) for n in range(100)], decimal.Decimal("1.5"), ElementTree.Element("a")
files = {row.traceback[-1].filename for row in memprof.take_snapshot().statistics("file")}
assert any("json" in name for name in files)
check()
"""


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are of 3.15")
def test_lazy_imports():
    run(LAZY)
    for mode in ("all", "normal"):
        run("import json\n" + HOT, PYTHON_LAZY_IMPORTS=mode)
        run("import json\n" + HOT, PYTHON_LAZY_IMPORTS=mode, PYTHON_JIT="1")


# The values to try; none: it has none. FOLDER is an empty one.
OPTION_VALUES = {
    "context_aware_warnings": ["0", "1"],
    "cpu_count": ["2"],
    "dev": [],
    "disable-remote-debug": [],
    "faulthandler": [],
    "frozen_modules": ["on", "off"],
    "gil": ["0", "1"],
    "importtime": [],
    "int_max_str_digits": ["0", "5000"],
    "lazy_imports": ["all", "normal"],
    "no_debug_ranges": [],
    "pathconfig_warnings": ["0", "1"],
    "perf": [],
    "perf_jit": [],
    "pycache_prefix": ["FOLDER"],
    "showrefcount": [],
    "thread_inherit_context": ["0", "1"],
    "tlbc": ["0", "1"],
    "tracemalloc": ["1", "9"],
    "utf8": ["0", "1"],
    "warn_default_encoding": [],
}


def options_of_this_python():
    """All that it says to have (python --help-xoptions), with their values."""
    text = subprocess.run(
        [sys.executable, "--help-xoptions"], capture_output=True, text=True
    ).stdout
    names = sorted(set(re.findall(r"^-X ([\w-]+)", text, re.MULTILINE)) | {"perf", "gil"})
    return [f"{name}={value}" for name in names for value in OPTION_VALUES.get(name, [""])] + [
        name for name in names if not OPTION_VALUES.get(name, [""])
    ]


WITH_OPTION = """
def make(n): return bytes(2000 + n)
memprof.start()
made = [make(n) for n in range(100)]
assert {memprof.get_object_traceback(block)[-1].function for block in made} == {"make"}
kept = storm(); in_threads(2, storm); check()
for path in (f"/tmp/perf-{os.getpid()}.map", f"/tmp/jit-{os.getpid()}.dump"):
    if os.path.exists(path): os.unlink(path)
"""


@pytest.mark.parametrize("option", options_of_this_python())
def test_options(option, tmp_path):
    name = option.partition("=")[0]
    assert name in OPTION_VALUES, "an option that is new to these tests"
    if name == "gil" and not FREE_THREADED:
        pytest.skip("of free-threaded builds")
    if name.startswith("perf") and not sysconfig.get_config_var("PY_HAVE_PERF_TRAMPOLINE"):
        pytest.skip("this Python has no perf trampoline")
    option = option.replace("FOLDER", str(tmp_path))
    result = run_plain("-c", PRELUDE + WITH_OPTION, python=["-X", option])
    written = result.stderr.splitlines()
    assert result.status == 0 and all(line.startswith("import time:") for line in written), result


def test_without_asserts_and_docstrings():
    run("memprof.start(); kept = storm(); in_threads(2, storm); check()", python=["-OO"])


# ---- no memory left ------------------------------------------------------------------------------

# Under an emulator such a program takes all memory of the machine.
needs_limits = pytest.mark.skipif(bool(EMULATOR), reason="an emulator limits no address space")

EXHAUSTED = """
import resource
memprof.start()
kept = storm()
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE")
caught = 0
for more in (0, 1 << 20, 20 << 20, 60 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))
    for size in (1 << 12, 1 << 16, 1 << 20):
        hoard = []
        try:
            while True: hoard.append(bytearray(size))
        except MemoryError:
            del hoard
            caught += 1
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    assert _core.check() is None, _core.check()
assert caught == 12, caught
kept = storm()
assert is_seen(5000)
assert _core.check() is None
memprof.take_snapshot().statistics("stack")
"""


@needs_limits
def test_exhausted_memory():
    """MemoryError reaches the program each time, and the trace goes on."""
    run(EXHAUSTED)


@needs_limits
def test_a_program_without_memory_ends_as_without_memprof(tmp_path):
    source = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (400_000_000, -1))\n"
    source = source.replace("-1", "resource.RLIM_INFINITY") + "kept = [bytes(5_000_000_000)]\n"
    plain, traced = (runner("-c", source) for runner in (run_plain, run_traced))
    assert plain.status == 1 and plain.stderr.endswith("MemoryError\n")
    assert (traced.status, traced.stderr) == (plain.status, plain.stderr)


HUNGRY = """
import sys
kept = []
try:
    while True: kept += [bytearray(100_000), [object() for _ in range(200)]]
except MemoryError:
    kept.clear()
    print("saw MemoryError", flush=True)
sys.exit(7)
"""
WITH_LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
HUNGRY_END = ("saw MemoryError\n", 7)


def run_within(megabytes, *words):
    return run_plain("-c", WITH_LIMIT, str(megabytes << 20), *words)


def least_that_is_enough(*words):
    """Megabytes, in steps of 4, with which the program ends as it should."""
    for megabytes in range(8, 2000, 4):
        result = run_within(megabytes, *words, "-c", HUNGRY)
        if (result.stdout, result.status) == HUNGRY_END:
            return megabytes
    pytest.skip("needs more than 2 GB of address space")


@needs_limits
def test_without_memory_from_the_start(tmp_path):
    """Under ulimit -v: refused, or traced; 48 MB more than Python needs by itself are enough.
    (With a little less CPython itself may go round in circles: it needs an int to tell of where
    a MemoryError was raised.)"""
    least = least_that_is_enough()
    profile = str(tmp_path / "profile")
    options = ("-m", "memprof", "-q", "-o", profile, "-c", HUNGRY)
    refused = run_within(least, *options)
    assert refused.status in (1, 2) and refused.stdout == "", refused
    assert refused.stderr.endswith("\n") and refused.stderr.count("memprof") >= 1, refused
    for megabytes in (least + 48, least + 60, least + 150, least + 400):
        result = run_within(megabytes, *options)
        assert (result.stdout, result.status) == HUNGRY_END, (megabytes, result)
        assert result.stderr in ("", "memprof: no report: not enough memory for it\n"), result
    snapshot = Snapshot.load(profile)
    assert (
        snapshot.traced_memory[1] > 10_000_000
    )  # at the very limit events may be lost; it is said


def test_without_memory_for_a_thread(tmp_path):
    """The program's own words say what is missing, not that a file cannot be written."""
    program = "import resource, memprof\n"
    program += "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)); import os; os.setuid(65534)\n"
    program += "try: memprof.start(series=True)\n"
    program += "except RuntimeError as error: print(error, memprof.is_tracing())"
    if os.getuid():
        pytest.skip("only root can become a user who may have no thread")
    result = run_plain("-c", program, cwd=tmp_path)
    text = (
        "cannot start the thread that takes checkpoints: Resource temporarily unavailable False\n"
    )
    assert (result.stdout, result.stderr, result.status) == (text, "", 0)


# ---- free-threaded builds of which only the headers are here -------------------------------------


@pytest.mark.skipif(FREE_THREADED, reason="this is one")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="free-threaded builds are of 3.13")
def test_the_free_threaded_headers_compile(tmp_path):
    """With -DPy_GIL_DISABLED, all of the extension, without a warning."""
    sources = [*(ROOT / "lib").glob("**/*.c"), *(ROOT / "pymod" / "core").glob("*.c")]
    command = [
        "gcc",
        "-std=c11",
        "-fsyntax-only",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-DPy_GIL_DISABLED",
    ]
    command += ['-DMEMPROF_VERSION="0"', "-isystem", sysconfig.get_path("include")]
    command += ["-I", ROOT / "include", "-I", ROOT / "lib"]
    result = subprocess.run([*command, *sources], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
