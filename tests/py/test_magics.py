"""%mprun, %memit and %%memprof in a real IPython, in a pseudo-terminal and in a real kernel."""

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import PYMOD, ROOT, environment, run_plain

from memprof import format

pytest.importorskip("IPython")

NOTEBOOK = ROOT / "tests" / "notebooks" / "magics.ipynb"

SESSION = """
import sys
from IPython.terminal.interactiveshell import TerminalInteractiveShell
sys.stderr = sys.stdout
shell = TerminalInteractiveShell.instance(simple_prompt=True, colors="nocolor")
for number, cell in enumerate({cells!r}):
    print(f"[cell {{number}}]", flush=True)
    shell.run_cell(cell)
"""

WORK = """
import memprof, sys, builtins
def work(n):
    a = bytearray(n * 1_000_000)
    b = bytearray(2_000_000)
    del a
    return len(b)
def fails():
    x = bytearray(1000)
    raise KeyError("no such thing")
"""

STATE = (
    "print(memprof.is_tracing(), memprof._core.is_tracing(), hasattr(builtins, 'profile'), "
    "sys.gettrace(), getattr(sys, 'monitoring', None) and "
    "[sys.monitoring.get_tool(n) for n in range(6)].count('memprof lines'))"
)


def session(*cells):
    """What each cell prints, in one terminal IPython."""
    pytest.importorskip("IPython")
    result = run_plain("-c", SESSION.format(cells=["%load_ext memprof", WORK, *cells]))
    assert result.status == 0, result.stderr
    parts = re.split(r"\[cell \d+\]\n", result.stdout)[1:]
    assert parts[:2] == ["", ""], parts[:2]
    return parts[2:]


def columns(text, source):
    """The numbers of the row of a line of source."""
    (row,) = [line for line in text.splitlines() if line.endswith(source)]
    return row.split()[: -len(source.split())]


# ---- %mprun ------------------------------------------------------------------------------------


def test_mprun_of_a_function_from_a_cell():
    (text,) = session("%mprun -f work work(3)")
    assert columns(text, "a = bytearray(n * 1_000_000)")[:4] == "3 1 2930 KiB".split()
    assert "Allocated" in text and "1953 KiB" in text and ":2 in work" in text
    assert columns(text, "del a")[1] == "1"


def test_mprun_leaves_quotes_and_spaces_to_the_statement():
    text = session(
        "%mprun -f work -f fails x = 'a  \"b\"' + \"it's\"; work(1)", "print(repr(x))"
    )[1]
    assert text.strip() == repr("a  \"b\"it's")


def test_mprun_as_cell_magic_and_its_result():
    text = session(
        "%%mprun -f work\nfor i in range(3):\n    work(i)",
        "p = %mprun -r -f work work(2)\nprint(sorted(p.rows()[1]))\nprint(type(p).__name__, len(p.code_map))",
    )
    assert columns(text[0], "return len(b)")[1] == "3"
    assert "['allocated', 'file', 'freed', 'hits', 'line', 'net', 'peak', 'rss', 'source']" in text[1]
    assert "LineProfiler 1" in text[1]


def test_mprun_of_code_from_exec_methods_classes_and_modules():
    texts = session(
        "space = {}\nexec('def made(n):\\n    return bytearray(n)', space)\nmade = space['made']",
        "%mprun -f made made(100_000)",
        "class Box:\n    def put(self): self.x = bytearray(50_000)\n    @staticmethod\n"
        "    def s(): return bytearray(60_000)\n    @property\n    def p(self): return bytearray(70_000)",
        "%mprun -f Box b = Box(); b.put(); b.s(); b.p",
        "%mprun -f Box.put Box().put()",
        "%mprun -m textwrap import textwrap; textwrap.dedent(' x')",
    )

    def is_shown(n, text):  # without a GIL Python may have kept a tuple of the arguments, too
        sizes = (sys.getsizeof(bytearray(n)) + more for more in (0, sys.getsizeof((n,))))
        return any(format.size(size) in text for size in sizes)

    assert is_shown(100_000, texts[1])
    assert all(is_shown(n, texts[3]) for n in (50_000, 60_000, 70_000)), texts[3]
    assert is_shown(50_000, texts[4])
    assert "in dedent" in texts[5]


