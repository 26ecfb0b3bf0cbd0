"""Running whole programs, plainly and under memprof, in processes of their own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs behind it so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs under test inherit it

ROOT = Path(__file__).resolve().parents[2]
PYMOD = ROOT / "pymod"
PROGRAMS = ROOT / "tests" / "programs"

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# Without a GIL each thread may be off by 64 KiB at the moment of the peak (slack, record/lanes.h).
PEAK_SLACK = 8 * 65536 if FREE_THREADED else 0
# mimalloc gives memory back to the kernel after a while, and at once when it is told to.
GIVES_BACK = {"MIMALLOC_PURGE_DELAY": "0"}
# What PYTHONMALLOC may be: a free-threaded build has mimalloc only.
ALLOCATORS = ["debug"]
if not FREE_THREADED:
    ALLOCATORS += ["malloc", "pymalloc", "pymalloc_debug", "malloc_debug"]
if sys.version_info >= (3, 13):
    ALLOCATORS += ["mimalloc", "mimalloc_debug"]

# tests/matrix/check_sanitized.py: what programs need to load an extension built with a sanitizer.
SANITIZER = {}
# What an emulator has of the resident memory of each process, in bytes (tests/matrix/emulated).
EMULATOR = 32 << 20 if "MEMPROF_EMULATED" in os.environ else 0
# How many times as long as on an idle machine programs may take, before they are said to hang.
PATIENCE = int(os.environ.get("MEMPROF_PATIENCE", "3"))
if "MEMPROF_SANITIZER" in os.environ:
    SANITIZER = {
        key: os.environ[key] for key in ("LD_PRELOAD", "PYTHONMALLOC") if key in os.environ
    }

if str(PYMOD) not in sys.path:
    sys.path.insert(0, str(PYMOD))

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


@dataclass(frozen=True)
class Result:
    """How a process ended. ``status`` is negative when a signal killed it."""

    stdout: str
    stderr: str
    status: int

    def without_addresses(self) -> Result:
        return Result(
            _ADDRESS.sub("0x...", self.stdout), _ADDRESS.sub("0x...", self.stderr), self.status
        )


def environment(**changes: str | None) -> dict[str, str]:
    """The environment of the tests' programs: nothing of ours but the way to memprof. A
    change of None takes a variable out."""
    strange = ("PYTHON", "LD_PRELOAD", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "_MEMPROF")
    result = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
    result |= {"PYTHONPATH": str(PYMOD), "PYTHONHASHSEED": "0"} | SANITIZER
    result |= changes
    return {key: value for key, value in result.items() if value is not None}


def run(command, *, cwd=None, env=None, stdin="", timeout=60) -> Result:
    """Run a command to its end. A timeout fails the test, and ends its children too."""
    with subprocess.Popen(
        [os.fspath(word) for word in command],
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        process_group=0,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout * PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Result(stdout, stderr, process.returncode)


def run_plain(*words, python=(), **how) -> Result:
    """``python [python options] words``"""
    return run([sys.executable, *python, *words], **how)


def run_traced(*words, memprof=("-q",), python=(), **how) -> Result:
    """``python [python options] -m memprof [memprof's options] words``"""
    return run([sys.executable, *python, "-m", "memprof", *memprof, *words], **how)


def run_memprof(*words, **how) -> Result:
    """``python -m memprof words``"""
    return run([sys.executable, "-m", "memprof", *words], **how)


def run_at_once(*calls) -> list:
    """Call functions without arguments, two at a time; their results."""
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def run_both(*words, **how) -> tuple[Result, Result]:
    """The same program plainly and under ``memprof -q``, both without addresses."""
    plain, traced = run_at_once(lambda: run_plain(*words, **how), lambda: run_traced(*words, **how))
    return plain.without_addresses(), traced.without_addresses()


def run_on_a_terminal(command, **changes) -> str:
    """What a command writes to a terminal that is its stdin, stdout and stderr."""
    ours, theirs = pty.openpty()
    env = environment(**{"TERM": "xterm-256color"} | changes)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    written = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while data := terminal.read(65536):
                written += data
        except OSError:  # the last one has closed it
            pass
    assert process.wait(60 * PATIENCE) == 0
    return written.decode()
