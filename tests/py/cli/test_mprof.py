"""memprof mprof: recording, listing and plotting memory over time; memory_usage()."""

import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

import memprof
import pytest
from conftest import EMULATOR, FREE_THREADED, PYMOD, environment, run, run_memprof
from memprof.control import memory_usage as usage
from memprof.model import recording as mprofile

# Waits until what is resident has been recorded several times more; the files are written as it is.
RECORDED = """\
import glob, time
def lines():
    return sum(len(open(path).readlines()) for path in glob.glob("*.dat"))
def recorded(more=6):
    enough = lines() + more
    while lines() < enough: time.sleep(0.01)
"""
PROGRAM = f"""\
{RECORDED}
@profile
def inner(mib):
    x = b"x" * (mib << 20)
    recorded()
    return x
@profile
def outer():
    a = inner(30)
    b = inner(60)
    return len(a) + len(b)
print(outer())
"""

DATA = """\
CMDLINE python app.py
MEM 10.000000 1700000000.0000
FUNC app.work 10.0000 1700000000.1000 30.0000 1700000000.9000 0
UNKNOWN record
MEM 50.500000 1700000000.5000
CHLD 77 5.250000 1700000000.5000
MEM 30.000000 1700000001.0000
FUNC app.part 12.0000 1700000000.2000 50.0000 1700000000.6000 1
FUNC other.part 12.0000 1700000000.7000 14.0000 1700000000.8000
"""


@pytest.fixture
def recorded(tmp_path):
    (tmp_path / "mprofile_20260102030405.dat").write_text(DATA)
    return tmp_path


def mprof(*words, cwd):
    return run_memprof("mprof", *words, cwd=cwd)


def test_run_records_memory_and_functions(tmp_path):
    (tmp_path / "app.py").write_text(PROGRAM)
    result = mprof("run", "-T", "0.01", "app.py", cwd=tmp_path)
    assert result.stdout.splitlines() == [
        "mprof: Sampling memory every 0.01s",
        "running new process",
        "running as a Python program...",
        str(90 << 20),
    ]
    (path,) = tmp_path.glob("mprofile_*.dat")
    assert re.fullmatch(r"mprofile_\d{14}\.dat", path.name)
    for line in path.read_text().splitlines():
        assert re.fullmatch(
            r"CMDLINE \S+ app.py|MEM \d+\.\d{6} \d+\.\d{4}|"
            r"FUNC __main__\.(inner|outer)( \d+\.\d{4}){4} [01]",
            line,
        ), line
    recording = mprofile.read(path)
    assert len(recording.samples) >= 5
    assert sorted(map(len, recording.calls.values())) == [1, 2]
    assert [call.level for call in recording.calls["__main__.inner"]] == [1, 1]
    first, second = recording.calls["__main__.inner"]
    assert 29 < first.memory_end - first.memory_start < 31
    assert 59 < second.memory_end - second.memory_start < 61
    assert recording.peak() > 90 and recording.peak("__main__.inner") > 60
    assert all(sample.memory > 0 for sample in recording.samples)


def test_theirs_reads_ours_and_ours_reads_theirs(tmp_path):
    pytest.importorskip("memory_profiler")
    (tmp_path / "app.py").write_text(PROGRAM)
    mprof("run", "-T", "0.01", "-o", "ours.dat", "app.py", cwd=tmp_path)
    theirs = "import sys, mprof; sys.argv[0] = 'mprof'; mprof.main()"
    command = [sys.executable, "-c", theirs]
    shown = run([*command, "peak", "ours.dat"], cwd=tmp_path, env=environment())
    assert shown.stdout == mprof("peak", "ours.dat", cwd=tmp_path).stdout
    run([*command, "run", "-T", "0.01", "-o", "theirs.dat", "app.py"], cwd=tmp_path)
    recording = mprofile.read(str(tmp_path / "theirs.dat"))
    assert recording.peak() > 90 and len(recording.calls["__main__.inner"]) == 2
    assert mprof("peak", "theirs.dat", cwd=tmp_path).stdout.startswith("theirs.dat\t")