def test_mprun_with_the_profile_decorator_and_memory_profilers_table():
    (text,) = session("%%mprun -p\n@profile\ndef g():\n    a = b'x' * 30_000_000\n    return len(a)\ng()")
    header = "Line #    Mem usage    Increment  Occurrences   Line Contents"
    assert header in text.splitlines() and "=" * len(header) in text.splitlines()
    increment, unit, hits = columns(text, "a = b'x' * 30_000_000")[3:6]
    assert 28 < float(increment) < 30 and (unit, hits) == ("MiB", "1")


def test_mprun_writes_a_file(tmp_path):
    path = tmp_path / "out.txt"
    (text,) = session(f"%mprun -T {path} -f work work(1)")
    assert f"*** Profile printout saved to text file {path}." in text
    assert "b = bytearray(2_000_000)" in path.read_text()


def test_mprun_tells_before_the_statement_what_it_cannot_write(tmp_path):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    texts = session(
        f"%mprun -T {tmp_path}/no/x -f work print('ran'); work(1)",
        f"%mprun -T {new} -T {tmp_path} -f work print('ran'); work(1)",
        f"%mprun -T {old} -T {new} -f work print('ran'); fails()",
        f"import os; os.chdir({str(tmp_path)!r}); os.mkdir('a')",
        "%mprun -T x.txt -f work os.chdir('a'); work(1)",
        f"%mprun -T {tmp_path}/a/x -f work print('ran'); os.rmdir({str(tmp_path / 'a')!r}); work(1)",
    )
    assert f"UsageError: cannot write '{tmp_path}/no/x': No such file or directory" in texts[0]
    assert f"UsageError: cannot write '{tmp_path}': Is a directory" in texts[1]
    assert "ran" not in texts[0] + texts[1]
    assert "ran" in texts[2] and "KeyError: 'no such thing'" in texts[2]
    assert old.read_text() == "old" and not new.exists()
    assert "bytearray" in (tmp_path / "x.txt").read_text(), "of where the magic was called"
    assert "ran" in texts[5] and "b = bytearray" in texts[5] and "UsageError: cannot write" in texts[5]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%mprun -f nosuch work(1)", "UsageError: Could not find function 'nosuch'.\nNameError"),
        ("%mprun -f len work(1)", "UsageError: 'len' is no Python function"),
        ("%mprun -m no.such work(1)", "UsageError: Could not import module 'no.such'"),
        ("%mprun -z work(1)", "UsageError: %mprun: option -z not recognized"),
        ("%mprun -f fails 1 + 1", "memprof: no lines to show, not called: fails"),
        ("%mprun 1 + 1", "memprof: no lines to show, no functions were selected"),
        ("%mprun -f work work(1); raise SystemExit", "*** SystemExit exception caught"),
        ("%mprun -f work work(1); raise KeyboardInterrupt", "*** KeyboardInterrupt exception"),
        ("%mprun -f fails fails()", "KeyError: 'no such thing'"),
        ("%mprun -f work )", "SyntaxError"),
        ("%memit -r x work(1)", "UsageError: %memit: -r wants a number, not 'x'"),
        ("%memit fails()", "KeyError: 'no such thing'"),
        ("%memit raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("%%memprof -b nothing\n1", "UsageError: %%memprof: no such option"),
        ("%%memprof\nfails()", "KeyError: 'no such thing'"),
    ],
)
def test_messages_and_the_state_afterwards(cell, message):
    text, state = session(cell, STATE)
    assert message in text, text
    assert state.split() in (["False", "False", "False", "None", "0"],
                             ["False", "False", "False", "None", "None"]), state  # fmt: skip


