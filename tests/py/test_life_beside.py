"""Living in a process with what people run there: event loops, interpreters with a GIL of
their own, debug hooks, coverage, other mallocs, the JIT; and with no memory left."""

import ctypes.util
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

import pytest
from conftest import ALLOCATORS, FREE_THREADED, ROOT, run_plain, run_traced
from test_coexistence import FORK, WHILE_OTHERS, run

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

CONCURRENT = WHILE_OTHERS + """
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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is of 3.14")
def test_concurrent_interpreters():
    run(CONCURRENT)


# ---- threads and children ---------------------------------------------------------------------------

OUTLIVING = """
memprof.start()
def late():
    threading.main_thread().join()
    for _ in range(20): storm(50)
    memprof.take_snapshot().statistics("stack")
for _ in range(3): threading.Thread(target=late).start()
"""
SETTLE = "def settle(): time.sleep(0.05)  # the sampler is a thread that Python does not know\n"
FORK_IN_STORMS = FORK + WHILE_OTHERS + SETTLE + """
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


@pytest.mark.parametrize("program", [OUTLIVING, FORK_IN_STORMS], ids=["outliving", "forks"])
def test_threads_and_children(program):
    run(program)


# ---- hooks of others ---------------------------------------------------------------------------------

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
    commands = "next\nbreak g\ncontinue\nwhere\nstep\np n, len(block)\nup\nlist\nclear 1\ncontinue\n"
    plain, traced = (
        runner("program.py", cwd=tmp_path, stdin=commands) for runner in (run_plain, run_traced)
    )
    assert traced == plain and "(3, 1000)" in plain.stdout and plain.stdout.endswith("over\n")


# ---- other mallocs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jemalloc", "mimalloc"])
def test_preloaded_malloc(name):
    library = ctypes.util.find_library(name)
    if not library:
        pytest.skip(f"lib{name} is not installed")
    program = SETTLE + "assert {0!r} in open('/proc/self/maps').read()\nmemprof.start(series=True)\n"
    program += "kept = storm(); in_threads(4, storm); check(); memprof.stop(); memprof.start()\n"
    program += "kept += storm(); pid = os.fork()\nif pid == 0: check(); os._exit(0)\n"
    program += "assert os.waitpid(pid, 0)[1] == 0; check()"
    run(program.format(name), LD_PRELOAD=library, PYTHONMALLOC="debug")
    run(program.format(name), LD_PRELOAD=library)


# ---- the JIT, lazy imports, options ----------------------------------------------------------------------

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
assert rows["make"].count == 30_000
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
    run("import json\n" + HOT, python=["-X", "lazy_imports=all"])


@pytest.mark.parametrize(
    "options",
    [["-X", "perf"], ["-X", "gil=0"], ["-X", "gil=1"], ["-X", "cpu_count=2"], ["-X", "showrefcount"],
     ["-X", "pycache_prefix=/nonexistent"], ["-X", "warn_default_encoding"], ["-OO", "-I"]],
    ids=" ".join,
)  # fmt: skip
def test_options(options):
    if options[-1].startswith("gil") and not FREE_THREADED:
        pytest.skip("of free-threaded builds")
    if "perf" in options and (sys.version_info < (3, 12) or not sysconfig.get_config_var("PY_HAVE_PERF_TRAMPOLINE")):
        pytest.skip("this Python has no perf trampoline")
    python = options if "-I" not in options else ["-OO"]
    run("memprof.start(); kept = storm(); in_threads(2, storm); check()", python=python)


# ---- no memory left ------------------------------------------------------------------------------------

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


def test_exhausted_memory():
    """MemoryError reaches the program each time, and the trace goes on."""
    run(EXHAUSTED)


def test_a_program_without_memory_ends_as_without_memprof(tmp_path):
    source = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (400_000_000, -1))\n"
    source = source.replace("-1", "resource.RLIM_INFINITY") + "kept = [bytes(5_000_000_000)]\n"
    plain, traced = (runner("-c", source) for runner in (run_plain, run_traced))
    assert plain.status == 1 and plain.stderr.endswith("MemoryError\n")
    assert (traced.status, traced.stderr) == (plain.status, plain.stderr)


# ---- free-threaded builds of which only the headers are here ---------------------------------------------


@pytest.mark.skipif(FREE_THREADED, reason="this is one")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="free-threaded builds are of 3.13")
def test_the_free_threaded_headers_compile(tmp_path):
    """With -DPy_GIL_DISABLED, all of the extension, without a warning."""
    sources = [*(ROOT / "lib").glob("**/*.c"), *(ROOT / "pymod" / "memprof").glob("*.c")]
    command = ["gcc", "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-DPy_GIL_DISABLED"]
    command += ['-DMEMPROF_VERSION="0"', "-isystem", sysconfig.get_path("include"), "-I"]
    result = subprocess.run(
        [*command, ROOT / "include", *sources], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
