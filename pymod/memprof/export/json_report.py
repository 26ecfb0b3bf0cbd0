"""The reports as JSON: the same content as the text, sizes in bytes, times in seconds."""

from __future__ import annotations

import json

from ..model.account import account
from ..model.frames import Frame
from ..model.leaks import Leak
from ..model.snapshot import Snapshot
from ..views.source import source_text


def _text(document: dict) -> str:
    return json.dumps(document, indent=2) + "\n"


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


def summary(content) -> str:
    """``memprof-report`` version 1."""
    snapshot, by = content.snapshot, content.by
    rows = snapshot.statistics(by, metric=content.metric)
    document = {
        "format": "memprof-report",
        "version": 1,
        **_process(snapshot),
        "by": by,
        "metric": content.metric,
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
            for row in rows[: content.top]
        ],
        "rss": [
            {"name": line.name, "bytes": line.bytes, "meaning": line.meaning}
            for line in account(snapshot)
        ],
    }
    return _text(document)


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


def leaks(content) -> str:
    """``memprof-leaks`` version 1."""
    growth = content.growth
    document = {
        "format": "memprof-leaks",
        "version": 1,
        **_process(content.snapshot),
        "seconds": growth.seconds,
        "unit": growth.unit,
        "checkpoints": growth.checkpoints,
        "too_short": growth.too_short,
        "unfollowed": growth.unfollowed,
        "leaks": [_leak(leak) for leak in growth.leaks],
        "still_alive": [_leak(leak) for leak in growth.still_alive],
    }
    return _text(document)


def changes(content) -> str:
    """``memprof-diff`` version 1."""
    rows, by = content.rows, content.by
    document = {
        "format": "memprof-diff",
        "version": 1,
        "by": by,
        "metric": content.metric,
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
            for row in rows[: content.top]
            if row.size_diff or row.count_diff
        ],
    }
    return _text(document)


def lines(content) -> str:
    """The rows of a line profiler."""
    return _text({"lines": content.tables.rows()})
