"""memprof lines."""

import json
import re
import sys

import pytest
from conftest import FREE_THREADED, run, run_memprof, run_on_a_terminal
from memprof.views import line_tables as lines_report

PROGRAM = """\
import sys
@profile
def work(n):
    data = [bytes(967) for _ in range(n)]

    return data
class Box:
    def put(self, n):
        self.x = bytearray(n)
work(1000)
Box().put(500_000)
print("done", sys.argv[1:])
sys.exit(3)
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def test_lines_of_marked_functions(program):
    result = run_memprof("lines", "program.py", "a", "-f", cwd=program)
    assert result.status == 3 and result.stderr == ""
    assert result.stdout.startswith("done ['a', '-f']\n")
    assert "program.py:2 in work" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "data = [" in line)
    assert row.split()[0] == "4" and "KiB" in row and "Box" not in result.stdout


def test_lines_of_selected_functions(program):
    result = run_memprof(
        "lines",
        "-f",
        "Box",
        "-f",
        "json.decoder:JSONDecoder.decode",
        "-c",
        "import json\nclass Box:\n  def put(self): return bytes(70_000)\n"
        "Box().put(); json.loads('[1]')",
        cwd=program,
    )
    assert result.status == 0, result.stderr
    assert "in Box.put" in result.stdout and "in JSONDecoder.decode" in result.stdout
    # Without a GIL Python has made a tuple of the arguments, and keeps it for later use.
    assert re.search(r"68\.[45] KiB", result.stdout)
    for words in (["-f", "nosuch", "program.py"], ["-f", "no.such:x", "program.py"], ["no.py"], []):
        result = run_memprof("lines", *words, cwd=program)
        assert result.status == 2 and len(result.stderr.splitlines()) == 1, result


CODE = """
def f(n):
    # a\fcomment
    x = [bytes(70_000) for _ in range(n)]
    return len(x)

    # the end
@profile
class Box:
    def put(self):
        self.x = bytes(50_000)
exec("def g():\\n    return bytes(60_000)")
profile(g)()
import collections
profile(collections.namedtuple("Point", "x y"))(1, 2)
f(1); Box().put()
try: 1 / 0
except ZeroDivisionError:
    import traceback; traceback.print_exc()
