"""Pieces of programs that check themselves, and how they are run."""

from conftest import environment, run_plain

PRELUDE = """
import atexit, ctypes, gc, os, sys, threading, time, tracemalloc, warnings
import memprof
from memprof import _core

def storm(n=300):
    kept = [bytearray(size) for size in range(0, 3 * n, 3)]
    kept += [object() for _ in range(n)] + [{i: str(i)} for i in range(n)] + ["x" * n, n ** n]
    kept += [lambda: kept, (n,) * 30, set(range(n)), memoryview(bytes(n))]
    del kept[::2]
    return kept

def strangers():  # threads that Python does not know
    return len(os.listdir("/proc/self/task")) - threading.active_count()

# ThreadSanitizer has one, and so has an emulator
known = int("TSAN_OPTIONS" in os.environ or "MEMPROF_EMULATED" in os.environ)

def settle(seconds=60):
    # before 3.13 join() comes back while the thread is still freeing
    deadline = time.monotonic() + seconds
    while (more := strangers()) > known:
        assert time.monotonic() < deadline, f"{more} threads that Python does not know"
        time.sleep(0.001)

def check():
    settle()
    assert _core.check() is None, _core.check()
    assert _core.lost() == 0
    snapshot = memprof.take_snapshot()
    rows = snapshot.statistics("stack")
    assert sum(row.size for row in rows) == snapshot.traced_memory[0] >= 0

def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

def is_seen(size):
    before = _core.get_traced()[0]
    kept = bytes(size)
    more = _core.get_traced()[0] - before  # that number is new, too
    assert more < 200 or 0 <= more - sys.getsizeof(kept) < 200, (size, more)
    return more >= 200
"""


def run(program, *, python=(), timeout=60, **variables):
    code = PRELUDE + program
    result = run_plain("-c", code, python=python, env=environment(**variables), timeout=timeout)
    assert (result.status, result.stdout, result.stderr) == (0, "", ""), result


RAW_WITHOUT_GIL = """
library = ctypes.CDLL(None)  # unlike ctypes.pythonapi, lets go of the GIL
resize, free = library.PyMem_RawRealloc, library.PyMem_RawFree
resize.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
resize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
done = False

def churn():
    block = None
    while not done: block = resize(resize(block, 100), 5000)
    free(block)
"""
WHILE_OTHERS = """
def while_others(work, act):
    global done
    done = False
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads: thread.start()
    time.sleep(0.005)
    act()
    done = True
    for thread in threads: thread.join()
    settle()

def storms():
    while not done: storm(50)
"""
FORK = """
warnings.simplefilter("ignore", DeprecationWarning)  # fork() with threads

def forked(work):
    pid = os.fork()
    if pid == 0:
        try: work()
        except BaseException as error: os.write(2, repr(error).encode())
        finally: os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
INTERPRETERS = """
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
CODE = '''
import json
kept = [bytearray(n) for n in range(2000)] + [object() for _ in range(3000)]
for n in range(100):
    exec(f"def f{n}(): return [bytes({n})]")
    kept[n] = globals()[f"f{n}"]()
del kept[::2]
'''
def run_in(number, code=CODE):
    assert interpreters.run_string(number, code) is None

def use_one():
    number = interpreters.create()
    run_in(number)
    interpreters.destroy(number)
"""
