"""memprof: every Python allocation, exactly, with its full call stack.

>>> import memprof
>>> memprof.start()
>>> ...
>>> for row in memprof.take_snapshot().statistics("line")[:10]:
...     print(row)

The names and string formats follow the standard library's tracemalloc where it has them.
"""

from ._core import version as __version__
from .filters import DomainFilter, Filter
from .lines import LineProfiler, profile, show_results
from .leaks import Leak, LeakReport, find_growth
from .snapshot import Frame, Snapshot, Statistic, StatisticDiff, Traceback
from .tracing import (
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

__all__ = [
    "DomainFilter",
    "Filter",
    "Frame",
    "Leak",
    "LeakReport",
    "Snapshot",
    "Statistic",
    "StatisticDiff",
    "Trace",
    "Traceback",
    "__version__",
    "clear",
    "find_growth",
    "get_object_traceback",
    "get_traced_memory",
    "get_tracer_memory",
    "is_tracing",
    "reset_peak",
    "start",
    "stop",
    "take_snapshot",
    "trace",
]
