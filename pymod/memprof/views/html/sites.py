"""The largest allocation sites of a snapshot as HTML."""

from __future__ import annotations

from ...model import units
from ...model.snapshot import Snapshot
from .. import source
from . import page

_WHAT = {
    "peak": "Live when traced memory was at its peak",
    "live": "Live at the end",
    "total": "All allocations",
}


def document_part(snapshot: Snapshot, by: str, metric: str, top: int) -> str:
    """A table; the bars are shares of the largest."""
    rows = snapshot.statistics(by, metric=metric)
    whole = sum(row.size for row in rows)
    largest = max((row.size for row in rows), default=0) or 1
    shown = f"top {top} of {len(rows)}" if len(rows) > top else f"all {len(rows)}"
    caption = f"{_WHAT[metric]}, by {by} ({shown}, {units.size(whole)} in all)"
    body = []
    for row in rows[:top]:
        frame = row.traceback[-1]
        share = f"{100 * row.size / whole:.1f}%" if whole else ""
        place = source.site_text(frame, by)
        if by == "stack":
            callers = [source.site_text(caller) for caller in reversed(row.traceback[:-1])]
            place = "\n  <- ".join([place, *callers])
        text = source.source_text(frame) if by in ("line", "stack") else ""
        body.append(
            [
                page.Cell(units.size(row.size), row.size / largest),
                page.Cell(units.count(row.count)),
                page.Cell(share),
                page.Cell(place, is_text=True),
                page.Cell(text, is_text=True),
            ]
        )
    titles = ("size", "blocks", "%", "where|", "source|")
    peak = units.size(snapshot.facts["peak"])
    return page.style() + page.table(caption, titles, body) + page.note(f"peak traced: {peak}")
