"""The command line: options, reports, profiles, and what it says of bad input."""

from __future__ import annotations

import ctypes.util
import json
import os
import re
import signal
import subprocess
import sys

import memprof
import pytest
from conftest import (
    EMULATOR,
    FREE_THREADED,
    PROGRAMS,
    environment,
    run,
    run_memprof,
    run_on_a_terminal,
    run_plain,
    run_traced,
)

KNOWN = PROGRAMS / "known_amounts.py"
LIVING_ON = PROGRAMS / "living_on.py"
SOURCE = KNOWN.read_text("utf-8").splitlines()
MIB = 1 << 20

PEAK_BYTES = 50 * MIB + 300 * 10_000
LIVE_BYTES = 300 * 10_000
TOTAL_BYTES = PEAK_BYTES + 4000 * 20_000

BYS = ("line", "file", "function", "stack")
METRICS = ("peak", "live", "total")


def line_of(text: str) -> int:
    (number,) = [n for n, line in enumerate(SOURCE, start=1) if text in line]
    return number


def report_of(*options, program=(KNOWN,)) -> dict:
    result = run_traced(*program, memprof=("--format", "json", *options))
    assert result.status == 0
    return json.loads(result.stderr)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "known.mprof"
    assert run_traced(KNOWN, memprof=("-q", "-o", path)).status == 0
    return path


@pytest.fixture(scope="module")
def text():
    """The report as it is without any option."""
    return run_traced(KNOWN, memprof=()).stderr


# ---- the report --------------------------------------------------------------------------


def value(text: str, name: str) -> str:
    return re.search(rf"^  {name} +(\S+(?: [A-Za-z]+)?)(?=   |$)", text, re.MULTILINE)[1]


def test_totals(text):
    assert text.splitlines()[1] == f"memprof  python {KNOWN}"
    assert re.fullmatch(r"\d\.\d+ s", value(text, "run time"))
    assert value(text, "peak traced") == "52.9 MiB"
    assert 53 <= float(value(text, "peak RSS").removesuffix(" MiB")) <= 90 + EMULATOR / MIB
    assert value(text, "allocated") in ("129 MiB", "130 MiB")
    assert value(text, "traces lost") == "0"
    assert value(text, "memprof").endswith(("KiB", "MiB"))


def test_sites_with_their_source(text):
    lines = text.splitlines()
    title = lines.index(next(line for line in lines if line.startswith("Live when traced")))
    assert re.search(r"by line \(all \d, 52\.9 MiB in all\)$", lines[title])
    path = os.path.relpath(KNOWN)
    first = rf"    50\.0 MiB            \d  94\.6%   {path}:{line_of('# 50 MiB')} in at_the_peak"
    second = rf"    29\d\d KiB          30\d   5\.4%   {path}:{line_of('# 10,000')} in kept"
    assert re.fullmatch(first, lines[title + 2])
    assert lines[title + 3].strip() == "data = bytearray(50 * MIB)  # 50 MiB, once"
    assert re.fullmatch(second, lines[title + 4])
    assert lines[title + 5].strip().startswith("result.append(bytes(9_967))")


def test_peak_is_exact():
    facts = report_of()["facts"]
    assert facts["peak"] == pytest.approx(PEAK_BYTES, rel=0.01)
    assert facts["traced"] == pytest.approx(LIVE_BYTES, rel=0.01)
    assert facts["total_bytes"] == pytest.approx(TOTAL_BYTES, rel=0.01)
    assert facts["lost"] == 0
    assert facts["peak_rss"] > facts["peak"]
    assert 0 < facts["duration_ns"] < 20e9


FIRST = {
    "peak": ("at_the_peak", "# 50 MiB", 50 * MIB),
    "live": ("kept", "# 10,000", LIVE_BYTES),
    "total": ("passing", "# 80 MB", 4000 * 20_000),
}
SUMS = {"peak": PEAK_BYTES, "live": LIVE_BYTES, "total": TOTAL_BYTES}


@pytest.mark.parametrize("by", BYS)
@pytest.mark.parametrize("metric", METRICS)
def test_by_and_metric(profile, by, metric):
    """Of the run itself and of its profile."""
    reports = [report_of("--by", by, "--metric", metric)]
    shown = run_memprof("show", profile, "--by", by, "--metric", metric, "--format", "json")
    reports.append(json.loads(shown.stdout))
    function, mark, size = FIRST[metric]
    for report in reports:
        assert (report["format"], report["version"]) == ("memprof-report", 1)
        assert (report["by"], report["metric"]) == (by, metric)
        assert report["bytes"] == pytest.approx(SUMS[metric], rel=0.01)
        assert report["bytes"] >= sum(row["bytes"] for row in report["rows"])
        first = report["rows"][0]
        assert first["file"] == str(KNOWN)
        assert first["bytes"] == pytest.approx(SUMS[metric] if by == "file" else size, rel=0.01)
        if by != "file":
            assert first["function"] == function
        if by in ("line", "stack"):
            assert first["line"] == line_of(mark)
            assert mark in first["source"]
        assert ("stack" in first) == (by == "stack")


