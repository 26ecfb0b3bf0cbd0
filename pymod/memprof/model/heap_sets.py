"""Sets of the objects of one heap, by type, module and allocation site; who holds them.

A heap is one pass over all objects (lib/graph/heap.h), kept as numbers: it holds no reference,
and no method of any object is called.
"""

from __future__ import annotations

from collections import namedtuple

from .. import _core
from ..quiet import OWN_FOLDER
from . import units
from .frames import Traceback
from .leaks import Holder


class Part(namedtuple("Part", "name objects bytes set")):
    """One part of a HeapSet: ``name`` is a type, a module or a Traceback (None: not traced)."""

    __slots__ = ()


class Holders(namedtuple("Holders", "objects retained_bytes holders")):
    """``holders`` are Holder, most objects first: shortest paths from the roots."""

    __slots__ = ()

    def __str__(self) -> str:
        lines = [
            f"{holder.detail}   {holder.objects:,} of {self.objects:,}" for holder in self.holders
        ]
        return "\n".join(lines) or "nobody"


class HeapSet:
    """A set of the objects of one heap(): ``len()``, ``&``, ``|``, ``-``.

    Sizes are bytes of the objects themselves with the buffers they own (list items, dict
    tables ...). Sets of different heaps do not mix (ValueError).
    """

    __slots__ = ("_heap", "_mask", "_sum")

    def __init__(self, core: _core.Heap, mask: bytes):
        self._heap = core
        self._mask = mask
        self._sum = core.sum(mask)

    # ---- what it is ----

    def __len__(self) -> int:
        return self._sum[0]

    @property
    def size(self) -> int:
        """Bytes of the objects of the set."""
        return self._sum[1]

    @property
    def unfollowed(self) -> int:
        """References of the whole heap that could not be followed, because a C type's
        tp_traverse reported pointers that are none."""
        return self._heap.facts()["bad_pointers"]

    def __bool__(self) -> bool:
        return bool(self._sum[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeapSet):
            return NotImplemented
        return self._heap is other._heap and self._mask == other._mask

    __hash__ = None  # as other sets

    def __repr__(self) -> str:
        return f"<HeapSet of {len(self):,} objects, {units.size(self.size)}>"

    def __str__(self) -> str:
        lines = [repr(self)[1:-1]]
        for part in self.by_type[:10]:
            lines.append(f"{units.size(part.bytes):>12} {part.objects:>10,}  {part.name}")
        return "\n".join(lines)

    # ---- algebra ----

    def _combine(self, other: HeapSet, operation) -> HeapSet:
        if self._heap is not other._heap:
            raise ValueError("these sets are of different heaps")
        ours, theirs = (int.from_bytes(mask, "little") for mask in (self._mask, other._mask))
        mask = operation(ours, theirs).to_bytes(len(self._mask), "little")
        return HeapSet(self._heap, mask)

    def __and__(self, other: HeapSet) -> HeapSet:
        if not isinstance(other, HeapSet):
            return NotImplemented
        return self._combine(other, lambda a, b: a & b)

    def __or__(self, other: HeapSet) -> HeapSet:
        if not isinstance(other, HeapSet):
            return NotImplemented
        return self._combine(other, lambda a, b: a | b)

    def __sub__(self, other: HeapSet) -> HeapSet:
        if not isinstance(other, HeapSet):
            return NotImplemented
        return self._combine(other, lambda a, b: a & ~b)

    # ---- parts ----

    def _parts(self, by: str) -> list[Part]:
        rows = self._heap.partition(self._mask, by)
        rows.sort(key=lambda row: -row[3])
        result = []
        for key, name, objects, size in rows:
            shown = Traceback(name) if isinstance(name, tuple) else name
            result.append(Part(shown, objects, size, _Later(self, by, key)))
        return result

    @property
    def by_type(self) -> list[Part]:
        """Parts by qualified type name, the largest first."""
        return self._parts("type")

    @property
    def by_module(self) -> list[Part]:
        """Parts by the module of the type, the largest first."""
        return self._parts("module")

    @property
    def by_site(self) -> list[Part]:
        """Parts by allocation site (a Traceback), the largest first; what was allocated
        before the trace, or without one, is the part named None."""
        return self._parts("site")

    def of_type(self, name: str) -> HeapSet:
        """The objects whose type has this qualified name, as ``app.Session`` or ``dict``."""
        result = HeapSet(self._heap, bytes(len(self._mask)))
        for part in self.by_type:
            if part.name == name:
                result = result | part.set()
        return result

    # ---- relations ----

    @property
    def referrers(self) -> HeapSet:
        """What refers to objects of the set."""
        return HeapSet(self._heap, self._heap.referrers(self._mask))

    @property
    def referents(self) -> HeapSet:
        """What objects of the set refer to."""
        return HeapSet(self._heap, self._heap.referents(self._mask))

    @property
    def retained(self) -> HeapSet:
        """What would be free without the set, itself included: ``.retained.size`` bytes."""
        return HeapSet(self._heap, self._heap.retained(self._mask))

    @property
    def dominators(self) -> HeapSet:
        """For each object the nearest one through which all paths to it go."""
        return HeapSet(self._heap, self._heap.dominators(self._mask))

    def shortest_paths(self) -> Holders:
        """Who holds the objects that are still there, from a new pass over the heap. An object
        that has been replaced by one of the same type at the same address is taken for it."""
        addresses, types = self._heap.addresses(self._mask)
        return find_holders(addresses, types)


class _Later:
    """The set of a part, made when it is called for."""

    __slots__ = ("_by", "_key", "_whole")

    def __init__(self, whole: HeapSet, by: str, key: int):
        self._whole, self._by, self._key = whole, by, key

    def __call__(self) -> HeapSet:
        whole = self._whole
        return HeapSet(whole._heap, whole._heap.pick(whole._mask, self._by, self._key))


def find_holders(addresses: bytes, types: bytes) -> Holders:
    """From a new pass over the heap: of the objects at addresses (and of types, 0: any), as 64-bit
    numbers behind each other. MemoryError."""
    row = _core.heap_holders(addresses, types, OWN_FOLDER)
    objects, retained, holders = row[0], row[4], row[7]
    return Holders(
        objects,
        retained,
        [Holder(path, count, root, detail) for path, detail, count, root in holders],
    )
