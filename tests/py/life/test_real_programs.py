"""Programs that nobody here wrote: the same output and exit status, and no trace lost."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import memprof
import pytest
from conftest import PROGRAMS, ROOT, Result, run_at_once, run_plain, run_traced

TOOLZ = "toolz==1.0.0"  # its wheel contains its tests


def run_compared(tmp_path, *words, folders=(None, None), options=(), **how):
    """Run plainly and traced, perhaps in folders of the same content: plain result, traced
    result, profiles of all processes."""
    path = tmp_path / "profiles" / "run.mprof"
    path.parent.mkdir()
    plain, traced = run_at_once(
        lambda: run_plain(*words, cwd=folders[0], timeout=120, **how),
        lambda: run_traced(
            *words, memprof=("-q", "-o", path, *options), cwd=folders[1], timeout=120, **how
        ),
    )
    return plain, traced, {file: memprof.Snapshot.load(file) for file in path.parent.iterdir()}


def assert_nothing_lost(profiles) -> None:
    for snapshot in profiles.values():
        assert snapshot.facts["lost"] == 0
        assert snapshot.facts["total_blocks"] > 1000
        live = sum(row.size for row in snapshot.statistics("file"))
        assert live == snapshot.facts["traced"] <= snapshot.facts["peak"]


# ---- json.tool on a large file -----------------------------------------------------------


def make_value(rng: random.Random, depth: int):
    if depth == 0:
        return rng.choice([rng.random(), rng.randrange(10**9), "é" + "x" * rng.randrange(30), None])
    if rng.random() < 0.5:
        return [make_value(rng, depth - 1) for _ in range(rng.randrange(2, 7))]
    return {f"key {n}": make_value(rng, depth - 1) for n in range(rng.randrange(2, 7))}


@pytest.fixture(scope="module")
def large_json(tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "large.json"
    rng = random.Random(0)
    path.write_text(json.dumps([make_value(rng, 5) for _ in range(100)]), "utf-8")
    assert path.stat().st_size > 2_000_000
    return path


def test_json_tool(tmp_path, large_json):
    plain, traced, profiles = run_compared(tmp_path, "-m", "json.tool", "--sort-keys", large_json)
    assert plain.status == 0 and len(plain.stdout) > large_json.stat().st_size
    assert traced == plain
    assert_nothing_lost(profiles)
    (snapshot,) = profiles.values()
    assert snapshot.facts["peak"] > 3 * large_json.stat().st_size
    first = snapshot.statistics("file", metric="peak")[0]
    assert Path(first.traceback[-1].filename).parent.name == "json"


def test_json_tool_that_fails(tmp_path):
    (tmp_path / "bad.json").write_text('{"a": 1,}\n')
    plain, traced, _ = run_compared(tmp_path, "-m", "json.tool", tmp_path / "bad.json")
    assert plain.status == 1 and plain.stderr
    assert traced == plain


# ---- compileall on a part of the standard library ----------------------------------------


PACKAGES = ("asyncio", "concurrent", "ctypes", "email", "http", "importlib", "json", "logging")
PACKAGES += ("multiprocessing", "re", "unittest", "urllib", "xml")


@pytest.fixture
def copies(tmp_path):
    """Two folders with the same copy of a part of the standard library."""
    library = Path(os.__file__).parent
    folders = tmp_path / "plain", tmp_path / "traced"
    for folder in folders:
        for package in PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__", "test", "tests")
            shutil.copytree(library / package, folder / "library" / package, ignore=ignored)
        (folder / "library" / "broken.py").write_text("def broken(:\n")
        os.utime(folder / "library" / "broken.py", (0, 0))
    return folders


def hashes_of(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.pyc")
    }


@pytest.mark.parametrize("processes", ["1", "2"])
def test_compileall(tmp_path, copies, processes):
    words = ("-m", "compileall", "-j", processes, "library")
    plain, traced, profiles = run_compared(tmp_path, *words, folders=copies)
    assert plain.status == 1 and "broken.py" in plain.stdout  # one file does not compile
    assert traced.status == plain.status
    assert sorted(traced.stdout.splitlines()) == sorted(plain.stdout.splitlines())
    assert traced.stderr == plain.stderr
    compiled = hashes_of(copies[0])
    assert len(compiled) > 150
    assert hashes_of(copies[1]) == compiled
    assert_nothing_lost(profiles)


# ---- pytest on a package's own tests -----------------------------------------------------


@pytest.fixture(scope="module")
def toolz(tmp_path_factory):
    """Two folders with the package, from PyPI or from the last time."""
    cache = ROOT / "build" / "packages"
    if not list(cache.glob("toolz-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", cache, TOOLZ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{TOOLZ} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = cache.glob("toolz-*.whl")
    folders = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("traced")
    for folder in folders:
        zipfile.ZipFile(wheel).extractall(folder)
    return folders


def without_times(result: Result) -> Result:
    text = re.sub(r"in \d+\.\d+s|=+", "", result.stdout)
    return Result(re.sub(r"rootdir: .*", "", text), result.stderr, result.status)


def test_pytest_on_the_tests_of_toolz(tmp_path, toolz):
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-v", "toolz")
    plain, traced, profiles = run_compared(tmp_path, *words, folders=toolz)
    # on 3.14 and later toolz fails two or three of its own tests
    assert int(re.search(r"(\d+) passed", plain.stdout)[1]) >= 177
    assert plain.status == (sys.version_info >= (3, 14))
    assert without_times(traced) == without_times(plain)
    assert_nothing_lost(profiles)


# ---- threads, forks ----------------------------------------------------------------------


def test_threaded_program(tmp_path):
    plain, traced, profiles = run_compared(tmp_path, PROGRAMS / "thread_pool.py")
    assert (plain.status, plain.stderr) == (0, "") and plain.stdout.count(" relay\n") == 60
    assert traced == plain
    assert_nothing_lost(profiles)


def test_forking_server(tmp_path):
    plain, traced, profiles = run_compared(tmp_path, PROGRAMS / "forking_server.py")
    assert (plain.status, plain.stderr) == (0, "") and plain.stdout.count('"forked": true') == 10
    assert traced == plain
    assert_nothing_lost(profiles)


def test_leak_report_of_a_forking_server(tmp_path):
    options = ("--leaks", "--checkpoint", "0.05")
    plain, traced, profiles = run_compared(
        tmp_path, PROGRAMS / "forking_server.py", options=options
    )
    assert traced == plain
    assert_nothing_lost(profiles)


@pytest.mark.skipif(importlib.util.find_spec("test") is None, reason="no test package installed")
@pytest.mark.parametrize("name", ["test_generators", "test_sys_settrace", "test_thread"])
def test_regression_tests_of_python(tmp_path, name):
    """CPython's own, which know its insides."""
    words = ("-m", "unittest", "-q", f"test.{name}")
    plain, traced, profiles = run_compared(tmp_path, *words)
    assert plain.status == traced.status == 0
    assert re.sub(r"in \d+\.\d+s", "", traced.stderr) == re.sub(r"in \d+\.\d+s", "", plain.stderr)
    assert_nothing_lost(profiles)
