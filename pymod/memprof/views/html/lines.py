"""The tables of lines.py as HTML."""

from __future__ import annotations

from ...control import line_profiler as lines
from .. import line_tables as text
from . import page as html

_TITLES = ("Line #", "Hits", "Allocated", "Freed", "Net", "Peak", "RSS", "Line Contents|")


def document_part(prof: lines.LineProfiler) -> str:
    """All tables of a profiler: bars show each line's share of what the function allocates, and
    of its peak."""
    called = [function for function in prof.functions if function.core.read()]
    parts = [html.style()]
    if not called:
        return parts[0] + html.note("no lines to show: none of the functions was called")
    parts += [html.note(line) for line in text.LEGEND]
    parts += [_function(function) for function in called]
    return "\n".join(parts)


def _function(function: lines.Function) -> str:
    rows = {row[lines.LINE]: row for row in function.core.read()}
    allocated = max(row[lines.ALLOCATED] for row in rows.values()) or 1
    peak = max(row[lines.PEAK] for row in rows.values()) or 1
    body = []
    for line in function.lines:
        row = rows.get(line)
        if row is None:
            cells = [html.Cell("")] * 6
        else:
            texts = text.cells(row, None)
            shares = (0, row[lines.ALLOCATED] / allocated, 0, 0, row[lines.PEAK] / peak, 0)
            colours = (0, 0, 0, 0, 1, 0)
            cells = [html.Cell(*of) for of in zip(texts, shares, (False,) * 6, colours)]
        source = html.Cell(function.source(line), is_text=True)
        body.append([html.Cell(line), *cells, source])
    return html.table(text.function_title(function), _TITLES, body)