def test_stacks_in_text():
    result = run_traced(KNOWN, memprof=("--by", "stack", "--top", "1")).stderr
    path = os.path.relpath(KNOWN)
    rows = result[result.index("    50.0 MiB") :].split("\n\n")[0].splitlines()
    assert [row.strip() for row in rows[1:]] == [
        "data = bytearray(50 * MIB)  # 50 MiB, once",
        f"<- {path}:{line_of('print(at_the_peak')} in <module>",
        "print(at_the_peak())",
    ]


@pytest.mark.parametrize("options", [(), ("--top", "3"), ("--top", "100")])
def test_top(options):
    top = int(options[1]) if options else 10
    program = (KNOWN, "ten_places")
    report = report_of(*options, "--metric", "live", program=program)
    assert len(report["rows"]) == min(top, report["groups"])
    assert report["groups"] > 11
    text = run_traced(*program, memprof=(*options, "--metric", "live")).stderr
    rows = re.findall(r"^ +\S+ \S+ +[\d,]+ +\d+\.\d%   ", text, re.MULTILINE)
    assert len(rows) == len(report["rows"])
    assert (f"(top {top} of {report['groups']}," in text) == (top < report["groups"])


def test_defaults():
    report = report_of()
    assert (report["by"], report["metric"]) == ("line", "peak")
    text = run_memprof("--help").stdout
    assert "(default: 10)" in text[text.index("--checkpoint") : text.index("--malloc")]


def test_help_names_every_option():
    text = run_memprof("--help")
    assert text.status == 0 and text.stderr == ""
    options = "--help --version --leaks -o --output --checkpoint --malloc -q --quiet --by --metric"
    for word in (*options.split(), "--top", "--format", "-m module", "-c code", "script.py"):
        assert word in text.stdout
    for verb in ("run", "show", "diff"):
        assert f"memprof {verb} " in text.stdout
        shown = run_memprof(verb, "--help")
        assert shown.status == 0 and shown.stdout.startswith("usage: memprof")


def test_version():
    assert run_memprof("--version").stdout == f"memprof {memprof.__version__}\n"


UNKNOWN_PARTS = ["pymalloc, rest of its arenas"] if FREE_THREADED else []


def test_resident_memory_adds_up(text):
    report = report_of()
    facts, parts = report["facts"], {line["name"]: line["bytes"] for line in report["rss"]}
    assert sum(filter(None, parts.values())) == facts["rss"]
    # what mimalloc has beside the traced blocks is not known, and so in the remainder
    assert [name for name in parts if parts[name] is None] == UNKNOWN_PARTS
    assert list(parts) == [
        "live traced blocks",
        "pymalloc, rest of its arenas",
        "C heap, other blocks",
        "C heap, free",
        "memprof itself",
        "mapped files",
        "shared memory",
        "stack of the main thread",
        "remainder",
    ]
    assert parts["live traced blocks"] == facts["traced"]
    assert UNKNOWN_PARTS or abs(parts["remainder"]) < 0.2 * facts["rss"] + EMULATOR
    account = text[text.index("Resident memory at the end: ") :]
    assert all(name in account for name in parts)


# ---- where it goes -----------------------------------------------------------------------


def test_report_goes_to_stderr_only():
    plain, traced = run_plain(KNOWN), run_traced(KNOWN, memprof=())
    assert traced.stdout == plain.stdout == f"{50 * MIB}\n"
    assert plain.stderr == "" and "peak traced" in traced.stderr


def test_json_goes_to_the_file(tmp_path):
    path = tmp_path / "report.json"
    result = run_traced(KNOWN, memprof=("--format", "json", "-o", path))
    assert result.stderr == ""
    assert json.loads(path.read_text())["rows"][0]["function"] == "at_the_peak"
    assert list(tmp_path.iterdir()) == [path]


def test_quiet_prints_nothing_but_writes(tmp_path):
    path = tmp_path / "run.mprof"
    result = run_traced(KNOWN, memprof=("-q", "-o", path))
    assert (result.stderr, result.status) == ("", 0)
    assert list(tmp_path.iterdir()) == [path]
    assert memprof.Snapshot.load(path).facts["peak"] == pytest.approx(PEAK_BYTES, rel=0.01)


