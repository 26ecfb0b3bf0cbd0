"""The object graph: its edges are the collector's, its paths are true, and nothing of the
program's own code is called."""

from __future__ import annotations

import array
import collections
import contextvars
import gc
import random
import sys
import threading
import types

import memprof
import pytest
from heap_helpers import OWN, Item, Slotted, holders_of, only_path
from memprof import _core

# ---- edges -------------------------------------------------------------------------------------


def test_edges_are_those_of_the_collector():
    gc.collect()
    objects = [item for item in gc.get_objects() if type(item).__name__ != "frame"]
    sample = random.Random(5).sample(objects, 60)
    del objects
    for item in sample:
        found = _core.heap_referents(item)
        if item is sample:
            continue
        expected = sorted(map(id, gc.get_referents(item)))
        assert found is not None
        if isinstance(item, type):  # with the dict of its subclasses, which is not told of
            assert set(expected) <= set(found[1]) and len(found[1]) <= len(expected) + 1
        elif isinstance(item, types.CodeType):  # known to the collector where there is no GIL
            assert set(expected) <= set(found[1])
        elif isinstance(item, dict):  # with its keys, which are not told of when all are str
            assert set(found[1]) == {*expected, *map(id, dict.keys(item))}
        else:  # and fields for what makes no cycles, of which the traverse function is silent
            assert set(expected) <= set(found[1]), type(item)
            assert len(found[1]) <= len(expected) + 3, type(item)


@pytest.mark.parametrize(
    "item",
    [
        {"a": [1.5], 2: ("x",)},
        [object()],
        (object(), [1]),
        {frozenset([1])},
        collections.deque([[1], [2]]),
        Item([1]),
        lambda: None,
        Item,
        sys,
        contextvars.copy_context(),
        memoryview(bytearray(3)),
        ValueError("x"),
        iter([1]),
        property(lambda self: 1),
        collections.OrderedDict(a=1),
        collections.defaultdict(list),
    ],
    ids=lambda item: type(item).__name__,
)
def test_edges_of_each_kind(item):
    _, addresses = _core.heap_referents(item)
    keys = map(id, item) if isinstance(item, dict) else ()  # not told of when all are str
    expected = {*map(id, gc.get_referents(item)), *keys}
    assert expected <= set(addresses) and len(addresses) <= len(expected) + 1


@pytest.mark.parametrize(
    "item",
    [
        "text",
        "t\xe9xt",
        "\u65e5\u672c" * 9,
        "\U0001f600",
        b"bytes" * 7,
        0,
        1,
        2**100,
        -(2**70),
        1.5,
        3j,
        (1, 2, 3),
        [],
        object(),
        Slotted(),
        range(3),
        frozenset(range(50)),
        set(range(99)),
        bytearray(b"x" * 1000),
        {n: n for n in range(100)},
        {str(n): n for n in range(1000)},
    ],
    ids=lambda item: f"{type(item).__name__}-{sys.getsizeof(item)}",
)
def test_size_of_untraced_objects_is_that_of_sys(item):
    found = _core.heap_referents(item)
    if found is not None:
        assert found[0] == pytest.approx(sys.getsizeof(item), abs=16)


@pytest.mark.parametrize("kind", [bytearray, type("Derived", (bytearray,), {})])
def test_memory_of_a_bytearray_is_its_own(kind):
    memprof.start()
    try:
        item, empty = kind(1_000_000), kind()
        item.extend(b"x" * 1_000_000)
        (size, found), (small, _) = _core.heap_referents(item), _core.heap_referents(empty)
        assert size == pytest.approx(sys.getsizeof(item), abs=2000)
        assert small == pytest.approx(sys.getsizeof(empty), abs=512)  # a dict may be among it
        assert sorted(found) == sorted(map(id, gc.get_referents(item)))
    finally:
        memprof.stop()


# ---- paths ---------------------------------------------------------------------------------------

HELD = {"by-id": [Item(n) for n in range(50)], 3: [Item()], b"k": Item(), None: Item(), 2.5: Item()}
HEAD = f"{__name__}.HELD"


def test_many_objects_held_alike_are_one_path():
    assert only_path(*HELD["by-id"]) == (f"{HEAD}['by-id'] -> list[..] -> Item", "module")


def make_anew(*bases):
    class Local(*bases):
        pass

    return Local


def test_classes_of_one_name_are_not_told_apart():
    global SCHEMAS
    SCHEMAS = [make_anew()() for _ in range(30)] + [make_anew(bytes)() for _ in range(20)]
    try:
        name = f"{__name__}.make_anew.<locals>.Local"
        assert only_path(*SCHEMAS[:30])[0] == f"{__name__}.SCHEMAS[..] -> make_anew.<locals>.Local"
        parts = [part for part in memprof.heap().by_type if part.name == name]
        assert [(part.objects, len(part.set())) for part in parts] == [(50, 50)]
    finally:
        del SCHEMAS


