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
import functools
import inspect
import linecache
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import _core
from ..model import source_text as texts
from ..programs import wrapping
from . import tracing

MIB = 2**20

# What the counters of a line are; see lib/py/lines/counters.h.
LINE, HITS, ALLOCATED, FREED, PEAK, LEVEL, RSS, RSS_CHANGE = range(8)

_METRICS = {"psutil": 0, "posix": 0, "tracemalloc": 0, "psutil_pss": 1, "psutil_uss": 2}
BACKENDS = tuple(_METRICS)

_lock = threading.RLock()  # around enabling, disabling and adding; and around a fork
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_enabled: set[LineProfiler] = set()


@atexit.register
def _disable_all() -> None:
    """A profiler that was never disabled must not outlive the interpreter."""
    for prof in list(_enabled):
        prof.disable()


def metric_of(backend: str) -> int:
    """The core's number for what a backend of memory_profiler measures."""
    return _METRICS[backend]


def choose_backend(new_backend: str | None = None) -> str:
    """The name itself; all of memory_profiler's are available here. KeyError for others.

    ``psutil`` and ``posix`` are resident memory, ``psutil_pss`` and ``psutil_uss`` the
    proportional and the unshared part of it, ``tracemalloc`` is traced memory.
    """
    backend = "psutil" if new_backend is None else new_backend
    metric_of(backend)
    return backend


@contextmanager
def quiet() -> Iterator[None]:
    """memprof's own objects stay out of the user's numbers."""
    before = _core.quiet(True)
    try:
        yield
    finally:
        _core.quiet(before)


def _parts(code: types.CodeType, is_part: bool = False) -> Iterator[tuple[types.CodeType, bool]]:
    """The code of a function and of all functions and comprehensions in it."""
    yield code, is_part
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _parts(constant, True)


class Function:
    """One selected function with its counters. ``lines`` is the range of its source lines."""

    __slots__ = ("code", "filename", "codes", "core", "lines")

    def __init__(self, code: types.CodeType, **options):
        self.code = code
        self.filename = code.co_filename
        self.codes = tuple(_parts(code))
        numbers = {line for part, _ in self.codes for *_, line in part.co_lines() if line}
        numbers.add(code.co_firstlineno)
        first = min(numbers)
        self.lines = range(first, max(*numbers, _last_source_line(code, code.co_filename)) + 1)
        self.core = _core.Lines(first, len(self.lines), **options)

    @property
    def name(self) -> str:
        return self.code.co_qualname

    def source(self, line: int) -> str:
        """A line's text without its end; empty where the source is not known."""
        known = texts.lines_of(self.code)
        if known is None:
            return linecache.getline(self.filename, line).rstrip("\r\n")
        return known[line - 1].rstrip("\r\n") if line <= len(known) else ""


@functools.lru_cache(maxsize=64)
def _last_source_line(code: types.CodeType, filename: str) -> int:
    """Of the function's block; 0 where the source is not known."""
    known = texts.lines_of(code)
    if known is None and not linecache.getlines(filename):
        return 0
    try:
        if known is None:
            block, first = inspect.getsourcelines(code)
        else:
            first = code.co_firstlineno
            block = inspect.getblock(known[first - 1 :])
    except (OSError, TypeError, SyntaxError, IndexError):
        return 0
    return max(first, 1) + len(block) - 1 if code.co_name != "<module>" else 0


class CodeMap(dict):
    """memory_profiler's: ``code_map[code][line] == (increment, memory, occurrences)`` in MiB.

    A view of one moment. ``items()`` gives (filename, iterator of (line, that tuple or None))
    for each function.
    """

    def __init__(self, profiler: LineProfiler):
        super().__init__()
        self._functions = profiler.functions
        for function in self._functions:
            measures = profiler.measures(function)
            for code, _ in function.codes:
                self[code] = measures

    def items(self):
        for function in self._functions:
            measures = self[function.code]
            if measures:
                yield function.filename, _with_all_lines(function, measures)


def _with_all_lines(function: Function, measures: dict) -> Iterator[tuple[int, tuple | None]]:
    return ((line, measures.get(line)) for line in function.lines)


