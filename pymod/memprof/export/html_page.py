"""Line tables as a page."""

from __future__ import annotations

from ..views.html import lines as line_tables
from ..views.html import page


def lines(content) -> str:
    return page.page("memprof lines", line_tables.document_part(content.tables))
