"""What is known of the allocators beneath the trace: asked at its end, for the account."""

from __future__ import annotations

import os
import re
import sys

from .. import _core
from ..model.snapshot import Snapshot


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