def test_an_exception_keeps_other_trace_functions_and_builtins():
    cells = (
        "def tracer(*a): return tracer\nbuiltins.profile = 'mine'\nsys.settrace(tracer)\n"
        "get_ipython().run_line_magic('mprun', '-f work work(1)')\n"
        "print(sys.gettrace() is tracer, builtins.profile)\nsys.settrace(None)",
        "%load_ext memprof\n%reload_ext memprof\n%memit 1",
    )
    texts = session(*cells)
    assert "True mine" in texts[0]
    assert "peak memory" in texts[1]


# ---- %memit --------------------------------------------------------------------------------------

MEMIT = re.compile(r"peak memory: ([\d.]+) MiB, increment: ([\d.]+) MiB")


def test_memit_finds_the_true_peak_however_short():
    texts = session(
        "%memit bytearray(50 << 20)",
        "%memit b'x' * (50 << 20)",
        "%%memit big = b'x' * (30 << 20)\nlen(big + big[:10 << 20])",
        "import ctypes; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p",
        "%memit p = c.malloc(ctypes.c_size_t(50 << 20)); ctypes.memset(p, 1, 50 << 20)",
    )
    for text, truth in zip(texts[:3] + texts[4:], (50, 50, 50, 50), strict=True):
        peak, increment = map(float, MEMIT.search(text).groups())
        assert abs(increment - truth) <= truth * 0.01, text
        assert peak > increment


def test_memit_repeats_quietly_and_returns():
    texts = session(
        "calls = []",
        "%memit -r 4 calls.append(1)",
        "r = %memit -o -q -r 2 bytearray(10 << 20)\nprint([round(x) for x in r.increments], r.repeat)",
        "print(len(calls)); r",
        "%memit -t 0.1 -r 1000 import time; time.sleep(0.06); calls.append(2)",
        "print(len(calls))",
        "memprof.start(); x = bytearray(10**6)\n%memit bytearray(30 << 20)\n"
        "print(memprof.is_tracing(), memprof.get_traced_memory()[1] > 30 << 20); memprof.stop()",
    )
    assert "increments of 4 runs: " in texts[1] and " ± " in texts[1]
    assert texts[2].strip() == "[10, 10] 2"
    assert texts[3].startswith("4\n") and "<MemitResult : peak memory: " in texts[3]
    assert texts[5].strip() in ("5", "6")  # the time is over after one or two
    assert abs(float(MEMIT.search(texts[6])[2]) - 30) < 0.3 and "True True" in texts[6]


def test_memit_with_children():
    code = "x = b'x' * (40 << 20); import time; time.sleep(.3)"
    (text,) = session(
        f"import subprocess\n%memit -c -i 0.02 subprocess.run([sys.executable, '-c', {code!r}])"
    )
    assert 40 < float(MEMIT.search(text)[2]) < 80, text


# ---- %%memprof -------------------------------------------------------------------------------------


def test_memprof_shows_the_sites_of_a_cell():
    texts = session(
        "%%memprof -n 1\nb = bytes(9)\nkept = [bytes(9_967) for _ in range(300)]\nlen(kept)",
        "%%memprof -b function -m total\nwork(2)",
    )
    assert "Live when traced memory was at its peak, by line (top 1 of" in texts[0]
    assert "kept = [bytes(9_967) for _ in range(300)]" in texts[0]
    assert re.search(r"29\d\d KiB +30\d ", texts[0]) and "300" in texts[0].splitlines()[-1]
    assert "All allocations, by function" in texts[1] and "in work" in texts[1]