def test_exit_status_and_errors(tmp_path):
    (tmp_path / "bad.py").write_text("import sys; sys.exit(7)")
    assert mprof("run", "-E", "bad.py", cwd=tmp_path).status == 7
    assert mprof("run", "bad.py", cwd=tmp_path).status == 0
    assert mprof("run", "-o", "x.dat", "no-such-command", cwd=tmp_path).status == 2
    result = mprof("run", cwd=tmp_path)
    assert (result.status, result.stdout) == (
        1,
        "A program to run must be provided. Use -h for help\n",
    )
    assert mprof(cwd=tmp_path).status == 1
    assert "Available commands" in mprof("--help", cwd=tmp_path).stdout
    assert mprof("run", "-T", "0", "bad.py", cwd=tmp_path).status == 2


def test_children_and_other_commands(tmp_path):
    code = "import subprocess, sys\nx = b'x' * (20 << 20)\n"
    code += "subprocess.run([sys.executable, 'child.py'])"
    (tmp_path / "parent.py").write_text(code)
    (tmp_path / "child.py").write_text(f"{RECORDED}\ny = b'y' * (40 << 20)\nrecorded()")
    mprof("run", "-M", "-T", "0.02", "-o", "m.dat", "parent.py", cwd=tmp_path)
    mprof(
        "run",
        "-C",
        "-T",
        "0.02",
        "-o",
        "c.dat",
        "--nopython",
        sys.executable,
        "parent.py",
        cwd=tmp_path,
    )
    apart, together = mprofile.read(tmp_path / "m.dat"), mprofile.read(tmp_path / "c.dat")
    assert len(apart.children) == 1
    (below,) = apart.children.values()
    assert max(sample.memory for sample in below) > 40
    assert apart.peak() < 50 + EMULATOR / 2**20
    assert together.peak() > 65
    assert "  Child " in mprof("peak", "m.dat", cwd=tmp_path).stdout


def test_attach_by_pid(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "x = b'x' * (30 << 20); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    result = mprof("attach", "-T", "0.05", "-t", "1", "-o", "a.dat", str(process.pid), cwd=tmp_path)
    assert process.poll() is None, "it is only watched"
    process.communicate(b"\n")
    assert result.status == 0 and "attaching to existing process" in result.stdout
    recording = mprofile.read(tmp_path / "a.dat")
    assert recording.peak() > 30 and "input()" in recording.command
    assert mprof("attach", "no-such-process-name", cwd=tmp_path).status == 2
    assert mprof("attach", "4194303", cwd=tmp_path).status == 2


def test_list_rm_and_clean(recorded):
    (recorded / "mprofile_20260203040506.dat").write_text(DATA)
    assert mprof("list", cwd=recorded).stdout == (
        "0 mprofile_20260102030405.dat 03:04:05 02/01/2026\n"
        "1 mprofile_20260203040506.dat 04:05:06 03/02/2026\n"
    )
    dry = mprof("rm", "--dry-run", "-1", cwd=recorded)
    assert dry.stdout == "Files to be removed: \nmprofile_20260203040506.dat\n"
    assert mprof("rm", "0", cwd=recorded).status == 0
    assert [path.name for path in recorded.glob("*.dat")] == ["mprofile_20260203040506.dat"]
    assert mprof("rm", "5", cwd=recorded).status == 2
    assert mprof("rm", "no.dat", cwd=recorded).status == 2
    assert "mprofile_2026" in mprof("clean", "--dry-run", cwd=recorded).stdout
    mprof("clean", cwd=recorded)
    assert not list(recorded.glob("*.dat"))
    assert mprof("peak", cwd=recorded).status == 2


def test_peak(recorded):
    name = "mprofile_20260102030405.dat"
    assert mprof("peak", cwd=recorded).stdout == (
        f"Using last profile data.\n{name}\t50.500 MiB\n  Child 77\t\t\t5.250 MiB\n"
    )
    assert f"{name}\t50.500 MiB" in mprof("peak", "--func", "app.part", name, cwd=recorded).stdout
    assert f"{name}\tNaN MiB\n" == mprof("peak", "--func", "none", "0", cwd=recorded).stdout


def test_a_page_is_whole(recorded):
    result = mprof("plot", "-s", "-w", "0,2", "-t", "a <title> & more", cwd=recorded)
    assert result.stdout.endswith("written: mprofile_20260102030405.html\n"), result.stderr
    page = (recorded / "mprofile_20260102030405.html").read_text()
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "a &lt;title&gt; &amp; more" in page
    picture = xml.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])
    texts = [element.text for element in picture.iter() if element.tag == "text"]
    assert "peak 50.5 MiB at 0.50 s" in texts and "slope +20 MiB/s" in texts
    titles = [element.text for element in picture.iter("title")]
    assert "python app.py" in titles and "child 77" in titles
    assert "app.part: 0.400 s, 12.00 → 50.00 MiB (+38.00)" in titles
    curve = next(e for e in picture.iter("path") if e.get("stroke") == "#3a86ff")
    assert len(curve.get("d").split("L")) == 3
    assert "NaN" not in page and "nan" not in page


