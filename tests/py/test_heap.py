"""The object graph: its edges are the collector's, its paths are true, and nothing of the
program's own code is called."""

from __future__ import annotations

import array
import collections
import contextvars
import gc
import io
import random
import sys
import threading
import types

import pytest
from conftest import PYMOD, run_plain

import memprof
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
        {"a": [1.5], 2: ("x",)}, [object()], (object(), [1]), {frozenset([1])},
        collections.deque([[1], [2]]), Item([1]), lambda: None, Item, sys,
        contextvars.copy_context(), memoryview(bytearray(3)), ValueError("x"), iter([1]),
        property(lambda self: 1), collections.OrderedDict(a=1), collections.defaultdict(list),
    ],
    ids=lambda item: type(item).__name__,
)  # fmt: skip
def test_edges_of_each_kind(item):
    _, addresses = _core.heap_referents(item)
    keys = map(id, item) if isinstance(item, dict) else ()  # not told of when all are str
    expected = {*map(id, gc.get_referents(item)), *keys}
    assert expected <= set(addresses) and len(addresses) <= len(expected) + 1


@pytest.mark.parametrize(
    "item",
    [
        "text", "t\xe9xt", "\u65e5\u672c" * 9, "\U0001f600", b"bytes" * 7, 0, 1, 2**100, -(2**70), 1.5,
        3j, (1, 2, 3), [], object(), Slotted(), range(3), frozenset(range(50)), set(range(99)),
        bytearray(b"x" * 1000), {n: n for n in range(100)}, {str(n): n for n in range(1000)},
    ],
    ids=lambda item: f"{type(item).__name__}-{sys.getsizeof(item)}",
)  # fmt: skip
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
    assert only_path(Item.kept["k"]) == (f"{__name__}.Item.kept['k'] -> Item", "class")


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
    assert only_path(with_default.__defaults__[0])[0] == f"{__name__}.with_default default item -> Item"
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
        done.wait(10)

    thread = threading.Thread(target=worker)
    thread.start()
    ready.wait(10)
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


# ---- objects that must not be touched --------------------------------------------------------------

HOSTILE = """
import array, gc, sys
from memprof import _core

def boom(*args, **kwargs):
    raise SystemError("called")

class Meta(type):
    __getattribute__ = lambda *args: boom()
    __hash__ = boom
    __eq__ = boom
    __repr__ = boom
    __instancecheck__ = boom

class Key(str):
    __hash__ = str.__hash__

class Liar(metaclass=Meta):
    __class__ = property(boom)
    __repr__ = __str__ = __eq__ = __len__ = __getattr__ = __getattribute__ = boom
    __sizeof__ = __reduce__ = __iter__ = __del__ = boom
    __hash__ = object.__hash__

kept = {"a": Liar.__new__(Liar) if False else object.__new__(Liar)}
address = array.array("Q", [id(kept["a"])]).tobytes()
found = _core.heap_holders(address, bytes(8), "")
print(found[7][0][0], found[6])
sys.stdout.flush()
import os
os._exit(0)
"""


def test_no_code_of_the_program_is_called():
    result = run_plain("-c", HOSTILE)
    assert result.stdout.startswith("__main__.kept['a'] -> Liar"), result


DYING = """
import gc
from memprof import _core, start
start()

class Dying:
    seen = []
    def __del__(self):
        self.seen.append(_core.heap_referents(self) is not None)

for _ in range(20):
    d = Dying(); d.me = d; d.more = [d]
    del d
    Dying()
gc.collect()
print(all(Dying.seen), len(Dying.seen))
class New:
    def __new__(cls):
        self = object.__new__(cls)
        _core.heap_referents(self)
        _core.heap_referents(tuple(_core.heap_referents([]) for _ in range(2)))
        return self
New()
print("alive")
"""


def test_half_built_and_dying_objects():
    result = run_plain("-c", DYING)
    assert (result.stdout, result.status) == ("True 40\nalive\n", 0), result


def test_lack_of_memory_is_an_error_and_nothing_else():
    item = [Item()]
    for n in range(1, 40):
        _core.fail_nth(n)
        try:
            found = holders_of(item[0])
        except MemoryError:
            found = None
        finally:
            _core.fail_nth(0)
        if found is not None:
            break
    assert n > 10 and found is not None


def test_other_threads_allocate_meanwhile():
    stop = threading.Event()

    def churn():
        kept = []
        while not stop.is_set():
            kept.append([object(), {}, "x" * 100])
            if len(kept) > 100:
                kept.clear()

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            assert only_path(HELD[3][0])[0] == f"{HEAD}[3] -> list[0] -> Item"
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def write_lines(buffer):
    for number in range(50):
        buffer.write(f"line {number}" * 40)


def test_what_a_text_buffer_has_written_is_its_own():
    """Its traverse function is silent about it, and the writer of later versions is no object."""
    global TRANSCRIPT
    memprof.start()
    try:
        other = io.StringIO()  # CPython may have one writer left, which the trace does not know
        TRANSCRIPT = io.StringIO()
        write_lines(TRANSCRIPT)
        gc.collect()
        sites = [part for part in memprof.heap().by_site if part.name]
        written = [part.set() for part in sites if part.name[-1].function == "write_lines"]
        paths = [holder.path for part in written for holder in part.shortest_paths().holders]
        assert paths and all(path.startswith(f"{__name__}.TRANSCRIPT -> ") for path in paths), paths
        assert other.getvalue() == ""
    finally:
        memprof.stop()
        del TRANSCRIPT


def test_keys_and_hidden_bytes_have_holders():
    memprof.start()
    try:
        HELD[4] = {f"key {n}": io.BytesIO(bytes([n]) * 500) for n in range(20)}
        texts = holders_of(*HELD[4])[1]
        assert texts == {f"{HEAD}[4] -> dict key -> str": (20, "module")}
        values = [item.getvalue() for item in HELD[4].values()]  # the very bytes
        addresses = array.array("Q", map(id, values)).tobytes()
        del values
        rows = _core.heap_holders(addresses, bytes(len(addresses)), OWN)[7]
        assert [(row[0], row[2]) for row in rows] == [(f"{HEAD}[4] -> dict[..] -> BytesIO -> bytes", 20)]
    finally:
        memprof.stop()
        del HELD[4]


def test_pass_does_not_keep_objects_alive():
    """What dies in a thread while passes are made dies there, at once."""
    stop, wrong = threading.Event(), []

    class Mortal:
        def __init__(self):
            self.me, self.more = threading.get_ident(), [object()]

        def __del__(self):
            alive.discard(id(self))
            if threading.get_ident() != self.me:
                wrong.append("another thread")

    alive = set()

    def churn():
        while not stop.is_set():
            mortals = [Mortal() for _ in range(200)]
            alive.update(map(id, mortals))
            del mortals
            if alive:
                wrong.append("still alive")
                alive.clear()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(30):
            _core.heap(OWN)
    finally:
        stop.set()
        thread.join()
    assert not wrong
