"""memprof.compat.memory_profiler: memory_profiler 0.61's own tests, its text, and the reproducers
of its issues, which fail there and pass here."""

import json
import subprocess
import sys
import tarfile

import pytest
from conftest import EMULATOR, FREE_THREADED, GIVES_BACK, PYMOD, ROOT, environment, run, run_plain

MODULE = "memprof.compat.memory_profiler"

# ---- its own tests, from its source distribution -------------------------------------------------

# Needs the real thing: name of the file, and why it cannot pass.
CANNOT_PASS = {
    "test_exit_code.py": "uses assertRaisesRegexp, which unittest lost in Python 3.12"
    if sys.version_info >= (3, 12)
    else None,
    "test_increment_display.py": "what is allocated and freed must be the same to a MiB,"
    " but an emulator keeps some of it"
    if EMULATOR
    else None,
}

MARKED = [
    "test_func",
    "test_loop",
    "test_mprofile",
    "test_as",
    "test_global",
    "test_gen",
    "test_unicode",
    "test_precision_command_line",
    "test_nested",
    "test_loop_decorated",
]
DIRECT = [
    "test_import",
    "test_precision_import",
    "test_exception",
    "test_async",
    "test_attributes",
    "test_stream_unicode",
    "test_memory_usage",
    "test_tracemalloc",
    "test_increment_display",
    "test_mprof",
    "test_exit_code",
]


@pytest.fixture(scope="session")
def their_tests():
    """The folder with its tests and with our modules under its names."""
    folder = ROOT / "build" / "memory_profiler-tests"
    tests = folder / "memory_profiler-0.61.0" / "test"
    if not tests.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:"]
        command += ["--no-build-isolation", "-d", str(folder), "memory_profiler==0.61.0"]
        done = subprocess.run(command, capture_output=True, text=True)
        archives = list(folder.glob("memory_profiler-0.61.0.tar.gz"))
        if done.returncode or not archives:
            pytest.skip(f"its source distribution is not to be had: {done.stderr[-200:]}")
        with tarfile.open(archives[0]) as archive:
            if hasattr(tarfile, "data_filter"):  # 3.11.4 and later
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(folder)
    shim = folder / "shim"
    shim.mkdir(exist_ok=True)
    replace = "import sys\nfrom {} import {} as real\nsys.modules[__name__] = real\n"
    (shim / "memory_profiler.py").write_text(replace.format("memprof.compat", "memory_profiler"))
    (shim / "mprof.py").write_text(
        "import sys\nfrom memprof.model.recording import function_labels\n"
        "from memprof.cli import mprof\n"
        "def run_action(): sys.exit(mprof.run(sys.argv[1:])) if '--exit-code' in sys.argv"
        " else mprof.run(sys.argv[1:])\n"
    )
    return tests


def with_shim(tests):
    return environment(PYTHONPATH=f"{tests.parents[1] / 'shim'}:{PYMOD}", **GIVES_BACK)


@pytest.mark.parametrize("name", DIRECT)
def test_its_tests_that_import_it(name, their_tests, tmp_path):
    if reason := CANNOT_PASS.get(f"{name}.py"):
        pytest.skip(reason)
    script = their_tests / f"{name}.py"
    if not script.exists():
        pytest.skip("not in the source distribution")
    result = run([sys.executable, script], cwd=tmp_path, env=with_shim(their_tests))
    assert result.status == 0, result.stderr


@pytest.mark.parametrize("name", MARKED)
def test_its_tests_that_are_run_by_it(name, their_tests, tmp_path):
    script = their_tests / f"{name}.py"
    if not script.exists():
        pytest.skip("not in the source distribution")
    result = run([sys.executable, "-m", MODULE, script], cwd=tmp_path)
    assert (result.status, result.stderr) == (0, ""), result.stderr
    header = "Line #    Mem usage    Increment  Occurrences   Line Contents"
    assert (header in result.stdout) == ("@profile" in script.read_text())


# ---- its text ------------------------------------------------------------------------------------

PROGRAM = """\
import sys
@profile
def work(n):
    a = b"x" * (30 * 2**20)

    del a
    for i in range(n):
        pass
    return n
work(3)
print("args", sys.argv[1:])
sys.exit(4)
"""