@pytest.mark.parametrize("words", [["-o", "x.png"], ["-f", "-o", "x.svg"]])
def test_pictures(recorded, words):
    pytest.importorskip("matplotlib")
    result = mprof("plot", *words, cwd=recorded)
    assert result.status == 0, result.stderr
    content = (recorded / words[-1]).read_bytes()
    assert content.startswith(b"\x89PNG") or b"<svg" in content
    assert (recorded / "x.html").exists()


def test_no_matplotlib_is_one_line(recorded):
    code = (
        "import sys; sys.modules['matplotlib'] = None; from memprof.cli import main; "
        "sys.exit(main(['mprof', 'plot', '-o', 'x.png']))"
    )
    result = run([sys.executable, "-c", code], cwd=recorded, env=environment(PYTHONPATH=str(PYMOD)))
    assert result.status == 2 and (recorded / "x.html").exists()
    assert result.stderr == (
        "memprof: error: matplotlib is needed for pictures (pip install matplotlib)\n"
    )


def test_what_is_no_recording_is_one_line(tmp_path):
    (tmp_path / "x.dat").write_text("MEM ten 1\n")
    (tmp_path / "empty.dat").write_text("CMDLINE x\n")
    for name in ("x.dat", "empty.dat", "no.dat"):
        result = mprof("plot", name, cwd=tmp_path)
        assert result.status == 2 and len(result.stderr.splitlines()) == 1


def test_function_labels():
    names = ["x.z", "x.y", "x.b", "f.a.b", "g.a.b", "g.a.c", "b.c"]
    assert list(mprofile.function_labels(names).values()) == [
        "z",
        "y",
        "x.b",
        "f.a.b",
        "g.a.b",
        "a.c",
        "b.c",
    ]


# ---- memory_usage() ------------------------------------------------------------------------------


def take(mib, seconds=0.0, **kwargs):
    x = b"x" * (mib << 20)
    calls.append(len(x))
    time.sleep(seconds)
    return kwargs or mib


calls = []


def test_a_function_is_called_once_and_its_true_peak_is_seen():
    calls.clear()
    before = usage.memory_usage()[0]
    most, result = usage.memory_usage((take, (64,)), max_usage=True, retval=True)
    assert len(calls) == 1 and result == 64
    assert 63 < most - before < 66 or FREE_THREADED  # mimalloc may have kept as much
    # more than glibc ever takes from its heap, where pages may be resident already
    samples = usage.memory_usage((take, (40, 0.5), {"a": 1}), interval=0.005)
    assert len(calls) == 2 and isinstance(samples, list) and len(samples) > 5
    assert max(samples) - samples[0] > 39 or FREE_THREADED  # mimalloc kept the 64 MiB
    begin = time.time()
    stamped, result = usage.memory_usage((take, (1,), {"b": 2}), timestamps=True, retval=True)
    assert result == {"b": 2} and begin <= stamped[0][1] <= time.time()
    traced = usage.memory_usage((take, (16,)), max_usage=True, backend="tracemalloc")
    assert abs(traced - 16) < 0.1