def test_program_that_stops_the_trace():
    words = ("-c", "import memprof; memprof.stop(); print('ran')")
    result = run_traced(*words, memprof=())
    assert (result.stdout, result.status) == ("ran\n", 0)
    assert result.stderr == "memprof: no report: the program has stopped the trace itself\n"
    assert run_traced(*words).stderr == ""


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_program_that_changes_its_directory(tmp_path, options):
    """A relative FILE is one of the directory that memprof was started in."""
    (tmp_path / "elsewhere").mkdir()
    words = ("-c", "import os; os.chdir('elsewhere'); kept = bytes(10_000_000)")
    run_traced(*words, memprof=("-q", "-o", "run.out", *options), cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "run.out"}
    assert list((tmp_path / "elsewhere").iterdir()) == []
    if options:
        assert json.loads((tmp_path / "run.out").read_text())["facts"]["peak"] > 10_000_000
    else:
        assert memprof.Snapshot.load(tmp_path / "run.out").facts["peak"] > 10_000_000


def test_show_prints_the_same_report(tmp_path):
    path = tmp_path / "run.mprof"
    result = run_traced(KNOWN, memprof=("-o", path))
    shown = run_memprof("show", path)
    assert (shown.status, shown.stderr) == (0, "")
    assert "\n" + shown.stdout == result.stderr


def test_colours_on_a_terminal_only(profile, text):
    run_it = [sys.executable, "-m", "memprof", KNOWN]
    show_it = [sys.executable, "-m", "memprof", "show", profile]
    assert "\x1b" not in text
    for command in (run_it, show_it):
        written = run_on_a_terminal(command)
        assert "\x1b[1;32m" in written and "at_the_peak" in written
        assert "\x1b[1;32m" not in run_on_a_terminal(command, TERM="dumb")
        assert "\x1b[1;32m" not in run_on_a_terminal(command, NO_COLOR="1")


def test_progress_on_a_terminal_only(profile, text):
    assert "making the report" in run_on_a_terminal([sys.executable, "-m", "memprof", KNOWN])
    assert "making the report" not in text


# ---- profiles that outlive the program ---------------------------------------------------


@pytest.mark.parametrize(("how", "status"), [("exit", 5), ("kill", -signal.SIGKILL)])
def test_profile_of_a_program_that_ends_hard(tmp_path, how, status):
    path = tmp_path / "run.mprof"
    result = run_traced(LIVING_ON, path, how, memprof=("-o", path, "--checkpoint", "0.2"))
    assert (result.stdout, result.stderr, result.status) == ("rewritten 2\n", "", status)
    shown = run_memprof("show", path, "--metric", "live", "--format", "json")
    first = json.loads(shown.stdout)["rows"][0]
    assert first["bytes"] == pytest.approx(1000 * 1033, rel=0.03)
    assert os.path.samefile(first["file"], LIVING_ON)


def test_interrupt_leaves_a_report(tmp_path):
    path = tmp_path / "run.mprof"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "memprof",
            "-o",
            path,
            "--checkpoint",
            "0.1",
            LIVING_ON,
            path,
            "wait",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout.readline() == "rewritten 2\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    traceback, report = stderr.split("\nmemprof  python ")
    assert traceback.rstrip().endswith("KeyboardInterrupt") and "memprof" not in traceback
    assert "Live when traced memory was at its peak" in report
    assert memprof.Snapshot.load(path).facts["peak"] > 1_000_000


# ---- the verb diff -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def smaller(tmp_path_factory):
    path = tmp_path_factory.mktemp("smaller") / "small.mprof"
    run_traced("-c", "kept = bytes(100_000)", memprof=("-q", "-o", path))
    return path


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 0),
        (("--fail-on-growth", "0"), 3),
        (("--fail-on-growth", "2MB"), 3),
        (("--fail-on-growth", "4MiB"), 0),
        (("--fail-on-growth", "50MB", "--metric", "peak"), 3),
        (("--fail-on-growth", "60MB", "--metric", "peak", "--format", "json"), 0),
        (("--fail-on-growth", "100MB", "--metric", "total", "--by", "file"), 3),
    ],
)
def test_diff_that_grew(smaller, profile, options, status):
    result = run_memprof("diff", smaller, profile, *options)
    assert result.status == status
    assert result.stdout
    assert bool(re.match(r"memprof: \w+ memory grew by .*\n\Z", result.stderr)) == (status == 3)


def test_diff_that_shrank_or_stayed(smaller, profile):
    for old, new in ((profile, smaller), (profile, profile)):
        result = run_memprof("diff", old, new, "--fail-on-growth", "0")
        assert (result.status, result.stderr) == (0, "")


