"""``with quiet``: memprof's own work is in no number, the ``with`` itself included."""

from __future__ import annotations

import threading

import memprof
import pytest
from conftest import run_plain
from memprof import _core
from memprof.quiet import quiet, quietly


@pytest.fixture(autouse=True)
def trace():
    memprof.start()
    yield
    memprof.stop()


def is_quiet() -> bool:
    before = _core.quiet(True)
    _core.quiet(before)
    return before


def allocated(function) -> int:
    """Blocks that a call allocates, by this file."""

    def blocks():
        rows = memprof.take_snapshot().statistics("function", metric="total")
        return sum(row.count for row in rows if row.traceback[-1].filename == __file__)

    before = blocks()
    function()
    return blocks() - before


def make_blocks():
    for _ in range(10):
        bytes(1000)


def make_nothing():
    pass


def make_quietly():
    with quiet:
        make_blocks()


def test_what_is_allocated_inside_is_not_traced():
    for function in (make_blocks, make_quietly, make_nothing):
        allocated(function)  # the first time there is more
    nothing = allocated(make_nothing)
    assert allocated(make_blocks) - nothing >= 10
    assert allocated(make_quietly) == nothing


def test_sections_may_be_nested():
    with quiet:
        with quiet:
            assert is_quiet()
            before = _core.quiet(False)
            with quiet:
                assert is_quiet()
            assert not is_quiet()
            _core.quiet(before)
        assert is_quiet()
    assert not is_quiet()


def test_nesting_is_that_of_the_thread():
    found = []
    with quiet:
        thread = threading.Thread(target=lambda: found.append(is_quiet()))
        thread.start()
        thread.join()
        assert found == [False]
        assert is_quiet()


def test_what_is_raised_ends_it():
    with pytest.raises(ZeroDivisionError), quiet:
        1 / 0
    assert not is_quiet()


def test_quiet_functions_and_methods():
    @quietly
    def function(a, *, b):
        """What it does."""
        return is_quiet(), a, b

    class Thing:
        @quietly
        def method(self, a):
            return is_quiet(), self, a

    thing = Thing()
    assert function(1, b=2) == (True, 1, 2)
    assert thing.method(3) == (True, thing, 3)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")
    assert not is_quiet()


def test_names_that_are_imported_when_they_are_used():
    program = (
        "import memprof\nmemprof.start()\nbefore = memprof.get_traced_memory()[0]\n"
        "memprof.find_leaks, memprof.heap, memprof.LineProfiler, memprof.find_growth\n"
        "print(memprof.get_traced_memory()[0] - before < 2000)\n"
        "memprof.stop()\n"
    )
    assert run_plain("-c", program).stdout == "True\n"


def test_the_snapshot_has_nothing_of_its_making():
    rows = memprof.take_snapshot().statistics("file")
    assert [row for row in rows if "control/tracing.py" in row.traceback[-1].filename] == []
