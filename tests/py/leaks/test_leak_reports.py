"""Leaks that were put into programs are found where they are; clean programs have none."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import EMULATOR, PROGRAMS, run_memprof, run_plain, run_traced
from memprof import Traceback
from memprof.model.leaks import Leak
from memprof.views.leak_report import name_objects

LEAKING = PROGRAMS / "leaking.py"
SOURCE = LEAKING.read_text("utf-8").splitlines()

# Name of the program -> line of the leak.
LEAKS = {
    name: number
    for number, line in enumerate(SOURCE, start=1)
    for name in re.findall(r"# leak: ([a-z]\w+)", line)
}
CLEAN = re.findall(r"^def (clean_\w+)", "\n".join(SOURCE), re.MULTILINE)

AT_ONCE = 1 if EMULATOR else 6  # the programs sleep most of the time
SECONDS = ["4"] if EMULATOR else []  # how long they go on, where their own default is too short


def run_leaks(name, path, *options):
    return run_traced(LEAKING, name, *SECONDS, memprof=("--leaks", "-o", path, *options))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Name of the program -> (result, JSON report), all run once."""
    folder = tmp_path_factory.mktemp("leaks")

    def report(name):
        path = folder / f"{name}.json"
        result = run_leaks(name, path, "--format", "json")
        return result, json.loads(path.read_text("utf-8"))

    names = [*LEAKS, *CLEAN]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(report, names), strict=True))


def steps_of(result) -> int:
    return max(int(number) for number in re.findall(r"steps (\d+)", result.stdout))


def seconds_of(result) -> float:
    """How long the steps took, without what else the process did."""
    return max(float(number) for number in re.findall(r"steps \d+ in ([\d.]+)", result.stdout))


# ---- verdicts ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEAKS)
def test_leak_is_found_at_its_site(reports, name):
    result, report = reports[name]
    assert (result.status, result.stderr) == (0, "")
    first_two = [leak["site"] for leak in report["leaks"][:2]]
    sites = [(site["file"], site["line"]) for site in first_two]
    assert (str(LEAKING), LEAKS[name]) in sites, (report["checkpoints"], report["still_alive"][:2])


@pytest.mark.parametrize("name", CLEAN)
def test_clean_program_has_no_leak(reports, name):
    result, report = reports[name]
    assert (result.status, result.stderr) == (0, "")
    assert not report["too_short"]
    assert report["leaks"] == []


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("clean_dict_filled_once", "once"),
        ("clean_warm_lru_cache", "flat"),
        ("clean_slow_warm_up", "flat"),
        ("clean_ring_buffer", "flat"),
    ],
)
def test_what_is_alive_but_no_leak_is_listed_apart(reports, name, verdict):
    _, report = reports[name]
    largest = next(row for row in report["still_alive"] if row["site"]["file"] == str(LEAKING))
    assert largest["growth"]["verdict"] in (verdict, "flat")
    assert largest["live_bytes"] > 10_000


def test_numbers_of_a_leak_are_exact(reports):
    result, report = reports["lru_cache_without_limit"]
    leak = report["leaks"][0]
    steps = steps_of(result)
    sizes = [sys.getsizeof(bytes(200 + step % 7)) for step in range(steps)]
    assert leak["live_blocks"] == steps
    assert leak["live_bytes"] == sum(sizes)
    growth = leak["growth"]
    rate = steps / seconds_of(result)
    assert growth["blocks_per_second"] == pytest.approx(rate, rel=0.25)
    assert growth["bytes_per_second"] == pytest.approx(rate * sizes[3], rel=0.25)


def test_leaks_are_sorted_by_what_they_hold(reports):
    for name in LEAKS:
        leaks = reports[name][1]["leaks"]
        heads = [at for at, leak in enumerate(leaks) if leak["part_of"] is None]
        assert heads and heads[0] == 0
        for at, leak in enumerate(leaks):  # each with its parts behind it
            assert leak["part_of"] in (None, max(head for head in heads if head <= at))


