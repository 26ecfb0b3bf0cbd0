"""start(free_lists=True): objects from CPython's free lists have call stacks of their own."""

import sys

import memprof
import pytest
from conftest import run_plain
from memprof import _core

can = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python does not tell before 3.13")


@pytest.fixture
def trace():
    memprof.start(free_lists=True)
    yield
    memprof.stop()


def line_of(obj):
    return memprof.get_object_traceback(obj)[-1].lineno


def here():
    return sys._getframe(1).f_lineno


@can
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda i: i + 0.5, id="float"),
        pytest.param(lambda i: [i], id="list"),
        pytest.param(lambda i: (i, i), id="tuple"),
        pytest.param(lambda i: {i: i}, id="dict"),
    ],
)
def test_objects_have_the_line_that_made_them(trace, make):
    first = [make(i) for i in range(5000)]  # more than a free list holds
    line = here() - 1
    assert {line_of(obj) for obj in first[-50:]} == {make.__code__.co_firstlineno}
    stacks = {memprof.get_object_traceback(obj)[-2].lineno for obj in first[-50:]}
    assert line in stacks
    del first
    second = [make(i) for i in range(5000)]
    line = here() - 1
    known = [memprof.get_object_traceback(obj) for obj in second]
    assert {stack[-2].lineno for stack in known if stack} == {line}
    assert _core.check() is None


@can
def test_each_object_counts_as_an_allocation(trace):
    def churn(n):
        for i in range(n):
            i * 0.5

    kept = [i * 0.5 for i in range(5000)]
    del kept  # the free list has blocks that are traced
    churn(10)
    counts = []
    for _ in range(2):
        rows = memprof.take_snapshot().statistics("line", metric="total")
        line = churn.__code__.co_firstlineno + 2
        counts.append(
            sum(
                r.count
                for r in rows
                if (r.traceback[-1].filename, r.traceback[-1].lineno) == (__file__, line)
            )
        )
        churn(1000)
    assert counts[1] - counts[0] >= 1000
    assert _core.check() is None and _core.lost() == 0


@can
def test_without_it_the_block_keeps_its_first_stack():
    memprof.start()
    try:
        first = [i + 0.5 for i in range(5000)]
        line = here() - 1
        del first
        second = [i * 2.5 for i in range(50)]
        known = [memprof.get_object_traceback(obj) for obj in second]
        assert line in {stack[-1].lineno for stack in known if stack}
    finally:
        memprof.stop()


@can
def test_a_tracer_that_is_there_stays_in_the_chain():
    import tracemalloc

    tracemalloc.start()
    try:
        memprof.start(free_lists=True)
        first = [i + 0.5 for i in range(5000)]
        del first
        second = [i * 2.5 for i in range(50)]
        line = here() - 1
        for find in (memprof.get_object_traceback, tracemalloc.get_object_traceback):
            known = [find(obj) for obj in second]
            assert {stack[-1].lineno for stack in known if stack} == {line}
        memprof.stop()
        third = [i * 3.5 for i in range(50)]
        line = here() - 1
        known = [tracemalloc.get_object_traceback(obj) for obj in third]
        assert {stack[-1].lineno for stack in known if stack} == {line}
    finally:
        memprof.stop()
        tracemalloc.stop()


@can
def test_command_line():
    code = "kept = [i + 0.5 for i in range(3000)]; del kept; kept = [i * 0.5 for i in range(90)]"
    result = run_plain("-m", "memprof", "--free-lists", "--by", "line", "-c", code)
    assert result.status == 0 and "lost" in result.stderr


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python tells from 3.13 on")
def test_an_older_python_is_told():
    with pytest.raises(RuntimeError, match=r"does not tell of objects from free lists; 3\.13"):
        memprof.start(free_lists=True)
    assert not memprof.is_tracing()
    result = run_plain("-m", "memprof", "--free-lists", "-c", "print(1)")
    assert result.status == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "3.13" in result.stderr
