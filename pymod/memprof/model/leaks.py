"""Which call stacks grow through a whole run, and what the objects are that they leave behind.

The verdicts are those of lib/analyse/growth.h; types, holders and retained sizes come from one pass
over the heap while the program's objects are still there (lib/graph/leaks.h).
"""

from __future__ import annotations

import os
import sys
from collections import namedtuple

from .. import _core
from .snapshot import Snapshot, Traceback

STEADY = "steady"
_STEPWISE = "stepwise"  # one block that was made larger: see lib/analyse/growth.h
_CONTAINERS = {"dict", "set", "list", "collections.deque", "collections.OrderedDict"}
_CONTAINERS |= {"collections.defaultdict", "collections.Counter"}

_NOTE = "explained"
_UNFOLLOWED = "unfollowed"
_OWN = os.path.dirname(os.path.abspath(_core.__file__)) + os.sep
_EXPLAINED_AT_MOST = 200  # leaks
_HOLDERS_AT_MOST = 20  # of one leak


class Holder(namedtuple("Holder", "path objects root detail")):
    """Who holds ``objects`` of a leak's objects, by their shortest path from a root.

    ``path``: text, as ``app._sessions['by-id'] -> list[..] -> Session``; ``detail`` is the same
    with the type of the first container. ``root``: module, class, thread-local, context,
    frame, suspended frame, stack, atexit, interpreter (what it was given: codecs, hooks ...), C code,
    memprof, or nothing (garbage).
    """

    __slots__ = ()


class Leak(
    namedtuple(
        "Leak",
        "traceback verdict live_bytes live_blocks first_bytes first_blocks last_bytes last_blocks "
        "bytes_per_second blocks_per_second points stack objects owners types holders "
        "retained_bytes part_of",
        defaults=(-1, None, 0, {}, (), None, None),
    )
):
    """A call stack with live memory, how that came to be, and what it is.

    ``verdict``: ``steady`` (grew through the whole run: a leak), ``flat`` (warmed up, then
    stayed), ``sawtooth`` (goes up and down), ``once`` (allocated at one moment), ``late``
    (too near the end to be judged). ``first_*`` and ``last_*`` are the lowest levels at the
    start and at the end of what was judged; ``points`` are (seconds, bytes, blocks) over time,
    for leaks only.

    For leaks of a trace under way: ``objects`` is the number of Python objects born there, 0
    when the blocks are buffers, of which ``owners`` objects are the owners (0: only C code
    knows the memory); None when not explained. ``types`` maps the qualified names of their
    types to numbers of objects, ``holders`` are Holder, most objects first,
    ``retained_bytes`` would be free without them. ``part_of`` is the position of the leak that
    holds this one, in the same report, or None.
    """

    __slots__ = ()

    @property
    def type_name(self) -> str | None:
        """Type of most of the objects."""
        return next(iter(self.types), None)


class LeakReport(
    namedtuple(
        "LeakReport",
        "too_short leaks still_alive seconds checkpoints unit unfollowed",
        defaults=("second", 0),
    )
):
    """``leaks``, those that hold the most first and each with its parts after it, and apart
    from them what else is ``still_alive``, by size.

    ``too_short``: the run (``seconds``, with ``checkpoints``) was too short to judge; there
    are no leaks then. ``unit``: what rates are per, and ``seconds`` are in: ``second``, or the
    name of a marked unit of work. ``unfollowed``: references that could not be followed,
    because a C type's tp_traverse reported pointers that are none.
    """

    __slots__ = ()

    def __str__(self) -> str:
        from ..views import leak_report as text

        return "\n".join("".join(part for part, _ in line) for line in text.lines(self, 10))


def find_growth(snapshot: Snapshot, *, explain: bool = False) -> LeakReport:
    """Judge a snapshot that has a series (``start(series=True)`` and the end of the run, or
    a profile written by ``--leaks``).

    ``explain``: find the objects behind the leaks, by one pass over the heap of this process:
    for a snapshot of a trace that is still under way. What was explained is kept in the
    snapshot, and in its profile. MemoryError.
    """
    before = _core.quiet(True)
    try:
        too_short, rows = snapshot._core.growth()
        judged = [Leak(Traceback(row[0]), *row[1:-2], tuple(row[-2]), row[-1]) for row in rows]
        leaks = [leak for leak in judged if leak.verdict in (STEADY, _STEPWISE)]
        if explain and leaks:
            _explain(snapshot, [leak.stack for leak in leaks[:_EXPLAINED_AT_MOST]])
        leaks, others = _tell_tables(_add_explained(leaks, snapshot))
        unit = snapshot.notes.get("unit", "second")
        return LeakReport(
            too_short=too_short,
            leaks=_arrange(leaks),
            still_alive=tuple(
                others.get(leak.stack, leak)
                for leak in judged
                if leak.verdict not in (STEADY, _STEPWISE) or leak.stack in others
            ),
            seconds=_length(snapshot, unit),
            checkpoints=len(snapshot._core.series()),
            unit=unit,
            unfollowed=int(snapshot.notes.get(_UNFOLLOWED, 0)),
        )
    finally:
        _core.quiet(before)


def _length(snapshot: Snapshot, unit: str) -> float:
    if unit == "second":
        return snapshot.facts["duration_ns"] / 1e9
    series = snapshot._core.series()
    return series[-1][0] if series else 0.0


