"""The pytest plugin: markers, the table, the baseline; in processes of their own."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import pytest
from conftest import run

TESTS = """
import asyncio
import pytest

KEPT = []

class Session:
    def __init__(self):
        self.log = [1.5] * 30

@pytest.mark.limit_memory("2 MB")
def test_small():
    bytes(1_000_000)

@pytest.mark.limit_memory("2 MB")
def test_large():
    bytes(3_000_000)

@pytest.mark.no_leaks(warmup=1, repeat=6)
def test_leaks():
    KEPT.append(Session())

@pytest.mark.no_leaks
def test_clean():
    Session()

@pytest.mark.no_leaks(warmup=1, repeat=5)
@pytest.mark.parametrize("size", [10, 20])
def test_parametrised(size):
    if size == 20:
        KEPT.append([0] * size)

class TestClass:
    @pytest.mark.no_leaks
    def test_method(self, tmp_path):
        assert tmp_path.exists()
        Session()

@pytest.mark.no_leaks
def test_that_fails():
    assert 1 == 2
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS, "utf-8")

    def pytest_run(*options, file="test_it.py"):
        # by its module: the entry point, where the package is installed, would be a second one
        words = [
            "-p",
            "no:memprof",
            "-p",
            "memprof.plugins.pytest_plugin",
            "-p",
            "no:cacheprovider",
        ]
        words += [*options, file]
        entry = ["-c", "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"]
        return run([sys.executable, *entry, *words], cwd=tmp_path)

    pytest_run.path = tmp_path
    return pytest_run


def outcomes(result):
    return {
        line.split(" ")[1].rpartition("::")[2]
        for line in result.stdout.splitlines()
        if line.startswith("FAILED")
    }


def test_markers(project):
    result = project("-q", "-rf")
    failed = {"test_large", "test_leaks", "test_parametrised[20]", "test_that_fails"}
    assert outcomes(result) == failed, result.stdout
    text = result.stdout
    assert "the test needed 2930 KiB of memory at its peak, more than 2048 KiB" in text
    assert "test_it.py:17 in test_large" in text
    assert "test_it.Session objects (+1/run" in text
    assert "held   test_it.KEPT[..] (list) -> Session" in text
    assert "born   test_it.py:21 in test_leaks" in text


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("limit_memory('nonsense')", "limit_memory: not a size: 'nonsense'"),
        ("limit_memory()", "limit_memory takes one size"),
        ("no_leaks(often=3)", "no_leaks takes warmup= and repeat="),
        ("no_leaks(repeat=1)", "repeat is 4 or more"),
    ],
)
def test_wrong_arguments_are_told(project, marker, said):
    text = f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n"
    (project.path / "test_wrong.py").write_text(text, "utf-8")
    result = project("-q", file="test_wrong.py")
    assert result.status == 4 and said in result.stderr + result.stdout


def test_table(project):
    result = project("-q", "--memprof", "--memprof-top", "2", "-k", "small or large")
    at = result.stdout.index("memprof: the hungriest tests (top 2 of 2)")
    rows = result.stdout[at:].splitlines()[2:4]
    assert rows[0].split()[0:2] == ["2930", "KiB"] and rows[0].endswith("test_large")
    assert rows[1].endswith("test_small")


GROWING = """
import sys
SIZE = 200_000

def helper(n):
    return [bytes(1000) for _ in range(n)]

def test_growing():
    helper(SIZE // 1000)

def test_steady():
    bytes(50_000)
"""


def test_baseline(project):
    file = project.path / "test_growing.py"
    file.write_text(GROWING, "utf-8")
    baseline = project.path / "memory.json"
    options = ("-q", "-rf", "--memprof-baseline", baseline)
    missing = project(*options, file="test_growing.py")
    assert missing.status == 4 and "make it with --memprof-update" in missing.stderr
    made = project(*options, "--memprof-update", file="test_growing.py")
    assert made.status == 0
    tests = json.loads(baseline.read_text("utf-8"))["tests"]
    assert tests["test_growing.py::test_growing"]["peak"] > 200_000
    assert project(*options, file="test_growing.py").status == 0
    file.write_text("# moved\n" + GROWING.replace("200_000", "600_000"), "utf-8")
    grown = project(*options, file="test_growing.py")
    assert outcomes(grown) == {"test_growing"}, grown.stdout
    assert "the test's peak memory grew from " in grown.stdout
    assert "test_growing.py:7 in " in grown.stdout
    baseline.write_text("{}", "utf-8")
    assert project(*options, file="test_growing.py").status == 4


def test_a_baseline_that_cannot_be_written_is_told_first(project):
    (project.path / "test_it.py").write_text("def test_it():\n    open('ran', 'w')\n", "utf-8")
    options = ("--memprof-update", "--memprof-baseline", project.path / "no" / "x")
    result = project(*options, file="test_it.py")
    assert result.status == 4 and not (project.path / "ran").exists()
    assert f"--memprof-baseline: cannot write '{options[2]}': No such file" in result.stderr


def test_update_needs_a_file(project):
    result = project("--memprof-update")
    assert result.status == 4 and "--memprof-update needs" in result.stderr


def test_without_options_nothing_is_traced(project):
    text = "import memprof\ndef test_it():\n    assert not memprof.is_tracing()\n"
    (project.path / "test_off.py").write_text(text, "utf-8")
    assert project("-q", file="test_off.py").status == 0


def test_test_that_stops_the_trace(project):
    text = "import memprof\ndef test_it():\n    memprof.stop()\n"
    (project.path / "test_stop.py").write_text(text, "utf-8")
    assert project("-q", "--memprof", file="test_stop.py").status == 0


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
def test_xdist(project):
    result = project("-q", "-rf", "-n", "2", "-p", "xdist", "--memprof")
    failed = {"test_large", "test_leaks", "test_parametrised[20]", "test_that_fails"}
    assert outcomes(result) == failed, result.stdout
    assert "memprof: the hungriest tests" in result.stdout
    assert "test_it.Session objects (+1/run" in result.stdout


ASYNC = """
import asyncio, pytest
KEPT = []

@pytest.mark.asyncio
@pytest.mark.no_leaks(warmup=1, repeat=5)
async def test_coroutine_leaks():
    await asyncio.sleep(0)
    KEPT.append([0] * 100)

@pytest.mark.asyncio
@pytest.mark.limit_memory("1 MB")
async def test_coroutine_is_large():
    await asyncio.sleep(0)
    bytes(2_000_000)

@pytest.mark.asyncio
@pytest.mark.no_leaks(warmup=4, repeat=6)
async def test_coroutine_is_clean():
    await asyncio.sleep(0)
"""


@pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
def test_coroutines(project):
    (project.path / "test_async.py").write_text(ASYNC, "utf-8")
    result = project("-q", "-rf", "-p", "pytest_asyncio", file="test_async.py")
    assert outcomes(result) == {"test_coroutine_leaks", "test_coroutine_is_large"}, result.stdout
