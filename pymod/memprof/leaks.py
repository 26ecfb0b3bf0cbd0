"""Which call stacks grow through a whole run: views of the verdicts of lib/growth.h."""

from __future__ import annotations

from collections import namedtuple

from .snapshot import Snapshot, Traceback

STEADY = "steady"


class Leak(
    namedtuple(
        "Leak",
        "traceback verdict live_bytes live_blocks first_bytes first_blocks last_bytes last_blocks "
        "bytes_per_second blocks_per_second points",
    )
):
    """A call stack with live memory, and how that came to be.

    ``verdict``: ``steady`` (grew through the whole run: a leak), ``flat`` (warmed up, then
    stayed), ``sawtooth`` (goes up and down), ``once`` (allocated at one moment), ``late``
    (too near the end to be judged).

    ``first_*`` and ``last_*`` are the lowest levels at the start and at the end of what was
    judged; ``points`` are (seconds, bytes, blocks) over time, for leaks only.
    """

    __slots__ = ()


class LeakReport(namedtuple("LeakReport", "too_short leaks still_alive seconds checkpoints")):
    """``leaks``, largest first, and apart from them what else is ``still_alive``.

    ``too_short``: the run (``seconds``, with ``checkpoints``) was too short to judge; there
    are no leaks then.
    """

    __slots__ = ()


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
