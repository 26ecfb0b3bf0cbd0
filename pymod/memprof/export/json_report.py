"""The reports as JSON: the same content as the text, sizes in bytes, times in seconds."""

from __future__ import annotations

from ..model.account import account
from ..model.frames import Frame
from ..model.leaks import Growth, Leak
from ..model.snapshot import Snapshot, StatisticDiff
from ..views.source import source_text


def _frame(frame: Frame) -> dict:
    return {"file": frame.filename, "line": frame.lineno, "function": frame.function}


def _stack(frames) -> list[dict]:
    """Innermost first."""
    return [_frame(frame) for frame in reversed(frames)]


def _process(snapshot: Snapshot) -> dict:
    notes = snapshot.notes
    return {
        "command": notes.get("command"),
        "python": notes.get("python"),
        "memprof": notes.get("memprof"),
        "facts": snapshot.facts,
    }


def summary(snapshot: Snapshot, by: str, metric: str, top: int) -> dict:
    """``memprof-report`` version 1."""
    rows = snapshot.statistics(by, metric=metric)
    return {
        "format": "memprof-report",
        "version": 1,
        **_process(snapshot),
        "by": by,
        "metric": metric,
        "groups": len(rows),
        "bytes": sum(row.size for row in rows),
        "blocks": sum(row.count for row in rows),
        "rows": [
            {
                **_frame(row.traceback[-1]),
                "source": source_text(row.traceback[-1]) if by in ("line", "stack") else "",
                "bytes": row.size,
                "blocks": row.count,
                **({"stack": _stack(row.traceback)} if by == "stack" else {}),
            }
            for row in rows[:top]
        ],
        "rss": [
            {"name": line.name, "bytes": line.bytes, "meaning": line.meaning}
            for line in account(snapshot)
        ],
    }


def _leak(leak: Leak) -> dict:
    return {
        "site": _frame(leak.traceback[-1]),
        "stack": _stack(leak.traceback),
        "live_bytes": leak.live_bytes,
        "live_blocks": leak.live_blocks,
        "objects": leak.objects,
        "owners": leak.owners,
        "types": leak.types,
        "holders": [
            {"path": holder.path, "objects": holder.objects, "root": holder.root}
            for holder in leak.holders
        ],
        "retained_bytes": leak.retained_bytes,
        "part_of": leak.part_of,
        "growth": {
            "verdict": leak.verdict,
            "bytes_per_second": leak.bytes_per_second,
            "blocks_per_second": leak.blocks_per_second,
            "first_bytes": leak.first_bytes,
            "first_blocks": leak.first_blocks,
            "last_bytes": leak.last_bytes,
            "last_blocks": leak.last_blocks,
            "points": [list(point) for point in leak.points],
        },
    }


def leaks(snapshot: Snapshot, report: Growth) -> dict:
    """``memprof-leaks`` version 1."""
    return {
        "format": "memprof-leaks",
        "version": 1,
        **_process(snapshot),
        "seconds": report.seconds,
        "unit": report.unit,
        "checkpoints": report.checkpoints,
        "too_short": report.too_short,
        "unfollowed": report.unfollowed,
        "leaks": [_leak(leak) for leak in report.leaks],
        "still_alive": [_leak(leak) for leak in report.still_alive],
    }


def changes(rows: list[StatisticDiff], by: str, metric: str, top: int) -> dict:
    """``memprof-diff`` version 1."""
    return {
        "format": "memprof-diff",
        "version": 1,
        "by": by,
        "metric": metric,
        "bytes_diff": sum(row.size_diff for row in rows),
        "blocks_diff": sum(row.count_diff for row in rows),
        "rows": [
            {
                **_frame(row.traceback[-1]),
                "bytes": row.size,
                "bytes_diff": row.size_diff,
                "blocks": row.count,
                "blocks_diff": row.count_diff,
                **({"stack": _stack(row.traceback)} if by == "stack" else {}),
            }
            for row in rows[:top]
            if row.size_diff or row.count_diff
        ],
    }
