"""%mprun, %memit and %%memprof in a real IPython, in a pseudo-terminal and in a real kernel."""

import re
import sys

import pytest
from magics_helpers import MEMIT, STATE, columns, session
from memprof.model import units as format

pytest.importorskip("IPython")

# ---- %mprun ------------------------------------------------------------------------------------


def test_mprun_of_a_function_from_a_cell():
    (text,) = session("%mprun -f work work(3)")
    assert columns(text, "a = bytearray(n * 1_000_000)")[:4] == "3 1 2930 KiB".split()
    assert "Allocated" in text and "1953 KiB" in text and ":2 in work" in text
    assert columns(text, "del a")[1] == "1"


def test_mprun_leaves_quotes_and_spaces_to_the_statement():
    text = session('%mprun -f work -f fails x = \'a  "b"\' + "it\'s"; work(1)', "print(repr(x))")[1]
    assert text.strip() == repr('a  "b"it\'s')


def test_mprun_as_cell_magic_and_its_result():
    text = session(
        "%%mprun -f work\nfor i in range(3):\n    work(i)",
        "p = %mprun -r -f work work(2)\nprint(sorted(p.rows()[1]))\n"
        "print(type(p).__name__, len(p.code_map))",
    )
    assert columns(text[0], "return len(b)")[1] == "3"
    assert (
        "['allocated', 'file', 'freed', 'hits', 'line', 'net', 'peak', 'rss', 'source']" in text[1]
    )
    assert "LineProfiler 1" in text[1]


def test_mprun_of_code_from_exec_methods_classes_and_modules():
    texts = session(
        "space = {}\nexec('def made(n):\\n    return bytearray(n)', space)\nmade = space['made']",
        "%mprun -f made made(100_000)",
        "class Box:\n    def put(self): self.x = bytearray(50_000)\n    @staticmethod\n"
        "    def s(): return bytearray(60_000)\n    @property\n"
        "    def p(self): return bytearray(70_000)",
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
    (text,) = session(
        "%%mprun -p\n@profile\ndef g():\n    a = b'x' * 30_000_000\n    return len(a)\ng()"
    )
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
        f"%mprun -T {tmp_path}/a/x -f work print('ran'); "
        f"os.rmdir({str(tmp_path / 'a')!r}); work(1)",
    )
    assert f"UsageError: cannot write '{tmp_path}/no/x': No such file or directory" in texts[0]
    assert f"UsageError: cannot write '{tmp_path}': Is a directory" in texts[1]
    assert "ran" not in texts[0] + texts[1]
    assert "ran" in texts[2] and "KeyError: 'no such thing'" in texts[2]
    assert old.read_text() == "old" and not new.exists()
    assert "bytearray" in (tmp_path / "x.txt").read_text(), "of where the magic was called"
    assert (
        "ran" in texts[5] and "b = bytearray" in texts[5] and "UsageError: cannot write" in texts[5]
    )


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
    assert state.split() in (
        ["False", "False", "False", "None", "0"],
        ["False", "False", "False", "None", "None"],
    ), state


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
        "r = %memit -o -q -r 2 bytearray(10 << 20)\n"
        "print([round(x) for x in r.increments], r.repeat)",
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
    code = "x = b'x' * (40 << 20); import time; time.sleep(1.5)"
    (text,) = session(
        f"import subprocess\n%memit -c -i 0.02 subprocess.run([sys.executable, '-c', {code!r}])"
    )
    assert 40 < float(MEMIT.search(text)[2]) < 80, text


# ---- %%memprof -----------------------------------------------------------------------------------


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
        assert (
            "bytes(5_000)" in text and f"(all 1, {sys.getsizeof(bytes(5_000))} B in all)" in text
        ), text
    assert "(all 0, 0 B in all)" in texts[3] and "(all 0, 0 B in all)" in texts[4]
    cells = ["await wait()\nx = bytes(5_000)", "x = bytes(5_000)\nawait wait()"]
    for text in session(wait, *(magic + cell for cell in cells))[1:]:
        assert "x = bytes(5_000)" in text and "<unknown>" not in text, text
        mine = [line for line in text.splitlines() if re.match(r" +\d.*(memprof|contextlib)", line)]
        assert not mine, mine


def test_memprof_of_a_cell_that_switches_tracing_on():
    """Our frames have not seen it: 3.15 would crash were they not prepared for it afterwards."""
    cell = "def tracer(*event): events.append(event); return tracer\nsys.settrace(tracer)"
    texts = session(
        "events = []", f"%%memprof\n{cell}", "sys.settrace(None)\nprint(len(events) > 5)"
    )
    assert texts[-1] == "True\n", texts


# ---- what is shown -------------------------------------------------------------------------------


def test_cells_have_the_names_that_tracebacks_give_them(tmp_path):
    texts = session(
        "%mprun -f work work(1)",
        f"%mprun -T {tmp_path}/x -f work work(1)",
        "%%memprof -n 1\nwork(1)",
        "%mprun -r -f work work(1)\nprint(_.rows()[0]['file'] == work.__code__.co_filename)",
    )
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
        imports,
        f"%mprun -f work {imports}",
        f"%memit {imports}",
        f"%%memprof\n{imports}",
        f"%%memit {imports}\n1",
        "%memit await later()",
        "%%mprun\nawait later()",
        "try:\n    %memit import wrong\nexcept SyntaxError:\n    print('caught')",
    )
    assert f"{tmp_path}/wrong.py" in plain
    for text in texts[:-1]:
        assert "SyntaxError" in text and "x = )" in text
        assert "memprof/magic" not in text and "memprof/await" not in text, text
        assert "import wrong" in text or "await later()" in text
    assert texts[-1] == "caught\n"