def test_every_leak_is_explained(reports):
    for name in LEAKS:
        for leak in reports[name][1]["leaks"]:
            assert sum(leak["types"].values()) == (leak["objects"] or leak["owners"])
            assert sum(row["objects"] for row in leak["holders"]) == sum(leak["types"].values())
            assert leak["retained_bytes"] >= 0


def test_stack_of_a_leak(reports):
    _, report = reports["closures_that_keep_data"]
    line = LEAKS["closures_that_keep_data"]
    stack = next(leak["stack"] for leak in report["leaks"] if leak["site"]["line"] == line)
    assert [frame["function"].rpartition(".")[2] for frame in stack] == [
        "make",
        "closures_that_keep_data",
        "<module>",
    ]
    assert [SOURCE[frame["line"] - 1].strip() for frame in stack] == [
        "payload = bytes(300 + step % 5)  # leak: closures_that_keep_data",
        "callbacks.append(make(step))",
        "globals()[sys.argv[1]]()",
    ]


# ---- the form of the JSON report ---------------------------------------------------------

NONE = type(None)
FRAME = {"file": str, "line": int, "function": str}
LEAK = {
    "site": dict,
    "stack": list,
    "live_bytes": int,
    "live_blocks": int,
    "objects": (int, NONE),
    "owners": int,
    "types": dict,
    "holders": list,
    "retained_bytes": (int, NONE),
    "part_of": (int, NONE),
    "growth": dict,
}
GROWTH = {
    "verdict": str,
    "bytes_per_second": float,
    "blocks_per_second": float,
    "first_bytes": int,
    "first_blocks": int,
    "last_bytes": int,
    "last_blocks": int,
    "points": list,
}
REPORT = {
    "format": str,
    "version": int,
    "command": str,
    "python": str,
    "memprof": str,
    "facts": dict,
    "seconds": float,
    "unit": str,
    "checkpoints": int,
    "too_short": bool,
    "unfollowed": int,
    "leaks": list,
    "still_alive": list,
}


def assert_has_form(value: dict, form: dict) -> None:
    assert value.keys() == form.keys()
    for key, kind in form.items():
        assert isinstance(value[key], kind), key


def test_json_has_exactly_the_documented_keys(reports):
    for _, report in reports.values():
        assert_has_form(report, REPORT)
        assert (report["format"], report["version"]) == ("memprof-leaks", 1)
        for leak in report["leaks"] + report["still_alive"]:
            assert_has_form(leak, LEAK)
            assert_has_form(leak["growth"], GROWTH)
            for frame in leak["stack"]:
                assert_has_form(frame, FRAME)
            assert leak["site"] == leak["stack"][0]  # innermost first
            assert leak["live_bytes"] >= 0 and leak["live_blocks"] > 0


def test_verdicts_tell_leaks_from_others(reports):
    for _, report in reports.values():
        assert {leak["growth"]["verdict"] for leak in report["leaks"]} <= {"steady"}
        others = {leak["growth"]["verdict"] for leak in report["still_alive"]}
        assert others <= {"flat", "sawtooth", "once", "late"}


def test_points_over_time(reports):
    for _, report in reports.values():
        for leak in report["leaks"]:
            times = [point[0] for point in leak["growth"]["points"]]
            assert len(times) == report["checkpoints"] >= 12
            assert times == sorted(times) and 0 <= times[0] and times[-1] <= report["seconds"]
            assert all(len(point) == 3 for point in leak["growth"]["points"])
            assert leak["growth"]["last_bytes"] > leak["growth"]["first_bytes"]


# ---- the text, the profile, short runs ---------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A leaking program's text report, and its profile."""
    path = tmp_path_factory.mktemp("written") / "run.mprof"
    return run_leaks("instances_in_a_class_attribute", path), path


