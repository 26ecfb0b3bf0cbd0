"""Passes over the objects of this process: what there is, and who holds it."""

from __future__ import annotations

import gc
from array import array

from .. import _core
from ..model.heap_sets import HeapSet, Holders, find_holders
from ..quiet import OWN_FOLDER


def heap() -> HeapSet:
    """All objects of this interpreter, garbage that waits for the collector left out as far as
    a collection now can, memprof's own left out. MemoryError."""
    gc.collect()
    core = _core.heap(OWN_FOLDER)
    return HeapSet(core, core.all())


def who_holds(*objects: object) -> Holders:
    """Who holds objects: the shortest path from a module, a thread, a running frame ... to each,
    those that are held alike in one line, and the bytes that would be free without them.

    >>> print(memprof.who_holds(session))
    app._sessions['by-id'] (dict) -> list[0] -> Session   1 of 1

    What only the caller's own variables hold is held by its frame. MemoryError.
    """
    addresses = array("Q", map(id, objects)).tobytes()
    return find_holders(addresses, bytes(len(addresses)))
