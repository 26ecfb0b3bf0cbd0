"""Tables of what the lines of functions allocate."""

from __future__ import annotations

import sys
import textwrap

from ..model import line_table, units
from ..model.line_table import Function, LineTables
from . import console
from .source import short_path

_NUMBERS = ("Hits", "Allocated", "Freed", "Net", "Peak", "RSS")
_WIDTHS = (9, 10, 10, 10, 10, 10)

LEGEND = (
    "Hits: times the line was begun; of a def, calls. Allocated, Freed, Net: bytes through "
    "Python's allocators, calls included.",
    "Peak: the most above the level at the function's entry. RSS: resident memory of the process "
    "at the line's end.",
)


def size(value: int, precision: int | None) -> str:
    """Bytes with a unit, or in MiB with so many digits; nothing for nothing."""
    if precision is not None:
        return f"{value / units.MIB:.{precision}f} MiB"
    return units.size(value) if value else "0"


def cells(row: tuple, precision: int | None) -> list[str]:
    """The texts of a row's columns, in the order of _NUMBERS."""
    allocated, freed = row[line_table.ALLOCATED], row[line_table.FREED]
    amounts = (allocated, freed, allocated - freed, row[line_table.PEAK], row[line_table.RSS])
    return [units.count(row[line_table.HITS]), *(size(amount, precision) for amount in amounts)]


def function_title(function: Function) -> str:
    first = function.code.co_firstlineno
    return f"{short_path(function.filename)}:{first} in {function.name}"


def _style(row: tuple, largest: int) -> str:
    """The lines that matter stand out."""
    if largest and row[line_table.ALLOCATED] * 4 >= largest:
        return console.ALARM
    return console.NUMBER


def _column_widths(texts: list[list[str]], source: int, width: int | None) -> list[int]:
    """The usual ones; where a line of ``source`` columns has no room so, as narrow as can be."""
    needed = [max(map(len, column)) for column in zip(*texts, strict=True)]
    usual = [max(pair) for pair in zip(needed, _WIDTHS, strict=True)]
    if width is None or len("Line # ") + sum(usual) + len(usual) + 1 + source <= width:
        return usual
    return [max(pair) for pair in zip(needed, map(len, _NUMBERS), strict=True)]


def function_lines(
    function: Function, precision: int | None, width: int | None = None
) -> list[console.Line]:
    """The table of one function."""
    rows = {row[line_table.LINE]: row for row in function.core.read()}
    texts = {line: cells(row, precision) for line, row in rows.items()}
    longest = max(len(function.source(line)) for line in function.lines)
    widths = _column_widths([*texts.values()], longest, width)
    titles = (f"{title:>{width}}" for title, width in zip(_NUMBERS, widths, strict=True))
    header = f"{'Line #':>6} {' '.join(titles)}  Line Contents"
    largest = max(row[line_table.ALLOCATED] for row in rows.values())
    table = [
        console.line((function_title(function), console.TITLE)),
        [],
        console.line((header, console.TITLE)),
        console.line(("=" * len(header), console.QUIET)),
    ]
    for line in function.lines:
        if line in rows:
            columns = zip(texts[line], widths, strict=True)
            row = " ".join(f"{text:>{width}}" for text, width in columns)
            style = _style(rows[line], largest)
        else:
            row, style = " " * (sum(widths) + len(widths) - 1), ""
        source = function.source(line)
        text = ["  ", (source, console.SOURCE)] if source else []
        table.append(console.line(f"{line:>6} ", (row, style), *text))
    return [*table, []]


def report_lines(
    tables: LineTables, precision: int | None = None, width: int | None = None
) -> list[console.Line]:
    """All tables, with a legend. One line when nothing was called. ``width``: that
    of a terminal, which has room for less."""
    called = [function for function in tables.functions if function.core.read()]
    if not called:
        names = ", ".join(function.name for function in tables.functions)
        what = f"not called: {names}" if names else "no functions were selected"
        return [console.line((f"memprof: no lines to show, {what}", console.ALARM))]
    legend = [part for text in LEGEND for part in (textwrap.wrap(text, width) if width else [text])]
    report = [console.line((text, console.QUIET)) for text in legend]
    if lost := tables.lost:
        report.append(console.line((f"Events that could not be recorded: {lost}", console.ALARM)))
    for function in called:
        report += [[], *function_lines(function, precision, width)]
    return report


def write(tables: LineTables, stream=None, precision: int | None = None) -> None:
    """Coloured and cut to the width of a terminal; plain and whole elsewhere."""
    stream = sys.stdout if stream is None else stream
    if stream is not None:
        console.write(report_lines(tables, precision, console.width(stream)), stream)


_COMPATIBLE = "{0:>6} {1:>12} {2:>12}  {3:>10}   {4:<}"


def write_compatible(tables: LineTables, stream=None, precision: int = 1) -> None:
    """memory_profiler's tables, character for character."""
    stream = sys.stdout if stream is None else stream
    functions = {function.code: function for function in tables.functions}
    header = _COMPATIBLE.format("Line #", "Mem usage", "Increment", "Occurrences", "Line Contents")
    for function in functions.values():
        measures = tables.measures(function)
        if not measures:
            continue
        stream.write(f"Filename: {function.filename}\n\n")
        stream.write(f"{header}\n{'=' * len(header)}\n")
        for line in function.lines:
            stream.write(_compatible_row(line, measures.get(line), function, precision))
        stream.write("\n\n")


def _compatible_row(line: int, measure, function: Function, precision: int) -> str:
    memory = increment = hits = ""
    if measure is not None:
        increment, memory = (f"{mib:{precision + 4}.{precision}f} MiB" for mib in measure[:2])
        hits = measure[2]
    source = function.source(line)
    return _COMPATIBLE.format(line, memory, increment, hits, source) + "\n"