EXPECTED = """\
args ['a', '-o', 'b']
Filename: {path}

Line #    Mem usage    Increment  Occurrences   Line Contents
=============================================================
     2  # MiB  # MiB           1   @profile
     3                                         def work(n):
     4  # MiB  # MiB           1       a = b"x" * (30 * 2**20)
     5                                         
     6  # MiB  # MiB           1       del a
     7  # MiB  # MiB           4       for i in range(n):
     8  # MiB  # MiB           3           pass
     9  # MiB  # MiB           1       return n


"""  # noqa: W291


def masked(text):
    import re

    return re.sub(r" {1,}-?\d+\.\d{3} MiB", "  # MiB", text)


def test_command_line_text_and_status(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    result = run([sys.executable, "-m", MODULE, script, "a", "-o", "b"], cwd=tmp_path)
    assert masked(result.stdout) == EXPECTED.format(path=script)
    assert (result.status, result.stderr) == (4, "")


def test_command_line_is_the_same_as_theirs(tmp_path):
    pytest.importorskip("memory_profiler")
    if sys.version_info >= (3, 12):
        pytest.skip("loop events are others from 3.12 on")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("sys.exit(4)", ""))
    ours, theirs = (
        run([sys.executable, "-m", module, script, "a"], cwd=tmp_path).stdout
        for module in (MODULE, "memory_profiler")
    )
    assert masked(ours) == masked(theirs)


def test_command_line_options(tmp_path):
    script, out = tmp_path / "program.py", tmp_path / "out"
    script.write_text(PROGRAM)
    for _ in range(2):  # appends
        run([sys.executable, "-m", MODULE, "--precision", "1", "-o", out, script], cwd=tmp_path)
    assert out.read_text().count("Filename: ") == 2
    assert run_plain("-m", MODULE).stdout == "A program to run must be provided. Use -h for help\n"
    assert run_plain("-m", MODULE).status == 1
    missing = run([sys.executable, "-m", MODULE, "no_such.py"], cwd=tmp_path)
    assert (missing.status, missing.stderr) == (1, "Could not find script no_such.py\n")
    stamped = run([sys.executable, "-m", MODULE, "--timestamp", script], cwd=tmp_path).stdout
    words = stamped.splitlines()[-1].split()
    assert words[:2] == ["FUNC", "__main__.work"] and len(words) == 7 and words[6] == "0"


# ---- reproducers ---------------------------------------------------------------------------------

REPRODUCER = """
import json, sys
if {module!r} == "ours":
    from memprof.compat import memory_profiler
else:
    import memory_profiler
MIB = 2 ** 20
def block(mib):
    return b"x" * (mib * MIB)
{code}
def increments(prof):
    (measures, *_) = prof.code_map.values() if prof.code_map else [dict()]
    with open(__file__) as file:
        source = file.read().splitlines()
    marks = {{}}
    for line, values in measures.items():
        mark = source[line - 1].rpartition("# ")[2] if "# " in source[line - 1] else None
        if mark:
            marks[mark] = [round(values[0], 1), round(values[1], 1), values[2]]
    return marks
prof = memory_profiler.LineProfiler()
print(json.dumps(main(prof)))
"""


def reproduce(code, tmp_path):
    """What main(prof) of the code returns, under memory_profiler and under ours."""
    pytest.importorskip("memory_profiler")
    results = []
    for module in ("theirs", "ours"):
        script = tmp_path / f"{module}.py"
        script.write_text(REPRODUCER.format(module=module, code=code))
        result = run([sys.executable, script], cwd=tmp_path)
        assert result.status == 0, result.stderr
        results.append(json.loads(result.stdout.splitlines()[-1]))
    return results


# Without a GIL, mimalloc gives memory back later, and theirs shows nothing below zero.


def test_issue_9_a_function_that_is_called_twice(tmp_path):
    code = """
def twice(n):
    x = block(n)  # x
    y = len(x)  # y
    return y  # return
def main(prof):
    call = prof(twice)
    call(60)
    call(1)
    return increments(prof)
"""
    theirs, ours = reproduce(code, tmp_path)
    assert theirs["y"][0] < -50 or FREE_THREADED  # nothing is freed on that line
    assert abs(ours["y"][0]) < 1 and abs(ours["return"][0]) < 1 and 60 < ours["x"][0] < 63


def test_issue_155_functions_without_a_file(tmp_path):
    code = """
def main(prof):
    space = {"block": block}
    exec(compile("def cell():\\n    return block(20)\\n", "<ipython-input-1-abc>", "exec"), space)
    prof(space["cell"])()
    return [len(measures) for measures in prof.code_map.values()]
"""
    theirs, ours = reproduce(code, tmp_path)
    assert theirs == [] and ours == [2]


