"""A C program that starts and ends the interpreter several times, with memprof in it."""

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import memprof
import pytest
from conftest import ROOT, environment, run


def options_to_link() -> list[str]:
    """As ``python3-config --embed --ldflags`` says, which not every Python has."""
    get = sysconfig.get_config_var
    folders = [folder for folder in (get("LIBDIR"), get("LIBPL")) if folder]
    name = get("LDLIBRARY") if get("Py_ENABLE_SHARED") else get("LIBRARY")
    library = next((str(Path(f, name)) for f in folders if Path(f, name).exists()), None)
    if library is None:
        pytest.skip(f"no {name} to link with")
    words = shlex.split(f"{get('LIBS') or ''} {get('SYSLIBS') or ''} {get('LINKFORSHARED') or ''}")
    return [library, *words, f"-Wl,-rpath,{Path(library).parent}"]


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    program = tmp_path_factory.mktemp("embedding") / "twice"
    source = ROOT / "tests" / "embedding" / "twice.c"
    include = sysconfig.get_path("include")
    command = ["gcc", "-Wall", "-Werror", "-isystem", include, source, "-o", program, "-pthread"]
    subprocess.run([*command, *options_to_link()], check=True)
    return program


PRELUDE = """
import gc, os, sys, threading, memprof
from memprof import _core

def storm(n=300):
    kept = [bytearray(size) for size in range(0, 3 * n, 3)] + [object() for _ in range(n)]
    kept += [{i: str(i)} for i in range(n)] + [lambda: kept, (n,) * 30, set(range(n))]
    del kept[::2]
    return kept

def check():
    assert _core.check() is None, _core.check()
    snapshot = memprof.take_snapshot()
    assert sum(row.size for row in snapshot.statistics("stack")) == snapshot.traced_memory[0]

def is_seen():
    kept = [bytes(777_000)]
    rows = memprof.take_snapshot().statistics("function", metric="live")
    return any(row.size > 777_000 and row.traceback[-1].function == "is_seen" for row in rows)

"""
STOPPED = PRELUDE + "memprof.start(); kept = storm(); check(); assert is_seen(); memprof.stop()"
LEFT_ON = PRELUDE + "memprof.start(); kept = storm(); check(); assert is_seen()"
SERIES = PRELUDE + "memprof.start(series=True, checkpoint=0.01); kept = storm(); assert is_seen()"
LINES = (
    PRELUDE
    + """
from memprof.control.line_profiler import LineProfiler

def counted(n):
    for _ in range(n): kept = bytes(967)

prof = LineProfiler()
prof.add_function(counted)
with prof:
    counted(100)
row = prof.rows()[-1]
assert row["hits"] == 101 and row["allocated"] >= 100_000, row
wrapped = prof(counted)  # keeps a paused trace
wrapped(100)
prof.enable()  # for good
counted(100)
assert prof.rows()[-1]["hits"] == 303
"""
)
NOT_USED = "kept = [bytes(n) for n in range(1000)]"


@pytest.mark.parametrize(
    "sources",
    [
        [STOPPED, STOPPED],
        [LEFT_ON, LEFT_ON, LEFT_ON],
        [LEFT_ON, NOT_USED, STOPPED],
        [STOPPED, NOT_USED],
        [SERIES, SERIES, LEFT_ON],
        [NOT_USED, LEFT_ON, STOPPED],
        [LINES, LINES, LEFT_ON, LINES],
    ],
    ids=["stopped", "left on", "left on once", "stopped once", "series", "later", "lines"],
)
def test_interpreters_one_after_the_other(twice, sources):
    result = run([twice, sys._base_executable, *sources], env=environment(PYTHONMALLOC="default"))
    assert (result.stdout, result.stderr, result.status) == ("over\n", "", 0)


def test_snapshot_of_each(twice, tmp_path):
    source = PRELUDE.replace("{", "{{").replace("}", "}}")
    source += "memprof.start(); keep = storm(); memprof.take_snapshot().dump({!r})"
    paths = [str(tmp_path / name) for name in ("first", "second")]
    result = run([twice, sys._base_executable, *map(source.format, paths)])
    assert (result.stdout, result.stderr, result.status) == ("over\n", "", 0)
    for snapshot in map(memprof.Snapshot.load, paths):
        assert "storm" in {row.traceback[0].function for row in snapshot.statistics("function")}
        assert snapshot.facts["lost"] == 0
