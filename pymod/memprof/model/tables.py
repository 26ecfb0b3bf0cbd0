"""What a snapshot is made of, as flat tables of numbers: for exporters and pages, which walk the
call stacks themselves.

A column is a read-only memoryview of one dimension over the snapshot's own memory, which it keeps
alive; ``column.tolist()``, ``array(column.format, column.tobytes())`` and NumPy's
``asarray(column)`` take it as it is (the last without a copy). Item 0 of the first three tables
stands for what is not known: no name, no location, no caller.
"""

from __future__ import annotations

from collections import namedtuple

from ..quiet import quietly
from .snapshot import Snapshot

KINDS = ("raw", "mem", "obj", "tracked")  # enum mp_kind in lib/tables/depot.h


class Locations(namedtuple("Locations", "file function first_line line")):
    """By location: ``file`` and ``function`` are positions in the names, ``first_line`` is that of
    the function, ``line`` 0 where there is none."""

    __slots__ = ()


class Stacks(namedtuple("Stacks", "parent location folded")):
    """By call stack, a tree: ``parent`` is the stack of the caller, always a smaller number, 0
    where there is none. ``location`` is that of its innermost frame, ``folded`` 1 where recursion
    was folded there."""

    __slots__ = ()


class Rows(
    namedtuple(
        "Rows",
        "stack kind domain live_bytes live_blocks peak_bytes peak_blocks total_bytes total_blocks",
    )
):
    """By row: the memory of a ``stack`` that one allocator gave. ``kind`` is a position in KINDS,
    ``domain`` the number of a tracked one, else 0. Bytes and blocks live at the time of
    the snapshot, live when traced memory was at its peak, and of all allocations. Several
    rows may have the same stack and kind: they add up."""

    __slots__ = ()


class Points(namedtuple("Points", "stack blocks bytes")):
    """What was live at a checkpoint, by ``stack``, in order of it; the others had nothing."""

    __slots__ = ()


class Checkpoints(namedtuple("Checkpoints", "time traced rss points")):
    """The series of a trace with ``series``, else empty: ``time`` in nanoseconds since its start
    (of a trace by units of work, 10**9 times the unit), ``traced`` and ``rss`` (-1: not known) in
    bytes, all three columns; ``points`` is a list of Points, one for each checkpoint."""

    __slots__ = ()


class Tables(namedtuple("Tables", "names locations stacks rows checkpoints")):
    """``names`` is a list of str, the others are as above."""

    __slots__ = ()


@quietly
def tables_of(snapshot: Snapshot) -> Tables:
    """All tables of a snapshot. Nothing is copied but names and the locations of stacks."""
    names, locations, stacks, rows, checkpoints, points = snapshot._core.tables()
    return Tables(
        names,
        Locations(*locations),
        Stacks(*stacks),
        Rows(*rows),
        Checkpoints(*checkpoints, [Points(*columns) for columns in points]),
    )