LOOP = """
def loop():
    for size in (60, 20, 1):  # for
        x = block(size)  # x
    return len(x)  # return
def main(prof):
    prof(loop)()
    return increments(prof)
"""


def test_issue_226_negative_increments_in_a_loop(tmp_path):
    theirs, ours = reproduce(LOOP, tmp_path)
    assert theirs["for"][0] < -50 or FREE_THREADED
    assert abs(ours["for"][0]) < 1
    assert -1 < ours["x"][0] < (82 if FREE_THREADED else 62)  # all three blocks


def test_issue_317_increments_larger_than_all_there_is(tmp_path):
    code = LOOP.replace("(60, 20, 1)", "(60,) + (1,) * 40")
    theirs, ours = reproduce(code, tmp_path)
    most = max(values[1] for values in theirs.values())
    assert (
        theirs["for"][0] < -10 * most or FREE_THREADED
    )  # gigabytes, in a process of a hundred megabytes
    assert abs(ours["for"][0]) < 2 and abs(ours["x"][0]) < 62


def test_issue_236_a_comprehension_is_as_much_as_a_list(tmp_path):
    code = """
N = 40_000
def lists():
    ones = [1] * N  # ones
    twos = [object() for n in ones]  # twos
    return twos  # return
def main(prof):
    used = [object() for _ in range(2 * N)]  # room that resident memory has already
    keep = used[::100]
    del used
    prof(lists)()
    if hasattr(prof, "rows"):
        return {row["source"].rpartition("# ")[2]: row["net"] / MIB for row in prof.rows()}
    return increments(prof)
"""
    theirs, ours = reproduce(code, tmp_path)
    truth = 40_000 * (sys.getsizeof(object()) + 8) / 2**20
    assert theirs["twos"][0] < truth * 0.6
    assert abs(ours["twos"] - truth) < truth * 0.1


def test_issue_348_memory_that_is_used_again(tmp_path):
    code = """
def again():
    kept = [bytes(200) for _ in range(20_000)]  # kept
    return kept  # return
def main(prof):
    used = [bytes(200) for _ in range(40_000)]
    keep = used[::30]
    del used
    prof(again)()
    if hasattr(prof, "rows"):
        return {row["source"].rpartition("# ")[2]: row["allocated"] / MIB for row in prof.rows()}
    return increments(prof)
"""
    theirs, ours = reproduce(code, tmp_path)
    truth = 20_000 * sys.getsizeof(bytes(200)) / 2**20
    assert theirs["kept"][0] < truth / 2
    assert truth < ours["kept"] < truth * 1.6  # with the list, at each size that it had


def test_issue_407_no_distutils():
    pytest.importorskip("memory_profiler")
    pytest.importorskip("IPython")
    code = """
import sys
sys.modules["distutils"] = sys.modules["distutils.version"] = None
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import importlib
try:
    importlib.import_module(sys.argv[1]).load_ipython_extension(shell)
except ImportError as error:
    print("fails", error)
else:
    print("works", "mprun" in shell.magics_manager.magics["line"])
"""
    results = [run_plain("-c", code, name).stdout for name in ("memory_profiler", MODULE)]
    assert results[0].startswith("fails") and results[1] == "works True\n"


GROWS = """
@profile
def grows():
    kept = []
    for i in range(50):
        kept.append(b"x" * 4_000_000)
    return len(kept)
print("result", grows())
"""


def test_the_debugger_at_a_limit_in_a_terminal(tmp_path):
    pexpect = pytest.importorskip("pexpect")
    (tmp_path / "grows.py").write_text(GROWS)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "memprof.compat.memory_profiler", "--pdb-mmem=100", str(tmp_path / "grows.py")],
        env=environment(),
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 200),
    )
    child.expect(r"Current memory 1\d\d\.\d\d MiB exceeded the maximum of 100\.00 MiB")
    child.expect("Stepping into the debugger")
    child.expect(r"grows\.py\(\d\)grows\(\)")
    child.expect(r"\(Pdb\) ")
    child.sendline("p 'kept', len(kept)")
    child.expect(r"\('kept', (\d+)\)")
    assert 5 <= int(child.match[1]) < 30
    child.expect(r"\(Pdb\) ")
    child.sendline("next")
    child.expect(r"\(Pdb\) ")
    child.sendline("continue")
    child.expect("result 50")
    child.expect("Line #    Mem usage    Increment  Occurrences   Line Contents")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