def test_traced_memory_is_that_of_the_call_and_not_of_an_earlier_profile():
    kept = []
    prof = memprof.LineProfiler()
    prof(lambda: kept.append(bytes(8 << 20)))()  # the trace goes on, paused where it can be
    traced = usage.memory_usage((take, (2,)), max_usage=True, backend="tracemalloc")
    assert abs(traced - 2) < 0.1
    memprof.start()
    try:
        assert memprof.get_traced_memory()[0] < 1 << 20
    finally:
        memprof.stop()


def test_shapes_for_processes(tmp_path):
    assert len(usage.memory_usage()) == 1
    assert len(usage.memory_usage(-1, interval=0.02, timeout=0.1)) == 5
    assert type(usage.memory_usage(-1, interval=0.05, timeout=0.1, max_usage=True)) is float
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
    rows = usage.memory_usage(process, interval=0.05, multiprocess=True)
    assert process.returncode == 0 and all(len(row) == 1 for row in rows) and len(rows) >= 3
    with (tmp_path / "x").open("w") as stream:
        assert usage.memory_usage((take, (1, 0.05)), interval=0.01, stream=stream) is None
    assert all(line.startswith("MEM ") for line in (tmp_path / "x").read_text().splitlines())
    with pytest.raises(ValueError):
        usage.memory_usage((take, (), {}, 4))
    with pytest.raises(ProcessLookupError):
        usage.memory_usage(4194303)


def test_an_exception_passes_through_and_kills_nobody():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(ZeroDivisionError):
        usage.memory_usage((lambda: 1 / 0, ()))
    assert child.poll() is None
    child.communicate(b"\n")


def test_log_file(caplog):
    import logging

    from memprof import LineProfiler, LogFile, show_results

    def work():
        x = b"x" * (40 << 20)
        return len(x)

    prof = LineProfiler(backend="tracemalloc")  # resident memory may be used again
    prof(work)()
    with caplog.at_level(logging.INFO, "some.log"):
        show_results(prof, LogFile("some.log", reportIncrementFlag=True), table="memory_profiler")
    text = "".join(record.getMessage() for record in caplog.records)
    assert "Filename:" in text and "(40 << 20)" in text and "return len(x)" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "-T", "x", "a.py"], "argument --interval/-T: invalid float value: 'x'"),
        (
            ["plot", "-w", "5"],
            "argument --window/-w: two numbers with a comma, the smaller one first",
        ),
        (
            ["plot", "-w", "3,1"],
            "argument --window/-w: two numbers with a comma, the smaller one first",
        ),
        (["peak", "--no-such"], "unrecognized arguments: --no-such"),
        (["attach", "99999999"], "no process 99999999, or it is not ours to read"),
        (["attach", "9" * 30], f"no process {'9' * 30}, or it is not ours to read"),
    ],
)
def test_wrong_words_are_one_line_and_leave_no_file(tmp_path, words, message):
    result = mprof(*words, cwd=tmp_path)
    assert result.status == 2
    (line,) = result.stderr.splitlines()
    assert line.split(" (see")[0] == f"memprof: error: {message}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["run", "attach", "rm", "clean", "list", "plot", "peak"])
def test_help_says_what_a_command_does(command, tmp_path):
    result = mprof(command, "--help", cwd=tmp_path)
    assert result.status == 0 and result.stdout.startswith(f"usage: memprof mprof {command} ")
    assert len(result.stdout.partition("options:")[0].strip().split("\n\n")) >= 2, "a description"
    assert f"\n  memprof mprof {command}" in result.stdout.partition("examples:")[2]
