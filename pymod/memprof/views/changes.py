"""What changed between two profiles."""

from __future__ import annotations

from ..model import units
from ..model.snapshot import StatisticDiff
from . import console, source


def lines(changes: list[StatisticDiff], by: str, metric: str, top: int) -> list[console.Line]:
    """The largest changes, and the sum of all."""
    whole = sum(change.size_diff for change in changes)
    blocks = sum(change.count_diff for change in changes)
    changed = [change for change in changes if change.size_diff or change.count_diff]
    shown = f"top {top} of {len(changed)}" if len(changed) > top else f"all {len(changed)}"
    style = console.ALARM if whole > 0 else console.NUMBER
    result = [
        console.line(
            (f"Change of {metric} memory: ", console.TITLE),
            (units.size(whole, sign=True), style),
            f" in {blocks:+,} blocks; by {by} ({shown})",
        )
    ]
    for change in changed[:top]:
        result.append(
            console.line(
                (f"  {units.size(change.size_diff, sign=True):>11}", console.NUMBER),
                f" {change.count_diff:>+12,}   now {units.size(change.size):>10}   ",
                (source.site_text(change.traceback[-1], by), console.SITE),
            )
        )
        if by == "stack":
            result += source.stack_lines(reversed(change.traceback[:-1]), " " * 46, "<- ")
    return result
