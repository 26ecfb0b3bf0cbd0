"""Functions with the counters of their lines."""

from __future__ import annotations

import functools
import inspect
import linecache
import types
from collections.abc import Iterator

from .. import _core
from ..quiet import quiet
from . import source_text, units

# What the counters of a line are; see lib/py/lines/counters.h.
LINE, HITS, ALLOCATED, FREED, PEAK, LEVEL, RSS, RSS_CHANGE = range(8)


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
        known = source_text.lines_of(self.code)
        if known is None:
            return linecache.getline(self.filename, line).rstrip("\r\n")
        return known[line - 1].rstrip("\r\n") if line <= len(known) else ""


@functools.lru_cache(maxsize=64)
def _last_source_line(code: types.CodeType, filename: str) -> int:
    """Of the function's block; 0 where the source is not known."""
    known = source_text.lines_of(code)
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

    def __init__(self, tables: LineTables):
        super().__init__()
        self._functions = tables.functions
        for function in self._functions:
            measures = tables.measures(function)
            for code, _ in function.codes:
                self[code] = measures

    def items(self):
        for function in self._functions:
            measures = self[function.code]
            if measures:
                yield function.filename, _with_all_lines(function, measures)


def _with_all_lines(function: Function, measures: dict) -> Iterator[tuple[int, tuple | None]]:
    return ((line, measures.get(line)) for line in function.lines)


class LineTables:
    """The counters of some ``functions``. ``backend``: what measures() and code_map are of."""

    def __init__(self, backend: str):
        self.backend = backend
        self.functions: list[Function] = []

    @property
    def lost(self) -> int:
        """Events of this process's trace that could not be recorded."""
        return _core.lost()

    def rows(self) -> list[dict]:
        """A dict for each line that was reached, sorted by file and line.

        ``file`` (str), ``line``, ``hits``, ``allocated``, ``freed``, ``net``, ``peak``, ``rss``
        (int; all but the first two in bytes), ``source`` (str). ``hits`` is how often the line
        was begun; for the line of ``def``, how often the function was called. ``net`` is
        allocated - freed, ``peak`` the most above the level at the function's entry while on the
        line, ``rss`` the resident memory when it ended, at most.
        """
        with quiet:
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
            result[row[LINE]] = (increment / units.MIB, memory / units.MIB, row[HITS])
        return result
