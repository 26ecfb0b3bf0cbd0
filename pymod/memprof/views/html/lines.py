"""The tables of line_tables.py as HTML."""

from __future__ import annotations

from ...model.line_table import ALLOCATED, LINE, PEAK, Function, LineTables
from .. import line_tables
from . import page

_TITLES = ("Line #", "Hits", "Allocated", "Freed", "Net", "Peak", "RSS", "Line Contents|")


def document_part(tables: LineTables) -> str:
    """All tables: bars show each line's share of what the function allocates, and
    of its peak."""
    called = [function for function in tables.functions if function.core.read()]
    parts = [page.style()]
    if not called:
        return parts[0] + page.note("no lines to show: none of the functions was called")
    parts += [page.note(line) for line in line_tables.LEGEND]
    parts += [_function(function) for function in called]
    return "\n".join(parts)


def _function(function: Function) -> str:
    rows = {row[LINE]: row for row in function.core.read()}
    allocated = max(row[ALLOCATED] for row in rows.values()) or 1
    peak = max(row[PEAK] for row in rows.values()) or 1
    body = []
    for line in function.lines:
        row = rows.get(line)
        if row is None:
            cells = [page.Cell("")] * 6
        else:
            texts = line_tables.cells(row, None)
            shares = (0, row[ALLOCATED] / allocated, 0, 0, row[PEAK] / peak, 0)
            colours = (0, 0, 0, 0, 1, 0)
            columns = zip(texts, shares, (False,) * 6, colours, strict=True)
            cells = [page.Cell(*column) for column in columns]
        source = page.Cell(function.source(line), is_text=True)
        body.append([page.Cell(line), *cells, source])
    return page.table(line_tables.function_title(function), _TITLES, body)