def test_memprof_leaves_itself_out():
    magic = "%%memprof -m total -n 100 -b stack\n"
    wait = "import asyncio\nasync def wait(): await asyncio.sleep(0)"
    cells = ["x = bytes(5_000)", "x = bytes(5_000)\nx[0]", "bytes(5_000)\nlen"]
    texts = session(*(magic + cell for cell in cells), magic + "1", magic + "x = 1")
    for text in texts[:3]:
        assert "bytes(5_000)" in text and f"(all 1, {sys.getsizeof(bytes(5_000))} B in all)" in text, text
    assert "(all 0, 0 B in all)" in texts[3] and "(all 0, 0 B in all)" in texts[4]
    cells = ["await wait()\nx = bytes(5_000)", "x = bytes(5_000)\nawait wait()"]
    for text in session(wait, *(magic + cell for cell in cells))[1:]:
        assert "x = bytes(5_000)" in text and "<unknown>" not in text, text
        mine = [line for line in text.splitlines() if re.match(r" +\d.*(memprof|contextlib)", line)]
        assert not mine, mine


def test_memprof_of_a_cell_that_switches_tracing_on():
    """Our frames have not seen it: 3.15 would crash were they not prepared for it afterwards."""
    cell = "def tracer(*event): events.append(event); return tracer\nsys.settrace(tracer)"
    texts = session("events = []", f"%%memprof\n{cell}", "sys.settrace(None)\nprint(len(events) > 5)")
    assert texts[-1] == "True\n", texts


# ---- what is shown ------------------------------------------------------------------------------------


def test_cells_have_the_names_that_tracebacks_give_them(tmp_path):
    texts = session(
        "%mprun -f work work(1)", f"%mprun -T {tmp_path}/x -f work work(1)", "%%memprof -n 1\nwork(1)",
        "%mprun -r -f work work(1)\nprint(_.rows()[0]['file'] == work.__code__.co_filename)",
    )  # fmt: skip
    assert re.search(r"^Cell In\[\d+\]:2 in work$", texts[0], re.MULTILINE), texts[0]
    assert re.search(r"^Cell In\[\d+\]:2 in work$", (tmp_path / "x").read_text(), re.MULTILINE)
    assert re.search(r"  Cell In\[\d+\]:4 in work$", texts[2], re.MULTILINE), texts[2]


@pytest.mark.parametrize("magic", ["%mprun -f fails", "%memit", "%%memprof\n"])
def test_a_traceback_shows_the_users_lines_only(magic):
    (text,) = session(f"{magic} fails()")
    assert "fails()" in text and 'raise KeyError("no such thing")' in text
    assert "memprof/magics.py" not in text, text


@pytest.mark.parametrize("wrong", ["x = )", "return 3", "x = '''", "x = 1\n  y = 2", "'\0'"])
def test_a_syntax_error_looks_as_in_a_cell(wrong):
    magics = ["%%mprun\n", "%%memit\n", "%%memprof\n", "%%memprof\nx = 1\n"]
    if "\n" not in wrong:
        magics += ["%mprun -f work ", "%memit "]
    plain, *texts = session(wrong, *(magic + wrong for magic in magics))
    assert re.search("SyntaxError|IndentationError|IncompleteInputError|null bytes", plain)
    for magic, text in zip(magics, texts, strict=True):
        assert re.sub(r"line \d", "", text) == re.sub(r"line \d", "", plain), magic


def test_annotations_and_future_features_are_those_of_a_cell():
    code = "def f(x: int): pass\nprint(f.__annotations__)"
    magics = ("%%mprun", "%%memit", "%%memprof")
    plain, *texts = session(code, *(f"{magic}\n{code}" for magic in magics))
    for text in texts:
        assert text.startswith(plain)


def test_a_syntax_error_in_the_set_up_of_memit():
    plain, text = session("x = )", "%%memit x = )\n1")
    assert text == plain


