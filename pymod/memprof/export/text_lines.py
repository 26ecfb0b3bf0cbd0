"""Line tables as styled lines, or as memory_profiler's text."""

from __future__ import annotations

import io

from ..views import console, line_tables


def lines(content) -> list[console.Line] | str:
    if content.table == "memory_profiler":
        stream = io.StringIO()
        digits = 1 if content.precision is None else content.precision
        line_tables.write_compatible(content.tables, stream, digits)
        return stream.getvalue()
    return line_tables.report_lines(content.tables, content.precision, content.width)
