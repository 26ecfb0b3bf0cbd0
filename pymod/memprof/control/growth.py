"""Which call stacks grow through a whole run, and what the objects are that they leave behind.

Types, holders and retained sizes come from one pass over the heap while the program's objects are
still there.
"""

from __future__ import annotations

from .. import _core
from ..model import leaks
from ..model.frames import Traceback
from ..model.leaks import Growth, Holder, Leak
from ..model.snapshot import Snapshot
from ..quiet import OWN_FOLDER, quiet

_GROWING = (leaks.STEADY, leaks.STEPWISE)
_NOTE = "explained"  # of profiles from before there was a section for it
_UNFOLLOWED = "unfollowed"  # of those, too
_EXPLAINED_AT_MOST = 200  # leaks
_HOLDERS_AT_MOST = 20  # of one leak
_SHOWN = 10


class LeakReport(Growth):
    __doc__ = Growth.__doc__
    __slots__ = ()

    def __str__(self) -> str:
        from ..views import leak_report

        lines = leak_report.lines(self, _SHOWN)
        return "\n".join("".join(part for part, _ in line) for line in lines)


def find_growth(snapshot: Snapshot, *, explain: bool = False) -> LeakReport:
    """Judge a snapshot that has a series (``start(series=True)`` and the end of the run, or
    a profile written by ``--leaks``).

    ``explain``: find the objects behind the leaks, by one pass over the heap of this process:
    for a snapshot of a trace that is still under way. What was explained is kept in the
    snapshot, and in its profile. MemoryError.
    """
    with quiet:
        too_short, judgements = snapshot._core.growth()
        judged = [
            Leak(Traceback(row[0]), *row[1:-2], tuple(row[-2]), row[-1]) for row in judgements
        ]
        grown = [leak for leak in judged if leak.verdict in _GROWING]
        if explain and grown:
            _explain(snapshot, [leak.stack for leak in grown[:_EXPLAINED_AT_MOST]])
        unfollowed, rows = _explained(snapshot)
        grown, others = leaks.tell_tables(_add_explained(grown, rows))
        unit = snapshot.notes.get("unit", "second")
        return LeakReport(
            too_short=too_short,
            leaks=leaks.arrange(grown),
            still_alive=tuple(
                others.get(leak.stack, leak)
                for leak in judged
                if leak.verdict not in _GROWING or leak.stack in others
            ),
            seconds=_length(snapshot, unit),
            checkpoints=len(snapshot._core.series()),
            unit=unit,
            unfollowed=unfollowed,
        )


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
    rows, unfollowed = _core.heap_explain(tuple(stacks), OWN_FOLDER)
    return [
        (
            objects,
            owners,
            retained,
            part_of,
            leaks.count_by_name(types),
            [Holder(path, count, root, detail) for path, detail, count, root in holders],
        )
        for objects, owners, _, _, retained, part_of, types, holders in rows
    ], unfollowed


def _explain(snapshot: Snapshot, stacks: list[int]) -> None:
    """Keep in the snapshot, for its profile, what its stacks are."""
    kept = []
    rows, unfollowed = explain_stacks(stacks)
    for stack, row in zip(stacks, rows, strict=True):
        *numbers, part_of, types, holders = row
        above = stacks[part_of] if part_of >= 0 else -1
        kept.append((stack, *numbers, above, list(types.items()), holders[:_HOLDERS_AT_MOST]))
    snapshot._core.explain(unfollowed, kept)


def _explained(snapshot: Snapshot) -> tuple[int, list[tuple]]:
    """References that could not be followed, and for each leak that is explained (stack,
    objects, owners, retained bytes, stack it is part of or -1, types, holders)."""
    unfollowed, rows = snapshot._core.explained()
    text = snapshot.notes.get(_NOTE)
    if rows or text is None:
        return unfollowed, rows
    from ast import literal_eval

    return int(snapshot.notes.get(_UNFOLLOWED, 0)), literal_eval(text)


def _add_explained(grown: list[Leak], rows: list[tuple]) -> list[Leak]:
    found = {row[0]: row[1:] for row in rows}
    result = []
    for leak in grown:
        if leak.stack in found:
            objects, owners, retained, above, types, holders = found[leak.stack]
            leak = leak._replace(
                objects=objects,
                owners=owners,
                retained_bytes=retained,
                part_of=above if above >= 0 else None,  # a stack, until they are arranged
                types=dict(types),
                holders=tuple(Holder(*holder) for holder in holders),
            )
        result.append(leak)
    return result
