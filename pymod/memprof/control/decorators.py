"""``@profile``, and the tables that it prints."""

from __future__ import annotations

import os

from ..model.backends import choose_backend
from ..programs import wrapping
from ..quiet import quiet
from .line_profiler import LineProfiler


def show_results(prof, stream=None, precision: int | None = None, table: str = "memprof") -> None:
    """Print a profiler's tables, or the records of a TimeStamper, to ``stream`` (stdout).

    ``table``: ``memprof`` for Hits, Allocated, Freed, Net, Peak and RSS; ``memory_profiler`` for
    its Mem usage, Increment and Occurrences, with ``precision`` digits (1).
    """
    from ..views import line_tables

    with quiet:
        if not isinstance(prof, LineProfiler):
            prof.show_results(stream)
        elif table == "memory_profiler":
            line_tables.write_compatible(prof, stream, 1 if precision is None else precision)
        elif table == "memprof":
            line_tables.write(prof, stream, precision)
        else:
            raise ValueError(f"no such table: {table!r}")


def is_switched_off() -> bool:
    """MEMPROF_PROFILE=0 makes ``profile`` a no-op."""
    return os.environ.get("MEMPROF_PROFILE", "") == "0"


def profile(
    func=None,
    stream=None,
    precision: int | None = None,
    backend: str | None = None,
    table: str = "memprof",
):
    """Decorator: print a table of the function's lines after each call.

    For functions, generators, coroutines, methods of all kinds and properties; with and without
    arguments. ``stream`` (default: stdout), ``precision`` and ``table`` as of show_results(),
    ``backend`` as of choose_backend(). Does nothing where the environment has MEMPROF_PROFILE=0.
    """
    if func is None:
        return lambda function: profile(function, stream, precision, backend, table)
    choose_backend(backend)
    if is_switched_off():
        return func
    return wrapping.wrap(func, lambda: _OneCall(func, stream, precision, backend, table))


class _OneCall:
    """The counting of one call, and its table."""

    __slots__ = ("arguments", "prof")

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self) -> None:
        with quiet:
            func, _, _, backend, _ = self.arguments
            self.prof = LineProfiler(backend=backend)
            self.prof.add_function(func)
            self.prof.enable_by_count()

    def __exit__(self, kind, *_) -> None:
        self.prof.disable_by_count(keep=True)
        if kind is None or kind is GeneratorExit:
            _, stream, precision, _, table = self.arguments
            show_results(self.prof, stream, precision, table)
