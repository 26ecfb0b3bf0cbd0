"""Which call stacks grow through a whole run: views of the verdicts of lib/growth.h."""

from __future__ import annotations

from dataclasses import dataclass

from .snapshot import Snapshot, Traceback

STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Leak:
    """A call stack with live memory, and how that came to be.

    ``verdict``: ``steady`` (grew through the whole run: a leak), ``flat`` (warmed up, then
    stayed), ``sawtooth`` (goes up and down), ``once`` (allocated at one moment), ``late``
    (too near the end to be judged).
    """

    traceback: Traceback
    verdict: str
    live_bytes: int
    live_blocks: int
    first_bytes: int  # lowest level at the start of what was judged
    first_blocks: int
    last_bytes: int  # lowest level at its end
    last_blocks: int
    bytes_per_second: float
    blocks_per_second: float
    points: tuple[tuple[float, int, int], ...]  # (seconds, bytes, blocks) over time


@dataclass(frozen=True, slots=True)
class LeakReport:
    """Leaks, largest first, and apart from them what else is still alive."""

    too_short: bool  # the run was too short to judge; there are no leaks then
    leaks: tuple[Leak, ...]
    still_alive: tuple[Leak, ...]
    seconds: float  # of the trace
    checkpoints: int


def find_growth(snapshot: Snapshot) -> LeakReport:
    """Judge a snapshot that has a series (``start(series=True)`` and the end of the run, or
    a profile written by ``--leaks``)."""
    too_short, rows = snapshot._core.growth()
    judged = [Leak(Traceback(row[0]), *row[1:-1], tuple(row[-1])) for row in rows]
    return LeakReport(
        too_short=too_short,
        leaks=tuple(leak for leak in judged if leak.verdict == STEADY),
        still_alive=tuple(leak for leak in judged if leak.verdict != STEADY),
        seconds=snapshot.facts["duration_ns"] / 1e9,
        checkpoints=len(snapshot._core.series()),
    )
