"""Truth by construction for tests of line profiles."""

import contextlib
import gc
from types import SimpleNamespace

from memprof.control.line_profiler import LineProfiler

MB = 1_000_000
SLACK = 1024  # bytes, or half a percent


@contextlib.contextmanager
def profiling(*functions):
    prof = LineProfiler()
    for function in functions:
        prof.add_function(function)
    gc.collect()
    gc.disable()
    try:
        with prof:
            yield prof
    finally:
        gc.enable()


def marked(prof, function):
    """{mark: row} of the lines that end in ``# mark``."""
    rows = {}
    for row in prof.rows():
        if function.__code__.co_firstlineno <= row["line"] < function.__code__.co_firstlineno + 60:
            source, _, mark = row["source"].rpartition("# ")
            if source:
                rows.setdefault(mark, SimpleNamespace(**row))
    return rows


def is_about(number, truth):
    return abs(number - truth) <= max(SLACK, truth * 0.005)


def check(row, hits=None, **truth):
    if hits is not None:
        assert row.hits == hits, row
    for name, value in truth.items():
        assert is_about(getattr(row, name), value), (name, value, row)
