"""Where the resident memory of a process is."""

from __future__ import annotations

import os
import re
import sys
from collections import namedtuple

from .. import _core
from .snapshot import Snapshot


class Line(namedtuple("Line", "name bytes meaning")):
    """One part of the account. ``bytes`` is None where the number is not known."""

    __slots__ = ()


def _statistics_of_the_allocator() -> str:
    """What the interpreter prints to stderr. To be called when our hooks are out of the
    chain, for then only does it know its own allocator."""
    try:
        saved = os.dup(2)
    except OSError:
        return ""  # the program has closed its stderr
    try:
        with open(os.memfd_create("memprof"), "rb") as file:
            os.dup2(file.fileno(), 2)
            try:
                sys._debugmallocstats()
            finally:
                os.dup2(saved, 2)
            file.seek(0)
            return file.read().decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(saved)


def _pymalloc_arenas(text: str) -> int:
    """Bytes of pymalloc's arenas; -1 where another allocator is in use."""
    found = re.search(r"(\d[\d,]*) arenas \* (\d+) bytes/arena", text)
    return int(found[1].replace(",", "")) * int(found[2]) if found else -1


def split_live_memory() -> tuple[int, int, int]:
    """Bytes of live traced blocks (in pymalloc's arenas, on the C heap, of these in the raw
    domain). While tracing."""
    return _core.heap_split()


def complete(snapshot: Snapshot, split: tuple[int, int, int]) -> None:
    """Add to a snapshot's facts what can be measured only after the trace has stopped."""
    statistics = _statistics_of_the_allocator()
    arenas = _pymalloc_arenas(statistics)
    small, large, raw = split
    if "Medium block threshold" in statistics:  # mimalloc has a heap of its own for objects
        small, large = small + large - raw, raw
    elif arenas < 0:  # no arenas: small blocks are on the C heap as well
        small, large = 0, small + large
    snapshot._core.set_fact("arenas", arenas)
    snapshot._core.set_fact("traced_small", small)
    snapshot._core.set_fact("traced_c_heap", large)


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
