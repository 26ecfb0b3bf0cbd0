"""The standard library's tracemalloc, with memprof's trace behind it.

>>> import memprof.compat.tracemalloc as tracemalloc
>>> tracemalloc.start(25)
>>> ...
>>> for row in tracemalloc.take_snapshot().statistics("lineno")[:10]:
...     print(row)

For code that imports tracemalloc itself, put this module in its place first:
``sys.modules["tracemalloc"] = memprof.compat.tracemalloc``.

Names, arguments, errors, string formats and sort orders are those of
https://docs.python.org/3/library/tracemalloc.html. The classes are the standard library's
own, so that dumps of either load in the other. Its tracer is never started. What differs:

* memprof has one trace per process. When memprof.start() began one already, start() here
  joins it: blocks recorded before are seen, clear_traces() and reset_peak() act on it for
  both, and stop() here leaves it running. A trace that start() here began ends with stop()
  here or memprof.stop(), whichever is first. is_tracing() is about start() and stop() of
  this module, not about a trace that only memprof.start() began.
* The trace holds whole stacks; the limit cuts them when they are handed out.
* Recursion is folded: frames further out than a frame of the same function are left out,
  when they follow each other or alternate with one other function. ``total_nframe`` is the
  depth of the folded stack.
* A block's line is that of its allocation. Where CPython takes an object from a free list
  (lists, tuples, floats, dicts) there was none, and the line is that of the block's first
  use.
* Blocks that extensions report with PyTraceMalloc_Track (the data of NumPy's arrays) are
  not seen; those reported with memprof_track are, under the domain given there.
* ``-X tracemalloc`` and PYTHONTRACEMALLOC start the standard library's tracer, not this.
"""

from __future__ import annotations

import linecache  # noqa: F401 - CPython's tests look for tracemalloc.linecache
import operator
import sys
from tracemalloc import (  # noqa: F401 - for pickle and CPython's tests
    BaseFilter,
    DomainFilter,
    Filter,
    Frame,
    Snapshot,
    Statistic,
    StatisticDiff,
    Trace,
    Traceback,
    _compare_grouped_stats,
    _format_size,
    _normalize_filename,
    _Traces,
)

from .. import _core
from ..control import tracing
from ..quiet import quiet

__all__ = [
    "BaseFilter",
    "DomainFilter",
    "Filter",
    "Frame",
    "Snapshot",
    "Statistic",
    "StatisticDiff",
    "Trace",
    "Traceback",
    "clear_traces",
    "get_object_traceback",
    "get_traceback_limit",
    "get_traced_memory",
    "get_tracemalloc_memory",
    "is_tracing",
    "reset_peak",
    "start",
    "stop",
    "take_snapshot",
]

RawFrames = tuple[tuple[str, int], ...]  # (file, line), the innermost first
RawTrace = tuple[int, int, RawFrames, int]  # domain, bytes, frames, depth of the whole stack

MAX_NFRAME = 0xFFFF
INT_MAX = 0x7FFFFFFF

_started = False
_limit = 1  # frames; stays after stop(), as in the standard library
_own: tracing.Options | None = None  # of the trace that start() here began


def _checked(nframe: int) -> int:
    """The argument of start() as an int of C, then as a limit."""
    nframe = operator.index(nframe)
    if not -INT_MAX - 1 <= nframe <= INT_MAX:
        raise OverflowError("Python int too large to convert to C int")
    if not 1 <= nframe <= MAX_NFRAME:
        raise ValueError(f"the number of frames must be in range [1; {MAX_NFRAME}]")
    return nframe


def start(nframe: int = 1, /) -> None:
    """Begin to trace allocations, or join memprof's trace when there is one.

    ``nframe``, 1 to 65535, is the number of most recent frames that tracebacks will have.
    Without effect while tracing, on the limit too. ValueError or OverflowError for another
    number, TypeError for anything else.
    """
    global _started, _limit, _own
    limit = _checked(nframe)
    if is_tracing():
        return
    if not tracing.is_tracing():
        tracing.start(free_lists=sys.version_info >= (3, 13))
        _own = tracing.under_way()
    _limit = limit
    _started = True


def stop() -> None:
    """End the trace and forget it; one that memprof.start() began goes on by itself."""
    global _started, _own
    if _own is not None and tracing.under_way() is _own:
        tracing.stop()
    _started = False
    _own = None


def is_tracing() -> bool:
    """True between start() and stop()."""
    return _started and _core.is_tracing()


def clear_traces() -> None:
    """Forget all blocks and numbers, and go on. Without effect when not tracing."""
    if is_tracing():
        tracing.clear()


def get_traceback_limit() -> int:
    """Number of frames of the last start(); 1 before there was one."""
    return _limit


def get_traced_memory() -> tuple[int, int]:
    """(current, peak) bytes of traced blocks; (0, 0) when not tracing."""
    return _core.get_traced() if is_tracing() else (0, 0)


def reset_peak() -> None:
    """Let the peak begin anew at what is live now. Without effect when not tracing."""
    if is_tracing():
        _core.reset_peak()


def get_tracemalloc_memory() -> int:
    """Bytes of memory that memprof itself uses."""
    return _core.own_memory()


def get_object_traceback(obj: object) -> Traceback | None:
    """Where an object was allocated; None when that was not traced."""
    frames = _get_object_traceback(obj)
    return None if frames is None else Traceback(frames)


def take_snapshot() -> Snapshot:
    """All live blocks of now. RuntimeError when not tracing.

    RuntimeWarning when another tool has taken memprof's hooks out: see
    memprof.take_snapshot().
    """
    if not is_tracing():
        raise RuntimeError(
            "the tracemalloc module must be tracing memory allocations to take a snapshot"
        )
    traces = _get_traces()
    if _core.is_tracing():
        tracing.warn_when_unhooked()
    return Snapshot(traces, get_traceback_limit())


def _get_object_traceback(obj: object) -> RawFrames | None:
    frames = _core.object_stack(obj) if is_tracing() else None
    if frames is None:
        return None
    return tuple(frame[:2] for frame in frames[: -_limit - 1 : -1])


def _get_traces() -> list[RawTrace]:
    """All live blocks; equal frames are one tuple. Not in the trace itself."""
    if not is_tracing():
        return []
    with quiet:
        return _share_frames(_core.traces(_limit))


def _share_frames(traces: list[RawTrace]) -> list[RawTrace]:
    """In place: stacks that differ only beyond the limit have equal frames, but not one tuple."""
    known: dict[RawFrames, RawFrames] = {}
    for index, (domain, size, frames, depth) in enumerate(traces):
        first = known.setdefault(frames, frames)
        if first is not frames:
            traces[index] = (domain, size, first, depth)
    return traces