def test_diff_in_text(smaller, profile):
    lines = run_memprof("diff", smaller, profile, "--top", "1").stdout.splitlines()
    assert re.fullmatch(
        r"Change of live memory: \+2\d{3} KiB in \+\d{3} blocks; by line \(top 1 of \d+\)", lines[0]
    )
    place = f"{os.path.relpath(KNOWN)}:{line_of('# 10,000')} in kept"
    assert re.fullmatch(rf"    \+29\d\d KiB +\+30\d   now   29\d\d KiB   {place}", lines[1])
    assert len(lines) == 2


def test_diff_in_json(smaller, profile):
    result = run_memprof("diff", smaller, profile, "--format", "json", "--by", "stack")
    document = json.loads(result.stdout)
    assert (document["format"], document["version"]) == ("memprof-diff", 1)
    assert document["bytes_diff"] == pytest.approx(LIVE_BYTES - 100_033, rel=0.02)
    sizes = [abs(row["bytes_diff"]) for row in document["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    assert document["rows"][0]["stack"][0]["function"] == "kept"
    gone = [row for row in document["rows"] if row["bytes_diff"] < 0]
    assert [row["file"] for row in gone] == ["<string>"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict"])
def test_names_that_cannot_be_encoded(tmp_path, encoding):
    """A file name that is no text, and one that the terminal has no letters for."""
    script = os.fsencode(tmp_path) + b"/bad \xff \xe2\x82\xac.py"
    with open(script, "w") as file:
        file.write("kept = bytes(10_000)")
    path = tmp_path / "run.mprof"
    changed = environment(PYTHONIOENCODING=encoding)
    traced = run_traced(os.fsdecode(script), memprof=("-o", path), env=changed)
    shown = run_memprof("show", path, env=changed)
    changes = run_memprof("diff", path, path, env=changed)
    for result in (traced, shown, changes):
        assert result.status == 0 and "Traceback" not in result.stderr
    euro = "€" if "utf-8" in encoding else r"\u20ac"
    assert rf"bad \udcff {euro}.py:1 in <module>" in shown.stdout
    assert rf"bad \udcff {euro}.py:1 in <module>" in traced.stderr


@pytest.mark.parametrize("verb", ["show", "diff"])
def test_reader_that_goes_away(profile, verb):
    words = [str(profile)] * (2 if verb == "diff" else 1)
    command = f'set -o pipefail; {sys.executable} -m memprof {verb} "$@" | true'
    result = run(["bash", "-c", command, "bash", *words, "--format", "json", "--by", "stack"])
    assert (result.status, result.stderr) == (0, "")


# ---- another allocator -------------------------------------------------------------------

needs_jemalloc = pytest.mark.skipif(
    ctypes.util.find_library("jemalloc") is None, reason="libjemalloc2 is not installed"
)
SHOW_PRELOAD = (
    "import os, subprocess, sys; names = [n for n in os.environ if 'PRELOAD' in n];"
    "print(sys.argv, names, os.environ.get('LD_PRELOAD'));"
    "print('jemalloc' in open('/proc/self/maps').read(), flush=True);"
    "subprocess.run(['grep', '-c', 'jemalloc', '/proc/self/maps'])"
)


@needs_jemalloc
def test_jemalloc_and_its_numbers():
    result = run_traced("-c", SHOW_PRELOAD, "a", memprof=("--malloc=jemalloc",))
    assert result.stdout.splitlines() == ["['-c', 'a'] [] None", "True", "0"]
    assert re.search(
        r"^  jemalloc: active \S+ \S+, resident \S+ \S+, retained", result.stderr, re.M
    )
    assert "jemalloc: resident - allocated" in result.stderr


@needs_jemalloc
def test_jemalloc_facts_add_up():
    report = report_of("--malloc", "jemalloc")
    facts = report["facts"]
    assert facts["jemalloc"] == 1
    assert 0 < facts["jemalloc_active"] <= facts["jemalloc_resident"]
    assert facts["c_heap_in_use"] <= facts["jemalloc_active"]
    assert sum(part["bytes"] or 0 for part in report["rss"]) == facts["rss"]


@needs_jemalloc
def test_jemalloc_keeps_the_preload_of_the_user():
    library = ctypes.util.find_library("m")
    changed = environment(LD_PRELOAD=library)
    result = run_traced("-c", SHOW_PRELOAD, memprof=("-q", "--malloc=jemalloc"), env=changed)
    assert result.stdout.splitlines()[0] == f"['-c'] ['LD_PRELOAD'] {library}"


def test_default_allocator_has_no_jemalloc(text):
    assert "jemalloc" not in text
    assert report_of()["facts"]["jemalloc"] == 0
