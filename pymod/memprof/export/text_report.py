"""Summaries and changes as styled lines."""

from __future__ import annotations

from ..views import changes as changes_view
from ..views import summary as summary_view
from ..views.console import Line


def summary(content) -> list[Line]:
    return summary_view.lines(content.snapshot, content.by, content.metric, content.top)


def changes(content) -> list[Line]:
    return changes_view.lines(content.rows, content.by, content.metric, content.top)
