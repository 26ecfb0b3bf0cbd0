"""Units of work that the program marks, by which growth is judged instead of by time."""

from __future__ import annotations

import itertools

from .. import _core

every = 0  # checkpoints are this many units apart; 0: nobody counts them
unit = "unit"

_counter = itertools.count(1)
_apart = 0  # grows as the series is thinned


def begin(apart: int) -> None:
    """Count from now on; 0 for no more."""
    global every, unit, _counter, _apart
    every = _apart = apart
    unit = "unit"
    _counter = itertools.count(1)


def mark(name: str = "unit") -> None:
    """Say that one unit of the program's work is done: a request, a job, a turn of a loop.

    Under ``memprof --leaks --every N``, and after ``start(series=True, every=N)``, growth is
    judged by these units instead of by time; otherwise the call does nothing. The first
    ``name`` is the unit, others are not counted. Any thread may call it.
    """
    global unit, _apart
    if not every:
        return
    if name != unit:
        if unit != "unit":
            return
        unit = name
    done = next(_counter)
    if done % _apart == 0:
        _apart = every << _core.timeline_mark(done)