import linecache; print(linecache.cache.get("<string>"))
"""


def test_source_of_code_of_the_command_line(tmp_path):
    result = run_memprof("lines", "-f", "f", "-c", CODE, cwd=tmp_path)
    assert result.status == 0, result
    rows = [line for line in result.stdout.split("\n") if re.match(r" +\d+ ", line)]
    for number, text in enumerate(CODE.split("\n")[1:5], 2):
        assert any(row.startswith(f"{number:6} ") and row.endswith("  " + text) for row in rows), (
            rows
        )
    assert any(row.endswith("        self.x = bytes(50_000)") for row in rows)
    assert any("58.6 KiB" in row and row.endswith("MiB") for row in rows), "made by exec: not known"
    plain = run(
        [sys.executable, "-c", CODE.replace("@profile", "").replace("profile(", "(")], cwd=tmp_path
    )
    assert result.stderr == plain.stderr, "the program's own tracebacks are what they were"
    assert plain.stdout == result.stdout.splitlines(True)[0]
    page = run_memprof("lines", "--format", "html", "-f", "f", "-c", CODE, cwd=tmp_path).stdout
    assert "# a\fcomment" in page and "self.x = bytes(50_000)" in page
    text = run_memprof("lines", "--format", "json", "-f", "f", "-c", CODE, cwd=tmp_path).stdout
    rows = json.loads(text.partition("\n")[2])["lines"]
    assert "    return len(x)" in [row["source"] for row in rows]


MODULE = "import sys\nprint(__name__, 'begins')\ndef work(): return bytes(70_000)\nx = work()\n"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("__main__:work", ["app.py"]),
        ("app:work", ["app.py"]),  # the script that is run, not a copy of it
        ("work", ["-m", "package.module"]),
        ("package.module:work", ["-m", "package.module"]),
        ("__main__:work", ["-m", "package"]),
        ("package.__main__:work", ["-m", "package"]),
        ("work", ["package"]),
        ("__main__:work", ["-c", MODULE]),
    ],
)
def test_a_function_of_what_is_run(tmp_path, function, words):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    for path in (tmp_path / "app.py", package / "module.py", package / "__main__.py"):
        path.write_text(MODULE)
    result = run_memprof("lines", "-f", function, *words, cwd=tmp_path)
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.startswith("__main__ begins\nHits: "), "it ran, and once"
    assert re.search(r"^ +3 +1 +68.4 KiB", result.stdout, re.MULTILINE) or FREE_THREADED
    bad = run_memprof("lines", "-f", function + "_not", *words, cwd=tmp_path)
    assert bad.status == 2 and bad.stdout == ""
    assert bad.stderr == f"memprof: error: -f {function}_not: there is no such function\n"


def test_a_function_of_the_package_that_is_run(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("def work(): return bytes(70_000)\n")
    (tmp_path / "package/__main__.py").write_text("from package import work\nx = work()\n")
    result = run_memprof("lines", "-f", "package:work", "-m", "package", cwd=tmp_path)
    assert (result.status, result.stderr) == (
        0,
        "",
    ) and "package/__init__.py:1 in work" in result.stdout


EVALUATOR = """\
import ctypes
api = ctypes.pythonapi
get = api._PyInterpreterState_GetEvalFrameFunc
get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_void_p
api.PyInterpreterState_Get.restype = ctypes.c_void_p
plain = ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p).value
def is_plain(): return get(api.PyInterpreterState_Get()) in (None, plain)
@profile
def work(): return is_plain()
def other(): return is_plain()
print(other(), work(), other())
"""


@pytest.mark.skipif(hasattr(sys, "monitoring"), reason="needs no frame evaluation function")
def test_code_between_marked_functions_runs_as_ever(tmp_path):
    """On 3.11 calls cost more while a profiler is on: it is when a marked function runs."""
    (tmp_path / "program.py").write_text(EVALUATOR)
    result = run_memprof("lines", "program.py", cwd=tmp_path)
    assert result.stdout.startswith("True False True\n"), result
    result = run_memprof("lines", "-f", "other", "program.py", cwd=tmp_path)
    assert result.stdout.startswith("False False False\n"), result


def test_lines_formats(program):
    result = run_memprof("lines", "--format", "json", "-o", "x.json", "program.py", cwd=program)
    assert result.stdout == "done []\n"
    rows = json.loads((program / "x.json").read_text())["lines"]
    assert [row["line"] for row in rows] == [2, 4, 6] and rows[1]["net"] > 1000 * 1000
    run_memprof("lines", "--format", "html", "-o", "x.html", "program.py", cwd=program)
    page = (program / "x.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "bytes(967)" in page and "<script" not in page
    text = run_memprof("lines", "--table", "memory_profiler", "program.py", cwd=program).stdout
    assert "Line #    Mem usage    Increment  Occurrences   Line Contents" in text
    for digits in ("-1", "x", "21"):
        bad = run_memprof("lines", "--precision", digits, "program.py", cwd=program)
        assert bad.status == 2 and bad.stdout == "", "before the program runs"
        assert bad.stderr.startswith("memprof: error: argument --precision: not a number of digits")


@pytest.mark.parametrize("words", [[], ["--format", "json"], ["--table", "memory_profiler"]])
def test_lines_without_a_stdout(program, words):
    command = [sys.executable, "-m", "memprof", "lines", *words, "program.py"]
    result = run(["sh", "-c", 'exec "$@" >&-', "sh", *command], cwd=program)
    plain = run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", "import sys; sys.exit(3)"]
    )
    assert (result.status, result.stderr) == (plain.status, plain.stderr)


def test_lines_on_a_terminal_are_coloured_and_cut(program):
    code = "def f():\n    x = 1 # " + "long " * 60 + "\n    return x\nf()\n"
    (program / "wide.py").write_text(code)
    command = [sys.executable, "-m", "memprof", "lines", "-f", "f", str(program / "wide.py")]
    written = run_on_a_terminal(command, COLUMNS="100")
    assert "\x1b[" in written and "…" in written
    plain = run(command, cwd=program).stdout
    assert "\x1b[" not in plain and "long " * 60 in plain + " "


def test_lines_fit_into_a_narrow_terminal(program):
    path = program / "program.py"
    path.write_text(path.read_text().replace("sys.exit(3)", ""))
    command = [sys.executable, "-m", "memprof", "lines", str(path)]
    written = run_on_a_terminal(command, COLUMNS="80", NO_COLOR="1")
    lines = re.sub(r"\x1b\[[\d;]*m|\r", "", written).splitlines()
    assert max(map(len, lines)) <= 80
    legend = " ".join(lines[lines.index("done []") + 1 : lines.index("")])
    assert legend == " ".join(lines_report.LEGEND), "whole, if on more lines"
    row = next(line for line in lines if line.startswith("     4"))
    assert "data = [bytes(9" in row, "columns give way to the source"
    header = next(line for line in lines if line.startswith("Line #"))
    assert header.split() == "Line # Hits Allocated Freed Net Peak RSS Line Contents".split()
    assert header.index("Line C") + 4 == row.index("data")


def test_a_program_that_fails_or_is_interrupted(program):
    (program / "bad.py").write_text("@profile\ndef f():\n    return 1 / 0\nf()\n")
    result = run_memprof("lines", "bad.py", cwd=program)
    assert result.status == 1 and result.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert (
        "memprof"
        not in result.stderr.replace(str(program), "").split("Error")[0].split("bad.py")[-1]
    )
    assert "return 1 / 0" in result.stdout
