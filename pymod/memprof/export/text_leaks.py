"""Leak reports as styled lines."""

from __future__ import annotations

from ..views import leak_report
from ..views.console import Line


def leaks(content) -> list[Line]:
    return leak_report.lines(content.growth, content.top)
