"""Snapshots of the trace, and thin views of their rows.

All grouping, sorting and comparing is done in C; the classes here hold the tuples that
come out of it. Names, string formats and sort orders are tracemalloc's where it has them
(https://docs.python.org/3/library/tracemalloc.html), with functions and full stacks added.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from .. import _core
from ..quiet import quietly
from . import units
from .filters import BaseFilter, apply_filters
from .frames import Traceback

KEYS = {
    "line": "line",
    "file": "file",
    "function": "function",
    "stack": "stack",
    "lineno": "line",
    "filename": "file",
    "traceback": "stack",
}
METRICS = ("live", "peak", "total")


class Statistic:
    """Memory of one group: ``size`` in bytes, ``count`` in blocks."""

    __slots__ = ("count", "size", "traceback")

    def __init__(self, traceback: Traceback, size: int, count: int):
        self.traceback = traceback
        self.size = size
        self.count = count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Statistic):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return self.traceback, self.size, self.count

    def __str__(self) -> str:
        text = f"{self.traceback}: size={units.size(self.size)}, count={self.count}"
        if self.count:
            text += f", average={units.size(self.size / self.count)}"
        return text

    def __repr__(self) -> str:
        return f"<Statistic traceback={self.traceback!r} size={self.size} count={self.count}>"


class StatisticDiff:
    """Change of one group from an older snapshot: ``*_diff`` is new minus old.

    ``types`` maps qualified names of types to the change of their number of objects; empty
    unless both snapshots were taken with ``types=True``.
    """

    __slots__ = ("count", "count_diff", "size", "size_diff", "traceback", "types")

    def __init__(
        self,
        traceback: Traceback,
        size: int,
        size_diff: int,
        count: int,
        count_diff: int,
        types: dict[str, int] | None = None,
    ):
        self.types = types or {}
        self.traceback = traceback
        self.size = size
        self.size_diff = size_diff
        self.count = count
        self.count_diff = count_diff

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StatisticDiff):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return self.traceback, self.size, self.size_diff, self.count, self.count_diff

    def __str__(self) -> str:
        text = (
            f"{self.traceback}: size={units.size(self.size)} "
            f"({units.size(self.size_diff, sign=True)}), "
            f"count={self.count} ({self.count_diff:+d})"
        )
        if self.count:
            text += f", average={units.size(self.size / self.count)}"
        return text

    def __repr__(self) -> str:
        return (
            f"<StatisticDiff traceback={self.traceback!r} size={self.size} "
            f"({self.size_diff:+d}) count={self.count} ({self.count_diff:+d})>"
        )


def _key(key: str, cumulative: bool) -> str:
    if key not in KEYS:
        raise ValueError(f"unknown key: {key!r} (one of: line, file, function, stack)")
    if cumulative and KEYS[key] == "stack":
        raise ValueError(f"cumulative makes no sense for key {key!r}: stacks are whole already")
    return KEYS[key]


def _metric(metric: str) -> str:
    if metric not in METRICS:
        raise ValueError(f"unknown metric: {metric!r} (one of: {', '.join(METRICS)})")
    return metric


def _group_key(frame: tuple, key: str) -> tuple:
    """What a frame has in common with others of its group."""
    parts = {"line": frame[:3], "file": frame[:1], "function": (frame[0], frame[2])}
    return parts[KEYS[key]]


def _changes_of_types(
    new: list[tuple] | None, old: list[tuple] | None, key: str, cumulative: bool
) -> dict[tuple, dict[str, int]]:
    """{group: {type name: change of the number of objects}} of what has changed."""
    changes: dict[tuple, dict[str, int]] = {}
    for sign, rows in ((1, new or ()), (-1, old or ())) if new and old else ():
        for frames, name, objects in rows:
            if key == "stack":
                groups = {frames}
            else:
                groups = {
                    _group_key(frame, key) for frame in (frames if cumulative else frames[-1:])
                }
            for group in groups:
                counts = changes.setdefault(group, {})
                counts[name] = counts.get(name, 0) + sign * objects
    for counts in changes.values():
        for name in [name for name, change in counts.items() if not change]:
            del counts[name]
    return {
        group: dict(sorted(counts.items(), key=lambda item: -abs(item[1])))
        for group, counts in changes.items()
    }


class Snapshot:
    """The numbers of all call stacks at one moment. Immutable; made by take_snapshot()."""

    __slots__ = ("_core", "_types")

    def __init__(self, core: _core.Snapshot, types: list[tuple] | None = None):
        self._core = core
        self._types = types  # [(frames, type name, objects)], None: not counted

    @quietly
    def statistics(
        self, key: str, cumulative: bool = False, *, metric: str = "live"
    ) -> list[Statistic]:
        """Memory summed by ``line``, ``file``, ``function`` or ``stack``, largest first.

        ``metric`` is ``live`` (allocated and not freed), ``peak`` (live when the traced
        memory was at its maximum) or ``total`` (all allocations). ``cumulative`` counts a
        block for every frame of its stack, not only the innermost one. Sorted by size,
        count and traceback, descending. ValueError for an unknown key or metric.
        """
        rows = self._core.group(_key(key, cumulative), cumulative, _metric(metric))
        return [Statistic(Traceback(frames), size, count) for frames, size, count in rows]

    @quietly
    def compare_to(
        self, old: Snapshot, key: str, cumulative: bool = False, *, metric: str = "live"
    ) -> list[StatisticDiff]:
        """Changes since ``old``, largest first; arguments as statistics().

        The snapshots may come from different processes. Sorted by \\|size_diff\\|, size,
        \\|count_diff\\|, count and traceback, descending. Groups that did not change are
        included. Of snapshots with ``types`` each row has the changes by type of object.
        """
        if not isinstance(old, Snapshot):
            raise TypeError(f"cannot compare with {type(old).__name__}, only with a Snapshot")
        rows = self._core.compare(old._core, _key(key, cumulative), cumulative, _metric(metric))
        types = _changes_of_types(self._types, old._types, _key(key, cumulative), cumulative)
        return [
            StatisticDiff(
                Traceback(row[0]),
                *row[1:],
                types.get(row[0] if KEYS[key] == "stack" else _group_key(row[0][-1], key)),
            )
            for row in rows
        ]

    @quietly
    def filter_traces(self, filters: Iterable[BaseFilter]) -> Snapshot:
        """A snapshot of the rows that some inclusive filter (if there is any) and all
        exclusive filters let through."""
        return Snapshot(apply_filters(self._core, filters))

    def dump(self, path: str | os.PathLike) -> None:
        """Write a profile file, replacing an older one at once or not at all. OSError."""
        self._core.write(path)

    @staticmethod
    def load(path: str | os.PathLike) -> Snapshot:
        """Read a profile file. OSError, or ValueError when it is not a sound profile."""
        return Snapshot(_core.read(path))

    @property
    def facts(self) -> dict[str, int]:
        """What is known of the process: see MP_FACTS in lib/analyse/snapshot.h. Bytes unless the
        name says otherwise; -1 where it is not known."""
        return self._core.facts()

    @property
    def notes(self) -> dict[str, str]:
        """Command line and versions of a profile."""
        text = self._core.note().decode("utf-8", "surrogateescape")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    @property
    def traced_memory(self) -> tuple[int, int]:
        """(live, peak) bytes of traced blocks when the snapshot was taken."""
        facts = self.facts
        return facts["traced"], facts["peak"]

    def __repr__(self) -> str:
        live, peak = self.traced_memory
        return f"<Snapshot live={units.size(live)} peak={units.size(peak)}>"