def test_a_syntax_error_of_what_the_statement_runs(tmp_path):
    (tmp_path / "wrong.py").write_text("x = )\n")
    imports = "import wrong"
    _, plain, *texts = session(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nasync def later(): exec('x = )')",
        imports, f"%mprun -f work {imports}", f"%memit {imports}", f"%%memprof\n{imports}",
        f"%%memit {imports}\n1", "%memit await later()", "%%mprun\nawait later()",
        "try:\n    %memit import wrong\nexcept SyntaxError:\n    print('caught')",
    )  # fmt: skip
    assert f"{tmp_path}/wrong.py" in plain
    for text in texts[:-1]:
        assert "SyntaxError" in text and "x = )" in text
        assert "memprof/magic" not in text and "memprof/await" not in text, text
        assert "import wrong" in text or "await later()" in text
    assert texts[-1] == "caught\n"


# ---- top-level await ---------------------------------------------------------------------------------

WAITS = """
import asyncio
async def waits(n):
    a = bytearray(n * 1_000_000)
    await asyncio.sleep(0.01)
    return len(a)
"""


def test_top_level_await_in_a_terminal():
    outputs = session(
        WAITS,
        "%mprun -f waits await waits(3)",
        "%%mprun -f waits\nprint(await asyncio.gather(waits(1), waits(2)))",
        "%memit await waits(10)",
        "%%memit -r 2 n = 20\nawait waits(n)",
        "%%memit n = await waits(20)\nbytearray(n)",
        "%%memprof -n 1\nasync with asyncio.Lock():\n    size = await waits(4)\nawait waits(5)",
        "%mprun -f waits await nosuch()",
        "%autoawait off",
        "%mprun -f waits await waits(3)",
        STATE,
    )
    assert columns(outputs[1], "a = bytearray(n * 1_000_000)")[1:4] == ["1", "2930", "KiB"]
    assert outputs[2].startswith("[1000000, 2000000]\n")
    assert columns(outputs[2], "return len(a)")[1] == "2"
    assert abs(float(MEMIT.search(outputs[3])[2]) - 9.54) < 0.1
    assert "increments of 2 runs: 19.0" in outputs[4]
    assert abs(float(MEMIT.search(outputs[5])[2]) - 19.07) < 0.2, outputs[5]
    assert "a = bytearray(n * 1_000_000)" in outputs[6] and outputs[6].endswith("5000000\n")
    assert "NameError: name 'nosuch' is not defined" in outputs[7]
    assert "UsageError: 'await' outside function (see %autoawait)" in outputs[9]
    assert outputs[10].startswith("False False False None")


def test_top_level_await_in_a_kernel(tmp_path, monkeypatch):
    outputs = kernel_session(
        tmp_path, monkeypatch,
        "%load_ext memprof\nimport memprof" + WAITS,
        "%%mprun -f waits\nprint(await asyncio.gather(waits(1), waits(2)))",
        "%mprun -r -f waits await waits(3)",
        "print(_.rows()[0]['hits'])\n%memit await waits(10)",
        "%%memit -o -r 2 n = 20\nawait waits(n)",
        "%%memprof -n 1\nsize = await waits(4)\nawait waits(5)",
        "%%memprof\nsize = await nosuch()",
        "if True:\n    value = %mprun -f waits await waits(1)\nvalue",
        "%mprun -f waits print('await')",
        "print(memprof._core.is_tracing())",
        "%memit await )",
        "async def later(): exec('x = )')\n%memit await later()",
        "%%memit n = await waits(20)\nbytearray(n)",
    )  # fmt: skip
    texts = [json.dumps(output) for output in outputs]
    assert "[1000000, 2000000]" in texts[1] and "<table" in texts[1]
    assert "2930 KiB" in texts[2] and "LineProfiler" in texts[2]
    assert "peak memory: " in texts[3] and outputs[3][0].text.startswith("1\n")
    assert "increments of 2 runs: 19.0" in texts[4]
    assert "4883 KiB" in texts[5] and outputs[5][-1].data["text/plain"] == "5000000"
    assert "name 'nosuch' is not defined" in texts[6]
    assert "has to be a statement of its own" in texts[7]
    assert "await" in texts[8] and "error" not in texts[8]
    assert outputs[9][0].text == "False\n"
    (error,) = outputs[10]
    assert error.ename == "SyntaxError" and "unmatched" in error.evalue
    assert "Cell" in error.traceback[0] and len(error.traceback) == 1
    (error,) = outputs[11]
    assert error.ename == "SyntaxError" and "memprof/" not in "".join(error.traceback)
    assert abs(float(MEMIT.search(outputs[12][0].text)[2]) - 19.07) < 0.2, outputs[12]


