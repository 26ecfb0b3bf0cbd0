"""C types whose traverse function is wrong, or whose objects are smaller than it seems: no crash,
and what could not be followed is said."""

from __future__ import annotations

import ctypes
import datetime
import shlex
import subprocess
import sysconfig

import memprof
import pytest
from conftest import FREE_THREADED, ROOT, environment, run_plain
from heap_helpers import only_path

HELD = {}

PROGRAM = """
import gc, os, sys
gc.disable()
import memprof
from memprof import _core
from memprof.quiet import OWN_FOLDER
import wrong

class Item: pass
way = int(sys.argv[1])
if len(sys.argv) > 2:
    memprof.start()
kept = [wrong.Wrong.make(way, Item()) for _ in range(10)]
before = _core.heap(OWN_FOLDER).facts()
heap = _core.heap(OWN_FOLDER)
print(before["bad_pointers"], heap.facts()["bad_pointers"])
held = heap.partition(heap.all(), "type")
print([row[2] for row in held if row[1] in ("wrong.Wrong", "__main__.Item")])
item = gc.get_referents(kept[0])[-1] if way in (4,) else None
if item is not None:
    print(memprof.who_holds(item))
sys.stdout.flush()
os._exit(0)
"""

WILD, UNMAPPED, ODD, NO_OBJECT, TWICE, NOTHING, TYPE_IS_WILD = range(7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrong")
    command = [
        shlex.split(sysconfig.get_config_var("CC"))[0],
        "-std=c11",
        "-O1",
        "-fPIC",
        "-shared",
        "-isystem",
        sysconfig.get_path("include"),
        ROOT / "tests/extension/wrong.c",
        "-o",
        path / ("wrong" + sysconfig.get_config_var("EXT_SUFFIX")),
    ]
    subprocess.run(command, check=True)
    return path


@pytest.mark.skipif(FREE_THREADED, reason="the interpreter's own walk would not survive it")
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("way", "bad"),
    [
        (WILD, 10),
        (UNMAPPED, 10),
        (ODD, 10),
        (NO_OBJECT, 10),
        (TWICE, 0),
        (NOTHING, 0),
        (TYPE_IS_WILD, 10),
    ],
)
def test_pointers_are_checked(folder, way, bad, traced):
    env = environment(PYTHONPATH=f"{ROOT / 'pymod'}:{folder}")
    result = run_plain("-c", PROGRAM, str(way), *(["traced"] if traced else []), env=env)
    lines = result.stdout.splitlines()
    assert result.status == 0, result
    assert lines[0] == f"{bad} {bad}"
    counts = sorted(int(word) for word in lines[1].strip("[]").split(","))
    assert counts[-1] == 10
    if way != NOTHING:
        assert counts == [10, 10]


LEAKING = """
import gc, os, sys
gc.disable()
import memprof, wrong
class Item: pass
kept = []
def leak():
    kept.append(wrong.Wrong.make(0, Item()))
gc.collect = lambda: 0
print(memprof.find_leaks(leak))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(FREE_THREADED, reason="the interpreter's own walk would not survive it")
def test_report_says_what_could_not_be_followed(folder):
    env = environment(PYTHONPATH=f"{ROOT / 'pymod'}:{folder}")
    result = run_plain("-c", LEAKING, env=env)
    assert result.status == 0, result
    assert "references could not be followed" in result.stdout
    assert "__main__.Item" in result.stdout and "held   __main__.kept[..]" in result.stdout


def test_objects_smaller_than_their_type():
    """What is read beyond them, AddressSanitizer tells. A str owns its UTF-8, once somebody has
    asked for it; a datetime holds its time zone."""
    as_utf8 = ctypes.pythonapi.PyUnicode_AsUTF8
    as_utf8.restype, as_utf8.argtypes = ctypes.c_void_p, [ctypes.py_object]
    early = [datetime.datetime(2000, 1, 1 + n) for n in range(20)]
    memprof.start()
    try:
        HELD[5] = [chr(233) + chr(97 + n) * n for n in range(20)] + [chr(233) * 50_000]
        zone = datetime.timezone(datetime.timedelta(hours=1))
        HELD[6] = [datetime.datetime(2001, 1, 1, tzinfo=zone), *early, datetime.time(1, 2)]
        before = memprof.heap().of_type("str").size
        as_utf8(HELD[5][-1])
        assert 100_000 <= memprof.heap().of_type("str").size - before < 101_000
        assert only_path(zone)[0] == f"{__name__}.HELD[6] -> list[0] -> datetime -> timezone"
    finally:
        memprof.stop()
        del HELD[5], HELD[6]
