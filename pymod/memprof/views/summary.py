"""The report of a whole run: totals, who was live, where the resident memory is."""

from __future__ import annotations

from ..model import units
from ..model.account import account
from ..model.snapshot import Snapshot, Statistic
from . import console, source

_WHAT = {
    "peak": "Live when traced memory was at its peak",
    "live": "Live at the end",
    "total": "All allocations",
}


def lines(snapshot: Snapshot, by: str, metric: str, top: int) -> list[console.Line]:
    """Everything, ready to be written."""
    return [
        *_totals(snapshot),
        [],
        *top_lines(snapshot, by, metric, top),
        [],
        *_account(snapshot),
    ]


def _totals(snapshot: Snapshot) -> list[console.Line]:
    facts = snapshot.facts
    blocks = units.blocks(facts["total_blocks"])
    rows = [
        ("run time", units.seconds(facts["duration_ns"] / 1e9), ""),
        ("peak traced", units.size(facts["peak"]), "the most that was live at one time"),
        ("peak RSS", units.size(facts["peak_rss"]), "of the process, memprof included"),
        ("allocated", units.size(facts["total_bytes"]), f"in all, in {blocks}"),
        ("memprof", units.size(facts["own"]), "its own memory, in none of these numbers"),
        ("traces lost", units.count(facts["lost"]), "events that could not be recorded"),
    ]
    command = snapshot.notes.get("command", "")
    title = console.line(("memprof", console.TITLE), f"  {command}" if command else "")
    return [title] + [
        console.line(
            f"  {name:<12}",
            (f"{value:>12}", console.ALARM if name == "traces lost" and value != "0" else "bold"),
            (f"   {meaning}", console.QUIET),
        )
        for name, value, meaning in rows
    ]


def top_lines(snapshot: Snapshot, by: str, metric: str, top: int) -> list[console.Line]:
    """The largest groups, with their share of the whole and their source."""
    rows = snapshot.statistics(by, metric=metric)
    whole = sum(row.size for row in rows)
    shown = f"top {top} of {len(rows)}" if len(rows) > top else f"all {len(rows)}"
    title = f"{_WHAT[metric]}, by {by} ({shown}, {units.size(whole)} in all)"
    lines = [
        console.line((title, console.TITLE)),
        console.line((f"  {'size':>10} {'blocks':>12} {'%':>6}   where", console.QUIET)),
    ]
    for row in rows[:top]:
        lines += _row_lines(row, by, whole)
    return lines


def _row_lines(row: Statistic, by: str, whole: int) -> list[console.Line]:
    frame = row.traceback[-1]
    share = 100 * row.size / whole if whole else 0.0
    lines = [
        console.line(
            (f"  {units.size(row.size):>10}", console.NUMBER),
            f" {row.count:>12,} {share:>5.1f}%   ",
            (source.site_text(frame, by), console.SITE),
        )
    ]
    indent = " " * 34
    if by in ("line", "stack") and (text := source.source_text(frame)):
        lines.append(console.line(indent + "  ", (text, console.SOURCE)))
    if by == "stack":
        lines += source.stack_lines(reversed(row.traceback[:-1]), indent, "<- ")
    return lines


def _account(snapshot: Snapshot) -> list[console.Line]:
    parts = account(snapshot)
    if not parts:
        return []
    facts = snapshot.facts
    lines = [console.line((f"Resident memory at the end: {units.size(facts['rss'])}", "bold"))]
    for part in parts:
        text = "unknown" if part.bytes is None else units.size(part.bytes)
        lines.append(
            console.line(
                (f"  {text:>10}", console.NUMBER),
                f"   {part.name:<30}",
                (part.meaning, console.QUIET),
            )
        )
    if facts["jemalloc"] > 0:
        lines.append(_jemalloc(facts))
    return lines


def _jemalloc(facts: dict[str, int]) -> console.Line:
    text = (
        f"  jemalloc: active {units.size(facts['jemalloc_active'])}, "
        f"resident {units.size(facts['jemalloc_resident'])}, "
        f"retained {units.size(facts['jemalloc_retained'])} (address space only)"
    )
    return console.line((text, console.QUIET))
