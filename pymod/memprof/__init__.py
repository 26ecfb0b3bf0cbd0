"""memprof: every Python allocation, exactly, with its full call stack.

>>> import memprof
>>> memprof.start()
>>> ...
>>> for row in memprof.take_snapshot().statistics("line")[:10]:
...     print(row)

The names and string formats follow the standard library's tracemalloc where it has them.

PYTEST_DONT_REWRITE: pytest, traced by memprof, finds it imported already and would warn.
"""

try:
    from ._core import version as __version__
    from .control.marks import mark
    from .control.tracing import (
        Trace,
        clear,
        get_object_traceback,
        get_traced_memory,
        get_tracer_memory,
        is_tracing,
        reset_peak,
        start,
        stop,
        take_snapshot,
        trace,
    )
    from .model.filters import DomainFilter, Filter
    from .model.frames import Frame, Traceback
    from .model.snapshot import Snapshot, Statistic, StatisticDiff
    from .quiet import quietly
except MemoryError:  # `python -m` makes one line of an ImportError of the package's name
    raise ImportError("not enough memory to import memprof", name="memprof") from None
except ImportError as error:
    if error.path is None:
        raise
    raise ImportError(f"the core of memprof cannot be loaded: {error}", name="memprof") from None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control.decorators import profile, show_results
    from .control.growth import LeakReport, find_growth
    from .control.heap import heap, who_holds
    from .control.leak_check import LeakError, assert_no_leaks, find_leaks
    from .control.line_profiler import LineProfiler
    from .control.memory_usage import LogFile, TimeStamper, memory_usage
    from .model.heap_sets import HeapSet
    from .model.leaks import Holder, Leak

_LAZY = {  # what a traced program's start need not pay for
    "HeapSet": "model.heap_sets",
    "Holder": "model.leaks",
    "Leak": "model.leaks",
    "LeakError": "control.leak_check",
    "LeakReport": "control.growth",
    "LineProfiler": "control.line_profiler",
    "LogFile": "control.memory_usage",
    "TimeStamper": "control.memory_usage",
    "assert_no_leaks": "control.leak_check",
    "find_growth": "control.growth",
    "find_leaks": "control.leak_check",
    "heap": "control.heap",
    "memory_usage": "control.memory_usage",
    "profile": "control.decorators",
    "show_results": "control.decorators",
    "who_holds": "control.heap",
}


@quietly
def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell) -> None:
    """``%load_ext memprof``: %mprun, %memit and %%memprof."""
    from .plugins.ipython.magics import load

    load(shell)


__all__ = [
    "DomainFilter",
    "Filter",
    "Frame",
    "HeapSet",
    "Holder",
    "Leak",
    "LeakError",
    "LeakReport",
    "LineProfiler",
    "LogFile",
    "Snapshot",
    "Statistic",
    "StatisticDiff",
    "TimeStamper",
    "Trace",
    "Traceback",
    "__version__",
    "assert_no_leaks",
    "clear",
    "find_growth",
    "find_leaks",
    "get_object_traceback",
    "get_traced_memory",
    "get_tracer_memory",
    "heap",
    "is_tracing",
    "mark",
    "memory_usage",
    "profile",
    "reset_peak",
    "show_results",
    "start",
    "stop",
    "take_snapshot",
    "trace",
    "who_holds",
]