# ---- the objects behind them --------------------------------------------------------------------


def explain_stacks(stacks: list[int]) -> tuple[list[tuple], int]:
    """For each call stack (objects, owners, retained bytes, position of the stack it is part
    of or -1, {type: objects}, [Holder]), and the number of references that could not be
    followed. RuntimeError when not tracing, MemoryError."""
    rows, unfollowed = _core.heap_explain(tuple(stacks), _OWN)
    return [
        (
            objects,
            owners,
            retained,
            part_of,
            _count_by_name(types),
            [Holder(path, count, root, detail) for path, detail, count, root in holders],
        )
        for objects, owners, _, _, retained, part_of, types, holders in rows
    ], unfollowed


def _count_by_name(types: list[tuple]) -> dict[str, int]:
    """Types of one name are told apart by C where they are of different kinds."""
    counts: dict[str, int] = {}
    for name, count, _ in sorted(types, key=_type_rank):
        counts[name] = counts.get(name, 0) + count
    return counts


def _is_own(name: str) -> bool:
    """Is a type neither Python's own nor the standard library's?"""
    module = name.rpartition(".")[0].partition(".")[0]
    return bool(module) and module not in sys.stdlib_module_names


def _type_rank(row: tuple) -> int:
    """Of about as many objects the program's classes come first."""
    name, count, _ = row
    return -count * (10 if _is_own(name) else 9)


def _explain(snapshot: Snapshot, stacks: list[int]) -> None:
    """Keep in the snapshot's note, for its profile, what its stacks are."""
    found = []
    rows, unfollowed = explain_stacks(stacks)
    for stack, row in zip(stacks, rows):
        *numbers, part_of, types, holders = row
        above = stacks[part_of] if part_of >= 0 else -1
        kept = [tuple(holder) for holder in holders[:_HOLDERS_AT_MOST]]
        found.append((stack, *numbers, above, types, kept))
    text = f"{_UNFOLLOWED}={unfollowed}\n{_NOTE}={found!r}"
    line = text.encode("utf-8", "surrogateescape")
    snapshot._core.set_note(snapshot._core.note().rstrip(b"\n") + b"\n" + line)


def _add_explained(leaks: list[Leak], snapshot: Snapshot) -> list[Leak]:
    text = snapshot.notes.get(_NOTE)
    if text is None:
        return leaks
    from ast import literal_eval

    found = {row[0]: row[1:] for row in literal_eval(text)}
    result = []
    for leak in leaks:
        if leak.stack in found:
            objects, owners, retained, above, types, holders = found[leak.stack]
            leak = leak._replace(
                objects=objects,
                owners=owners,
                retained_bytes=retained,
                part_of=above if above >= 0 else None,  # a stack, until they are arranged
                types=types,
                holders=tuple(Holder(*holder) for holder in holders),
            )
        result.append(leak)
    return result


def _tell_tables(leaks: list[Leak]) -> tuple[list[Leak], dict[int, Leak]]:
    """Leaks, and by stack what is none: a container that was resized is a leak only if what it
    holds is one."""
    kept, others = [], {}
    for leak in leaks:
        if leak.verdict == _STEPWISE:
            unknown = leak.objects is None
            is_table = unknown or (leak.owners and _CONTAINERS.issuperset(leak.types))
            if is_table and leak.part_of is None:
                others[leak.stack] = leak._replace(verdict="flat", points=())
                continue
            leak = leak._replace(verdict=STEADY)
        kept.append(leak)
    return kept, others


# ---- in which order ---------------------------------------------------------------------------


def _weight(leak: Leak) -> int:
    return leak.live_bytes if leak.retained_bytes is None else leak.retained_bytes


def _is_telling(leak: Leak) -> bool:
    """Are there objects among them of a class that is not Python's own?"""
    return bool(leak.objects) and any(map(_is_own, list(leak.types)[:3]))


def _group_weight(group: list[Leak]) -> int:
    """What the outermost hold; the program's own classes say more than others."""
    return max(map(_weight, group)) * (2 if any(map(_is_telling, group)) else 1)


def _arrange(leaks: list[Leak]) -> tuple[Leak, ...]:
    """What belongs together behind each other: first the objects that tell most (of a class of
    the program's, else those that hold the others), then such objects or the largest part, then
    the rest."""
    groups: dict[int, list[Leak]] = {}
    for leak in leaks:
        above = leak.stack if leak.part_of is None else leak.part_of
        groups.setdefault(above, []).append(leak)
    arranged: list[Leak] = []
    for group in sorted(groups.values(), key=_group_weight, reverse=True):
        group.sort(key=lambda leak: (not leak.objects, leak.part_of is not None, -_weight(leak)))
        outermost = max(map(_weight, group))
        telling = [leak for leak in group if _is_telling(leak)]
        heavy = [leak for leak in telling if _weight(leak) * 2 >= outermost]
        head = heavy[0] if heavy else group[0]
        rest = [leak for leak in group if leak is not head]
        second = max(rest, key=lambda leak: leak.live_bytes, default=None)
        if telling and not heavy:
            second = telling[0]
        rest.sort(key=lambda leak: (leak is not second, -_weight(leak)))
        position = len(arranged)
        arranged.append(head._replace(part_of=None))
        arranged += [leak._replace(part_of=position) for leak in rest]
    return tuple(arranged)