class LineProfiler:
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
        self.backend = choose_backend(backend)
        self.include_children = include_children
        self.max_mem = max_mem
        self.enable_count = 0
        self.functions: list[Function] = []
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
        with _lock, quiet():
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
        before = _core.quiet(True)
        try:
            with _lock:
                self._enable()
        finally:
            _core.quiet(before)
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
        before = _core.quiet(True)
        try:
            with _lock:
                self._disable(keep)
        finally:
            _core.quiet(before)

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
            now = _core.resident(0, self.include_children, metric_of(self.backend)) / MIB
            if now >= self.max_mem:
                sys.settrace(None)
                _enter_debugger(frame, now, self.max_mem)
                return None
        return self._watch_maximum

    # ---- the numbers

    def rows(self) -> list[dict]:
        """A dict for each line that was reached, sorted by file and line.

        ``file`` (str), ``line``, ``hits``, ``allocated``, ``freed``, ``net``, ``peak``, ``rss``
        (int; all but the first two in bytes), ``source`` (str). ``hits`` is how often the line
        was begun; for the line of ``def``, how often the function was called. ``net`` is
        allocated - freed, ``peak`` the most above the level at the function's entry while on the
        line, ``rss`` the resident memory when it ended, at most.
        """
        with quiet():
            rows = [
                {
                    "file": function.filename,
                    "line": row[LINE],
                    "hits": row[HITS],
                    "allocated": row[ALLOCATED],
                    "freed": row[FREED],
                    "net": row[ALLOCATED] - row[FREED],
                    "peak": row[PEAK],
                    "rss": row[RSS],
                    "source": function.source(row[LINE]),
                }
                for function in self.functions
                for row in function.core.read()
            ]
            rows.sort(key=lambda row: (row["file"], row["line"]))
        return rows

    def to_pandas(self):
        """rows() as a pandas.DataFrame. ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas (pip install pandas)") from error
        columns = "file line hits allocated freed net peak rss source".split()
        return pandas.DataFrame(self.rows(), columns=columns)

    @property
    def code_map(self) -> CodeMap:
        return CodeMap(self)

    def measures(self, function: Function) -> dict[int, tuple[float, float, int]]:
        """{line: (increment, memory, occurrences)}, as memory_profiler has it; MiB."""
        traced = self.backend == "tracemalloc"
        baseline = 0 if traced else max(function.core.baseline(), 0)
        result = {}
        for row in function.core.read():
            if traced:
                increment, memory = row[ALLOCATED] - row[FREED], row[LEVEL]
            else:
                increment, memory = row[RSS_CHANGE], row[RSS]
            if row[LINE] == function.code.co_firstlineno:
                increment += baseline
            result[row[LINE]] = (increment / MIB, memory / MIB, row[HITS])
        return result

    def _repr_html_(self) -> str:
        from ..views.html import lines as html_lines

        with quiet():
            return html_lines.document_part(self)


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


def show_results(prof, stream=None, precision: int | None = None, table: str = "memprof") -> None:
    """Print a profiler's tables, or the records of a TimeStamper, to ``stream`` (stdout).

    ``table``: ``memprof`` for Hits, Allocated, Freed, Net, Peak and RSS; ``memory_profiler`` for its
    Mem usage, Increment and Occurrences, with ``precision`` digits (1).
    """
    from ..views import line_tables as report

    with quiet():
        if not isinstance(prof, LineProfiler):
            prof.show_results(stream)
        elif table == "memory_profiler":
            report.write_compatible(prof, stream, 1 if precision is None else precision)
        elif table == "memprof":
            report.write(prof, stream, precision)
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
        before = _core.quiet(True)
        try:
            func, _, _, backend, _ = self.arguments
            self.prof = LineProfiler(backend=backend)
            self.prof.add_function(func)
            self.prof.enable_by_count()
        finally:
            _core.quiet(before)

    def __exit__(self, kind, *_) -> None:
        self.prof.disable_by_count(keep=True)
        if kind is None or kind is GeneratorExit:
            _, stream, precision, _, table = self.arguments
            show_results(self.prof, stream, precision, table)