# ---- a terminal and a kernel ------------------------------------------------------------------------


def test_a_real_terminal_and_ctrl_c():
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable, ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        env=environment(TERM="xterm-256color", COLUMNS="200"), encoding="utf-8", timeout=30,
        dimensions=(60, 200),
    )  # fmt: skip

    def say(line, wanted):
        child.expect(r"In \[\d+\]: ")
        child.sendline(line)
        child.expect(wanted)

    say("%load_ext memprof", r"\n")
    say("import time, memprof, sys", r"\n")
    say("def f(): return bytearray(3_000_000)\n", r"\n")
    say("%mprun -f f f()", r"2930 KiB")  # with colour around it
    assert "\x1b[" in child.before
    say("%memit f()", r"peak memory: \d+\.\d\d MiB, increment: 2\.8\d MiB")
    say("%mprun -f f f(); print('go', 1); time.sleep(20)", "go 1")
    child.sendintr()
    child.expect(re.escape("*** KeyboardInterrupt exception caught in code being profiled."))
    say("import asyncio", r"\n")
    say("async def g(): print('went', 1); await asyncio.sleep(20)\n", r"\n")
    say("%mprun -f g await g()", "went 1")
    child.sendintr()
    child.expect(r"\*\*\* (KeyboardInterrupt exception caught in|the) code being profiled")
    say("print('state', memprof._core.is_tracing(), sys.gettrace())", "state False None")
    child.expect(r"In \[\d+\]: ")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_real_kernel_runs_the_notebook(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(PYMOD))
    notebook = nbformat.read(NOTEBOOK, 4)
    client = nbclient.NotebookClient(
        notebook, timeout=60, kernel_name=_kernel(tmp_path, monkeypatch),
        resources={"metadata": {"path": str(tmp_path)}},
    )  # fmt: skip
    client.execute()
    outputs = [cell.outputs for cell in notebook.cells]
    mprun = outputs[2][0].data
    assert "rows = [bytes(1000 - 33) for _ in range(n)]" in mprun["text/plain"]
    assert "<table" in mprun["text/html"] and "linear-gradient" in mprun["text/html"]
    assert "4883 KiB" in mprun["text/html"] and "<script" not in mprun["text/html"]
    text = "".join(output.get("text", "") for output in outputs[3])
    assert "3 1 5000 spare = bytearray(5_000_000)" in text
    increment = float(MEMIT.search(outputs[4][0].text)[2])
    assert abs(increment - 50) < 0.5
    text = "".join(output.get("text", "") for output in outputs[5])  # in one piece or more
    assert "increments of 3 runs: 40.0" in text
    assert any("<table" in output.get("data", {}).get("text/html", "") for output in outputs[5])
    assert "kept = [bytearray(10_000) for _ in range(500)]" in outputs[6][0].data["text/html"]
    assert "UsageError: Could not find function 'nosuch'." in json.dumps(outputs[7])
    assert outputs[8][0].text.split() == ["False", "False", "None", "2000"]


def kernel_session(tmp_path, monkeypatch, *cells):
    """The outputs of each cell, in one kernel."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(PYMOD))
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name=_kernel(tmp_path, monkeypatch), allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()  # fmt: skip
    return [cell.outputs for cell in notebook.cells]


def _kernel(folder: Path, monkeypatch) -> str:
    """A kernel of this very interpreter."""
    spec = folder / "kernels" / "memprof-test"
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    document = {"argv": command, "display_name": "test", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(document))
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    return "memprof-test"
