"""Asking the object graph; and classes whose objects it finds."""

from __future__ import annotations

import array

from conftest import PYMOD
from memprof import _core

OWN = str(PYMOD / "memprof")


def holders_of(*objects):
    """(bytes retained, {path: (objects, root)}) of objects."""
    addresses = array.array("Q", [id(item) for item in objects]).tobytes()
    found = _core.heap_holders(addresses, bytes(len(addresses)), OWN)
    return found[4], {path: (count, root) for path, _, count, root in found[7]}


def only_path(*objects):
    _, holders = holders_of(*objects)
    ((path, (count, root)),) = holders.items()
    assert count == len(objects)
    return path, root


class Item:
    kept: dict = {}

    def __init__(self, *data):
        self.data = data


class Slotted:
    __slots__ = ("left", "right")
