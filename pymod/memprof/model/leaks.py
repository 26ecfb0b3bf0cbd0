"""Leaks, growth, and the order in which they are told: plain data.

The verdicts are those of lib/analyse/growth.h; types, holders and retained sizes come from a pass
over the heap (lib/graph/leaks.h). What finds them is control/growth.
"""

from __future__ import annotations

import sys
from collections import namedtuple

STEADY = "steady"
STEPWISE = "stepwise"  # one block that was made larger: see lib/analyse/growth.h
_CONTAINERS = {"dict", "set", "list", "collections.deque", "collections.OrderedDict"}
_CONTAINERS |= {"collections.defaultdict", "collections.Counter"}


class Holder(namedtuple("Holder", "path objects root detail")):
    """Who holds ``objects`` of a leak's objects, by their shortest path from a root.

    ``path``: text, as ``app._sessions['by-id'] -> list[..] -> Session``; ``detail`` is the same
    with the type of the first container. ``root``: module, class, thread-local, context,
    frame, suspended frame, stack, atexit, interpreter (what it was given: codecs, hooks ...),
    C code, memprof, or nothing (garbage).
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


class Growth(
    namedtuple(
        "Growth",
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


# ---- types ---------------------------------------------------------------------------------------


def count_by_name(types: list[tuple]) -> dict[str, int]:
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


def tell_tables(leaks: list[Leak]) -> tuple[list[Leak], dict[int, Leak]]:
    """Leaks, and by stack what is none: a container that was resized is a leak only if what it
    holds is one."""
    kept, others = [], {}
    for leak in leaks:
        if leak.verdict == STEPWISE:
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


def arrange(leaks: list[Leak]) -> tuple[Leak, ...]:
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