def test_keys_are_shown_as_literals():
    assert only_path(HELD[3][0])[0] == f"{HEAD}[3] -> list[0] -> Item"
    assert only_path(HELD[b"k"])[0] == f"{HEAD}[b'k'] -> Item"
    assert only_path(HELD[None])[0] == f"{HEAD}[None] -> Item"
    assert only_path(HELD[2.5])[0] == f"{HEAD}[..] -> Item"


def test_class_attribute():
    Item.kept["k"] = Item()
    assert only_path(Item.kept["k"]) == (f"{Item.__module__}.Item.kept['k'] -> Item", "class")


SLOTTED = Slotted()
SLOTTED.right = Item()
INSTANCE = Item()
INSTANCE.child = Item()
WITH_DICT = Item()
WITH_DICT.child = Item()
vars(WITH_DICT)["more"] = 1


def test_attributes():
    assert only_path(SLOTTED.right)[0] == f"{__name__}.SLOTTED.right -> Item"
    assert only_path(INSTANCE.child)[0] == f"{__name__}.INSTANCE.child -> Item"
    assert only_path(WITH_DICT.child)[0] == f"{__name__}.WITH_DICT.child -> Item"


def make_closure(payload):
    return lambda: payload


def with_default(item=Item(), *, other=Item()):
    return item, other


CLOSURE = make_closure(Item())


def test_functions():
    held = CLOSURE.__closure__[0].cell_contents
    assert only_path(held)[0] == f"{__name__}.CLOSURE closure payload -> Item"
    assert (
        only_path(with_default.__defaults__[0])[0]
        == f"{__name__}.with_default default item -> Item"
    )
    other = with_default.__kwdefaults__["other"]
    assert only_path(other)[0] == f"{__name__}.with_default default other -> Item"


def suspended():
    kept = Item()
    yield kept


GENERATOR = suspended()
YIELDED = [id(next(GENERATOR))]


def test_suspended_generator():
    addresses = array.array("Q", YIELDED).tobytes()
    found = _core.heap_holders(addresses, bytes(8), OWN)
    assert found[7][0][0] == f"{__name__}.GENERATOR local kept -> Item"
    assert found[7][0][3] == "suspended frame"


def test_running_frame():
    local_item = Item()
    path, root = only_path(local_item)
    assert root == "frame"
    assert path == "test_running_frame() local local_item -> Item"


def test_running_frame_of_another_thread():
    ready, done = threading.Event(), threading.Event()
    addresses = []

    def worker():
        hidden_item = Item()
        addresses.append(id(hidden_item))
        ready.set()
        done.wait(60)

    thread = threading.Thread(target=worker)
    thread.start()
    ready.wait(60)
    found = _core.heap_holders(array.array("Q", addresses).tobytes(), bytes(8), OWN)
    done.set()
    thread.join()
    assert found[7][0][0].endswith("worker() local hidden_item -> Item")


LOCAL = threading.local()
VARIABLE = contextvars.ContextVar("request")


def test_thread_local_and_context():
    LOCAL.items = [Item()]
    path, root = only_path(LOCAL.items[0])
    assert root == "thread-local" and path.endswith(".items -> list[0] -> Item")
    VARIABLE.set([Item()])
    path, root = only_path(VARIABLE.get()[0])
    assert (path, root) == ("context variable request[0] -> Item", "context")


class Node:
    def __init__(self, next_node):
        self.next = next_node


def test_chain_of_100_000_is_folded():
    global CHAIN
    CHAIN = None
    for _ in range(100_000):
        CHAIN = Node(CHAIN)
    last = CHAIN
    while last.next is not None:
        last = last.next
    retained, holders = holders_of(last)
    ((path, _),) = holders.items()
    assert "..." in path and path.endswith("-> Node") and len(path) < 200
    retained, _ = holders_of(CHAIN)
    assert retained >= 100_000 * 48
    last = None
    while CHAIN is not None:  # without recursion in dealloc
        CHAIN = CHAIN.next


def test_retained_is_what_would_be_free():
    shared = [0] * 1000
    global PAIR
    PAIR = [Item(shared, [1] * 500), Item(shared)]
    del shared
    one, _ = holders_of(PAIR[1])
    both, _ = holders_of(*PAIR)
    assert one < 1000
    assert both > 8 * 1500
    del PAIR


def test_cycle_that_waits_for_the_collector():
    def make():  # in a frame that ends: a slot of its stack may keep a stale address
        item = Item()
        item.me = item
        return id(item)

    gc.disable()
    try:
        address = make()
        found = _core.heap_holders(array.array("Q", [address]).tobytes(), bytes(8), OWN)
    finally:
        gc.enable()
    assert found[7][0][3] == "nothing"
