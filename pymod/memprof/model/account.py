"""Where the resident memory of a process is."""

from __future__ import annotations

from collections import namedtuple

from .snapshot import Snapshot


class Line(namedtuple("Line", "name bytes meaning")):
    """One part of the account. ``bytes`` is None where the number is not known."""

    __slots__ = ()


def _known(value: int) -> int | None:
    return value if value >= 0 else None


def account(snapshot: Snapshot) -> list[Line]:
    """The parts that add up to the resident set, the remainder last.

    Parts of the C heap and of the arenas are counted as allocated, whether or not all of
    their pages are resident; the remainder is then negative.
    """
    facts = {name: _known(value) for name, value in snapshot.facts.items()}
    small, large = facts["traced_small"], facts["traced_c_heap"]
    if small is None or facts["rss"] is None:
        return []
    jemalloc = bool(facts["jemalloc"])
    lines = [
        Line("live traced blocks", small + large, "allocated through Python and not freed"),
        Line(
            "pymalloc, rest of its arenas",
            _minus(facts["arenas"], small),
            "free, or allocated before the trace",
        ),
        Line(
            "C heap, other blocks",
            _minus(facts["c_heap_in_use"], large),
            "native libraries, or allocated before the trace",
        ),
        Line(
            "C heap, free",
            facts["c_heap_free"],
            "jemalloc: resident - allocated" if jemalloc else "kept by malloc for later",
        ),
        Line("memprof itself", facts["own"], "tables, caches, snapshots"),
        Line("mapped files", facts["rss_files"], "the interpreter, its libraries"),
        Line("shared memory", facts["rss_shared"], ""),
        Line("stack of the main thread", facts["stack"], ""),
    ]
    known = sum(line.bytes for line in lines if line.bytes is not None)
    lines.append(Line("remainder", facts["rss"] - known, "not accounted for"))
    return lines


def _minus(total: int | None, part: int) -> int | None:
    return None if total is None else max(total - part, 0)
