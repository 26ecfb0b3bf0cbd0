"""Memory line by line: memory_profiler's interface over exact numbers.

>>> from memprof import profile
>>> @profile
... def work():
...     return len([bytes(1000) for _ in range(1000)])

Line events come only from the functions that were selected; the rest of the program runs at its
own speed. Allocated, freed and peak bytes are those of Python's allocators, counted exactly and
per activation: recursion, generators, coroutines and threads do not mix. What a line calls is
included in it. Resident memory (RSS) is the process's, read when it can have changed by more than
64 KiB or 20 microseconds have passed; ``every_line=True`` reads it at each line's end.
"""

from __future__ import annotations

import atexit
import os
import sys
import types
import warnings
from _thread import RLock  # threading itself takes a while
from collections.abc import Callable

from .. import _core
from ..model import units
from ..model.backends import choose_backend, metric_of
from ..model.line_table import Function, LineTables
from ..programs import wrapping
from ..quiet import quiet
from . import tracing

_lock = RLock()  # around enabling, disabling and adding; and around a fork
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_enabled: set[LineProfiler] = set()


@atexit.register
def _disable_all() -> None:
    """A profiler that was never disabled must not outlive the interpreter."""
    for prof in list(_enabled):
        prof.disable()


class LineProfiler(LineTables):
    """Counts what the lines of selected functions allocate while it is enabled.

    ``include_children``: resident memory is that of the process and all its descendants.
    ``backend``: as of choose_backend(); what code_map and memory_profiler's table show.
    ``max_mem``: enter the debugger when memory in MiB reaches it. ``every_line``: read resident
    memory at the end of each line.

    One profiler may be used from several threads; the lines of all threads are summed.
    """

    def __init__(
        self,
        *,
        include_children: bool = False,
        backend: str | None = None,
        max_mem: float | None = None,
        every_line: bool = False,
    ):
        super().__init__(choose_backend(backend))
        self.include_children = include_children
        self.max_mem = max_mem
        self.enable_count = 0
        self._known: set[int] = set()  # id() of code
        self._is_enabled = False
        self._trace_before = None
        self._options = {
            "every_line": every_line,
            "children": include_children,
            "metric": metric_of(self.backend),
        }

    # ---- which functions

    def __call__(self, func=None, precision: int = 1):
        """Select a function, method or property, and wrap it so that calling it enables the
        profiler. Without argument, a decorator."""
        if func is None:
            return lambda function: self(function, precision)
        self.add_function(func)
        return self.wrap_function(func)

    def add_function(self, func) -> None:
        """Select a function, method, static or class method, property, partial object, or all
        functions of a class. A warning for anything without Python code."""
        codes = list(wrapping.codes_of(func))
        if not codes:
            warnings.warn(f"Could not extract a code object for the object {func!r}", stacklevel=2)
        for code in codes:
            self.add_code(code)

    def add_code(self, code: types.CodeType) -> None:
        """Select a code object, with the functions and comprehensions in it."""
        with _lock, quiet:
            if id(code) in self._known:
                return
            function = Function(code, **self._options)
            self._known.update(id(part) for part, _ in function.codes)
            self.functions.append(function)
            if self._is_enabled:
                function.core.select(function.codes)

    def add_module(self, module: types.ModuleType) -> int:
        """Select all functions and methods that are defined in a module; how many there are."""
        before = len(self.functions)
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == module.__name__:
                for code in wrapping.codes_of(value):
                    self.add_code(code)
        return len(self.functions) - before

    def wrap_function(self, func):
        """A function (generator, coroutine, ...) of the same kind that enables the profiler."""
        return wrapping.wrap(func, lambda: _Counted(self))

    # ---- when

    def enable(self) -> None:
        """Begin to count. RuntimeError when the interpreter has no room for one more tool."""
        with quiet, _lock:
            self._enable()
        if self.max_mem is not None:
            self._trace_before = sys.gettrace()
            sys.settrace(self._watch_maximum)

    def _enable(self) -> None:
        if self._is_enabled:
            return
        tracing.hold()
        self._is_enabled = True
        _enabled.add(self)
        try:
            for function in self.functions:
                function.core.select(function.codes)
        except BaseException:
            self._disable()
            raise

    def disable(self) -> None:
        """Stop counting; the numbers stay."""
        self._end(keep=False)

    def _end(self, keep: bool) -> None:
        """``keep``: a paused trace, since a wrapped function is likely to be called again."""
        if self.max_mem is not None and self._is_enabled:
            sys.settrace(self._trace_before)
        with quiet, _lock:
            self._disable(keep)

    def _disable(self, keep: bool = False) -> None:
        if not self._is_enabled:
            return
        self._is_enabled = False
        _enabled.discard(self)
        for function in self.functions:
            function.core.deselect()
        tracing.let_go(keep=keep)

    def enable_by_count(self) -> None:
        """As enable(), for nested use."""
        with _lock:
            self.enable_count += 1
            if self.enable_count > 1:
                return
        self.enable()

    def disable_by_count(self, keep: bool = False) -> None:
        """The other end of enable_by_count(). ``keep``: what makes the next one cheap."""
        with _lock:
            if self.enable_count == 0:
                return
            self.enable_count -= 1
            if self.enable_count > 0:
                return
        self._end(keep)

    def __enter__(self) -> LineProfiler:
        self.enable_by_count()
        return self

    def __exit__(self, *exception) -> None:
        self.disable_by_count()

    def run(self, command: str) -> LineProfiler:
        """Run a statement in ``__main__``."""
        namespace = vars(sys.modules["__main__"])
        return self.runctx(command, namespace, namespace)

    def runctx(self, command, globals: dict, locals: dict) -> LineProfiler:
        """Run a statement in the given namespaces."""
        with self:
            exec(command, globals, locals)
        return self

    def runcall(self, func: Callable, *args, **kwargs):
        """Call a function."""
        with self:
            return func(*args, **kwargs)

    # ---- the debugger at a limit

    def _watch_maximum(self, frame, event, arg):
        if event in ("line", "return") and id(frame.f_code) in self._known:
            now = _core.resident(0, self.include_children, metric_of(self.backend)) / units.MIB
            if now >= self.max_mem:
                sys.settrace(None)
                _enter_debugger(frame, now, self.max_mem)
                return None
        return self._watch_maximum

    # ---- the numbers

    def to_pandas(self):
        """rows() as a pandas.DataFrame. ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas (pip install pandas)") from error
        columns = "file line hits allocated freed net peak rss source".split()
        return pandas.DataFrame(self.rows(), columns=columns)

    def _repr_html_(self) -> str:
        from ..views.html import lines

        with quiet:
            return lines.document_part(self)


class _Counted:
    """A call of a function that a profiler wraps."""

    __slots__ = ("prof",)

    def __init__(self, prof: LineProfiler):
        self.prof = prof

    def __enter__(self) -> None:
        self.prof.enable_by_count()

    def __exit__(self, *exception) -> None:
        self.prof.disable_by_count(keep=True)


def _enter_debugger(frame, now: float, limit: float) -> None:
    import pdb

    print(f"Current memory {now:.2f} MiB exceeded the maximum of {limit:.2f} MiB\n")
    print("Stepping into the debugger \n")
    debugger = pdb.Pdb()
    debugger.quitting = False
    debugger.stopframe = debugger.botframe = frame
    debugger.stoplineno = 0
    debugger.set_step()
    frame.f_trace = debugger.trace_dispatch
    sys.settrace(debugger.trace_dispatch)
