"""Making the object graph touches nothing: no code of the program runs, no reference stays."""

from __future__ import annotations

import array
import gc
import io
import threading

import memprof
from conftest import run_plain
from heap_helpers import OWN, Item, holders_of, only_path
from memprof import _core

HELD = {"by-id": [Item(n) for n in range(50)], 3: [Item()]}
HEAD = f"{__name__}.HELD"

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
        assert [(row[0], row[2]) for row in rows] == [
            (f"{HEAD}[4] -> dict[..] -> BytesIO -> bytes", 20)
        ]
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