def test_text_report_of_a_leak(written):
    result, _ = written
    text = result.stderr
    lines = text.splitlines()
    line = LEAKS["instances_in_a_class_attribute"]
    assert lines[0] == ""
    assert re.match(r"Leaks: \d+ grew through the whole run \([\d.]+ s\) and", lines[1])
    first = next(at for at, line in enumerate(lines) if line.startswith("1. "))
    assert re.match(  # the block of a tuple from CPython's free list may have come from that line
        r"1\. [\d,]+ __main__\.Connection(, 1 tuple)? objects \(\+[\d,]+/s, \d+ KiB retained\)$",
        lines[first],
    )
    assert re.match(
        r"     born   \S*leaking\.py:\d+ in instances_in_a_class_attribute  <-  ", lines[first + 1]
    )
    assert lines[first + 2].strip() == "Connection(step)"
    held = (
        r"     held   __main__\.Connection\.opened\[\.\.\] \(list\) -> Connection"
        r" +([\d,]+) of ([\d,]+)$"
    )
    right, all_of_them = (
        int(n.replace(",", "")) for n in re.match(held, lines[first + 3]).groups()
    )
    assert all_of_them - 1 <= right <= all_of_them
    grown = next(line for line in lines[first:] if line.startswith("     grew"))
    assert re.match(r"     grew   steadily through [\d.]+ s: \d+ -> [\d,]+, no drop", grown)
    part = (
        r"^     with   [\d,]+ bytearray objects, \d+ KiB"
        rf"   \S*leaking\.py:{line} in Connection\.__init__$"
    )
    assert re.search(part, text, re.MULTILINE)
    assert "Still alive, but not growing" in text


def test_profile_keeps_the_leaks(written):
    result, path = written
    shown = run_memprof("show", "--leaks", path)
    assert (shown.status, shown.stderr) == (0, "")
    assert "\n" + shown.stdout == result.stderr


def test_clean_program_says_so(tmp_path):
    result = run_leaks("clean_counter", tmp_path / "run.mprof")
    said = r"^No leaks: nothing grew through the whole run \([\d.]+ s\)\."
    assert re.search(said, result.stderr, re.MULTILINE)


def test_top_limits_the_leaks(tmp_path):
    path = tmp_path / "run.mprof"
    (tmp_path / "two.py").write_text(
        "import memprof\nfirst, second = [], []\nfor _ in range(600):\n"
        "    first.append(bytearray(300))\n    second.append(bytearray(700))\n"
        "    memprof.mark('step')\n"
    )
    run_traced(tmp_path / "two.py", memprof=("--leaks", "--every", "10", "-q", "-o", path))
    shown = run_memprof("show", "--leaks", "--top", "1", path).stdout
    assert "\n1. " in shown and "\n2. " not in shown
    assert re.search(r"\(\d more leaks?: see --top\)", shown)


SHORT = "kept = [bytes(1000) for _ in range(100)]"


def test_short_script_is_too_short_to_judge():
    text = run_traced("-c", SHORT, memprof=("--leaks",)).stderr
    assert re.search(r"^Too short to judge: \d\.\d+ s, \d+ checkpoints?\.", text, re.MULTILINE)
    assert re.search(r"^Still alive .*\n +10\d KiB +10\d blocks   <string>:1", text, re.MULTILINE)


def test_short_script_in_json():
    result = run_traced("-c", SHORT, memprof=("--leaks", "--format", "json"))
    report = json.loads(result.stderr)
    assert report["too_short"] is True
    assert report["leaks"] == []
    assert report["still_alive"][0]["live_bytes"] >= 100 * 1000


def test_the_demo_service_leaks_its_sessions():
    service = PROGRAMS / "service.py"
    plain = run_plain(service, "1")
    traced = run_traced(service, "1", memprof=("--leaks", "--format", "json"))
    assert (traced.stdout, traced.status) == (plain.stdout, plain.status)
    functions = [leak["site"]["function"] for leak in json.loads(traced.stderr)["leaks"][:2]]
    assert set(functions) == {"Session.__init__", "open_session"}


@pytest.mark.parametrize(
    "count, words", [(3, ""), (4, " and 1 other type of"), (6, " and 3 other types of")]
)
def test_types_that_are_not_named_are_counted(count, words):
    types = {f"app.Kind{n}": 10 for n in range(count)}
    leak = Leak(Traceback(()), "steady", *[0] * 9, objects=10 * count, types=types)
    assert name_objects(leak) == f"10 app.Kind0, 10 app.Kind1, 10 app.Kind2{words} objects"
