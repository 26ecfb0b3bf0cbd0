"""Seeded leaks are found with their site, type and holder; clean programs have none."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest
from conftest import PROGRAMS, run_traced

SEEDED, UNLEAKING = PROGRAMS / "seeded.py", PROGRAMS / "clean.py"
SOURCE = SEEDED.read_text("utf-8").splitlines()
AT_ONCE = 2

# name -> (line, type, part of the path)
LEAKS = {
    found[1]: (number, found[2], found[3])
    for number, line in enumerate(SOURCE, start=1)
    if (found := re.search(r"# leak: (\w+); type: (\S+); held: (.+)$", line))
}
CLEAN = re.findall(r"^def (clean_\w+)", UNLEAKING.read_text("utf-8"), re.MULTILINE)


if find_spec("numpy") is None:
    del LEAKS["numpy_views"]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Name of the program -> its JSON report."""
    folder = tmp_path_factory.mktemp("seeded")

    def report(name):
        path = folder / f"{name}.json"
        words = ("--leaks", "--every", "10", "-q", "--format", "json", "-o", path)
        result = run_traced(SEEDED if name in LEAKS else UNLEAKING, name, memprof=words)
        assert result.status == 0, result
        return json.loads(path.read_text("utf-8"))

    names = [*LEAKS, *CLEAN]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(report, names), strict=True))


def leak_at(report, line):
    """(rank, leak) of the leak at a line of the program."""
    for rank, leak in enumerate(report["leaks"]):
        if (leak["site"]["file"], leak["site"]["line"]) == (str(SEEDED), line):
            return rank, leak
    raise AssertionError([leak["site"] for leak in report["leaks"]])


def summary(report):
    return [
        (leak["site"]["line"], leak["types"], [row["path"] for row in leak["holders"][:2]])
        for leak in report["leaks"][:6]
    ]


@pytest.mark.parametrize("name", LEAKS)
def test_true_site_is_first_or_second(reports, name):
    rank, _ = leak_at(reports[name], LEAKS[name][0])
    assert rank < 2, summary(reports[name])


@pytest.mark.parametrize("name", LEAKS)
def test_type(reports, name):
    line, kind, _ = LEAKS[name]
    _, leak = leak_at(reports[name], line)
    if kind == "none":
        assert leak["types"] == {} and leak["objects"] == leak["owners"] == 0
        assert leak["retained_bytes"] == leak["live_bytes"]
        return
    assert sum(leak["types"].values()) == (leak["objects"] or leak["owners"])
    main = next(iter(leak["types"]))
    assert main in (kind, f"__main__.{kind}"), leak["types"]


@pytest.mark.parametrize("name", LEAKS)
def test_holder(reports, name):
    line, kind, held = LEAKS[name]
    _, leak = leak_at(reports[name], line)
    if kind == "none":
        assert leak["holders"] == []
        return
    held = re.sub(r" \([\w.]+\)", "", held)  # the types of containers are in the text only
    last = kind.rpartition(".")[2]  # others may be born in the same line: the key of a dict
    rows = [row for row in leak["holders"] if row["path"].endswith(last)]
    assert rows and all(held in row["path"] for row in rows), leak["holders"]
    all_of_them = leak["objects"] or leak["owners"]
    assert sum(row["objects"] for row in leak["holders"]) == all_of_them, leak["holders"]


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_retain_what_they_hold(reports, name):
    _, leak = leak_at(reports[name], LEAKS[name][0])
    if leak["objects"]:
        assert leak["retained_bytes"] >= leak["live_bytes"] * 0.5
        assert leak["retained_bytes"] < 20_000_000


@pytest.mark.parametrize("name", CLEAN)
def test_clean_program_has_no_leak(reports, name):
    assert not reports[name]["too_short"]
    assert reports[name]["leaks"] == [], summary(reports[name])


@pytest.mark.skipif(
    find_spec("marshmallow_dataclass") is None, reason="needs marshmallow_dataclass==8.5.5"
)
def test_published_leak_is_found(tmp_path):
    """https://github.com/lovasoa/marshmallow_dataclass/issues/198"""
    path = tmp_path / "report.json"
    words = ("--leaks", "--every", "5", "-q", "--format", "json", "-o", path)
    run_traced(PROGRAMS / "published_leak.py", memprof=words, python=("-W", "ignore"))
    report = json.loads(path.read_text("utf-8"))
    paths = [row["path"] for leak in report["leaks"] for row in leak["holders"]]
    assert any(text.startswith("marshmallow_dataclass._internal_class_schema") for text in paths)
    assert any("bytearray" in leak["types"] for leak in report["leaks"])  # of the caller's frame


def test_raw_memory_is_said_in_words():
    result = run_traced(SEEDED, "raw_memory", memprof=("--leaks", "--every", "10"))
    expected = (
        r"belong to no Python object: raw memory held by C code \(\+300 B/step, 176 KiB live\)"
    )
    assert re.search(expected, result.stderr), result.stderr


def test_corpus_is_complete():
    assert len(LEAKS) >= 21 and len(CLEAN) >= 12
