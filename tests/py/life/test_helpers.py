"""The tests' own helpers: a program that hangs fails its test and leaves nothing behind."""

import subprocess
import time

import pytest
from coexistence_helpers import FORK, run
from conftest import run_plain

HANGS = "import os, time\nchild = os.fork()\nif child: print(child, flush=True)\ntime.sleep(600)"


def test_children_of_a_program_end_with_its_time():
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run_plain("-c", HANGS, timeout=2)
    child = int(caught.value.stdout)
    deadline = time.monotonic() + 60
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_thread_that_python_does_not_know_is_said():
    """memprof's own timeline is one; in a forked child, too."""
    program = FORK + "memprof.start(series=True)\nforked(lambda: settle(1))\n"
    with pytest.raises(AssertionError, match="threads that Python does not know"):
        run(program)
