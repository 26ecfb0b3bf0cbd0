"""The traced program must not notice: whatever it prints, and how it ends, is the same."""

from __future__ import annotations

import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from conftest import PROGRAMS, PYMOD, Result, environment, run, run_at_once, run_both

ENDINGS = PROGRAMS / "endings.py"
FAILING = PROGRAMS / "failing.py"
INSIDES = PROGRAMS / "insides.py"
SURROUNDINGS = PROGRAMS / "surroundings.py"

# What comes after the program is the program's, even where it looks like an option of ours.
ARGUMENTS = ("-q", "--top", "a b", "--", "-m", "é", "")


def functions_of(program) -> list[str]:
    return re.findall(r"^def ([a-z]\w+)\(\):$", program.read_text("utf-8"), re.MULTILINE)


# ---- ways to start a program -------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory with one program in every form that Python starts."""
    path = tmp_path_factory.mktemp("ways")
    (path / "below" / "deeper").mkdir(parents=True)
    for place in ("script.py", "no_extension", "below/a name.py", "below/deeper/module.py"):
        shutil.copy(SURROUNDINGS, path / place)
    for place in ("below/target.py", "directory/__main__.py", "package/__main__.py"):
        (path / place).parent.mkdir(exist_ok=True)
        shutil.copy(SURROUNDINGS, path / place)
    (path / "package" / "__init__.py").write_text("import sys; print(sys.argv, sys.path[0])\n")
    (path / "link.py").symlink_to("below/target.py")
    (path / "link_to_directory").symlink_to("directory")
    py_compile.compile(str(SURROUNDINGS), str(path / "compiled.pyc"))
    with zipfile.ZipFile(path / "archive.zip", "w") as archive:
        archive.write(SURROUNDINGS, "__main__.py")
    return path


WAYS = {
    "script": ("script.py",),
    "script after dot": ("./script.py",),
    "script after dots": ("below/../script.py",),
    "script without extension": ("no_extension",),
    "script with a space": ("below/a name.py",),
    "script in another directory": ("below/deeper/module.py",),
    "symlink": ("link.py",),
    "compiled": ("compiled.pyc",),
    "directory": ("directory",),
    "directory with slash": ("./directory/",),
    "symlink to a directory": ("link_to_directory",),
    "archive": ("archive.zip",),
    "module": ("-m", "script"),
    "module joined": ("-mscript",),
    "package": ("-m", "package"),
    "module of a package": ("-m", "below.deeper.module"),
    "code": ("-c", SURROUNDINGS.read_text("utf-8")),
    "code joined": ("-c" + SURROUNDINGS.read_text("utf-8"),),
}


def assert_seen_the_same(plain: Result, traced: Result) -> None:
    assert plain.status == 1 and "ValueError: failed" in plain.stderr  # it ran to its end
    assert traced.stdout.splitlines() == plain.stdout.splitlines()
    assert traced.stderr == plain.stderr
    assert traced.status == plain.status


@pytest.mark.parametrize("way", WAYS)
def test_way_to_start(folder, way):
    assert_seen_the_same(*run_both(*WAYS[way], *ARGUMENTS, cwd=folder))


@pytest.mark.parametrize("way", ["script", "symlink", "directory", "archive", "code", "compiled"])
def test_way_to_start_with_safe_path(folder, way):
    assert_seen_the_same(*run_both(*WAYS[way], *ARGUMENTS, python=("-P",), cwd=folder))


def test_safe_path_from_the_environment(folder):
    changed = environment(PYTHONSAFEPATH="1")
    assert_seen_the_same(*run_both("script.py", cwd=folder, env=changed))


def test_absolute_path(folder):
    assert_seen_the_same(*run_both(folder / "script.py", *ARGUMENTS, cwd="/"))


def test_relative_path_from_the_root(folder):
    path = str(folder / "script.py").lstrip("/")
    assert_seen_the_same(*run_both(path, *ARGUMENTS, cwd="/"))


def test_script_from_a_pipe():
    command = f"exec {sys.executable} %s /dev/fd/3 a 3< <(cat {SURROUNDINGS})"
    plain, traced = run_at_once(
        lambda: run(["bash", "-c", command % ""]),
        lambda: run(["bash", "-c", command % "-m memprof -q"]),
    )
    assert_seen_the_same(plain.without_addresses(), traced.without_addresses())


@pytest.mark.parametrize("kind", ["script.py", "-c", "-m"])
def test_working_directory_that_is_gone(folder, tmp_path, kind):
    words = {
        "script.py": str(folder / "script.py"),
        "-c": "-c 'import sys; print(sys.path); print(sys.argv); raise ValueError(\"failed\")'",
        "-m": "-m script",
    }[kind]
    changed = environment(PYTHONPATH=f"{PYMOD}{os.pathsep}{folder}")
    results = []
    for memprof in ("", "-m memprof -q"):
        gone = tmp_path / "gone"
        gone.mkdir()
        command = f"cd {gone} && rmdir {gone} && exec {sys.executable} {memprof} {words}"
        source = run(["sh", "-c", command.replace("show_process()", "")], env=changed)
        results.append(source.without_addresses())
    plain, traced = results
    assert plain.status == 1
    assert traced == plain


INDENTED = [
    "   print(1)\n   print(2)",
    '\n  \n\tif 1:\n\t    print("""a\n\t  \n\t b""")\n',
    "  1\n\t1",
    " 1\n1",
    "    def f():\n       1/0\n \n    f()\n  ",
    "",
    "  ",
    "\n",
    ' print("""\\\n  \n x""")\n',
    " 1\n \xa0\n",
    " print(1)\r\n print(2)\r\n",
    " print(1)\n ",
]


@pytest.mark.parametrize("source", INDENTED)
def test_indented_code(source):
    """Python 3.14 takes the common indent away; before that it is an error."""
    plain, traced = run_both("-c", source)
    if "SyntaxError" in plain.stderr or "IndentationError" in plain.stderr:
        assert traced.status == 2 and traced.stdout == ""
    else:
        assert traced == plain


OPTIONS = ["-O", "-OO", "-B", "-u", "-X dev", "-W error::ImportWarning", "-W ignore", "-X utf8=0"]
OPTIONS += ["-s -S", "-X faulthandler -X int_max_str_digits=0", "-X tracemalloc=2", "-q -bb"]
if sys.version_info >= (3, 15):
    OPTIONS += ["-X lazy_imports=all"]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_python(folder, options):
    assert_seen_the_same(*run_both("script.py", python=options.split(), cwd=folder))


@pytest.fixture(scope="module")
def isolated_python(tmp_path_factory):
    """An interpreter that finds memprof without any environment variable."""
    path = tmp_path_factory.mktemp("isolated")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    (site,) = path.glob("lib/python3*/site-packages")
    (site / "memprof.pth").write_text(f"{PYMOD}\n")
    return path / "bin" / "python"


@pytest.mark.parametrize("way", ["script", "directory", "code", "symlink"])
def test_isolated_mode(isolated_python, folder, way):
    plain, traced = run_at_once(
        lambda: run([isolated_python, "-I", *WAYS[way]], cwd=folder),
        lambda: run([isolated_python, "-I", "-m", "memprof", "-q", *WAYS[way]], cwd=folder),
    )
    assert_seen_the_same(plain.without_addresses(), traced.without_addresses())


@pytest.mark.parametrize("way", ["script", "directory", "archive", "package", "code", "compiled"])
def test_console_script(folder, tmp_path, way):
    """As pip installs it: not in the way of the program's own sys.path."""
    console = tmp_path / "memprof"
    console.write_text("import sys\nfrom memprof.__main__ import main\nsys.exit(main())\n")
    plain, traced = run_at_once(
        lambda: run([sys.executable, *WAYS[way], *ARGUMENTS], cwd=folder),
        lambda: run([sys.executable, console, "run", "-q", *WAYS[way], *ARGUMENTS], cwd=folder),
    )
    assert_seen_the_same(plain.without_addresses(), traced.without_addresses())


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_streams_closed_from_the_start(tmp_path, stream):
    source = "import sys; open(sys.argv[1], 'w').write(repr((sys.stdin, sys.stdout, sys.stderr)))"
    source += "; print('out'); print('err', file=sys.stderr); raise ValueError('failed')"
    results = []
    for number, memprof in enumerate(("", "-m memprof -q")):
        seen = tmp_path / f"seen{number}"
        command = f'exec {sys.executable} {memprof} -c "$0" {seen} {stream}>&-'
        done = run(["sh", "-c", command, source])
        results.append((done.without_addresses(), seen.read_text()))
    assert results[1] == results[0]


# ---- how programs end --------------------------------------------------------------------


DEPTH = re.compile(r"(?<=depth )\d+|(?<=repeated )\d+(?= more times)")


def assert_as_deep(plain: str, traced: str) -> None:
    """A limit of recursion is reached at most a few frames earlier: ours are on the stack."""
    (deep,), (almost,) = DEPTH.findall(plain), DEPTH.findall(traced)
    assert 0 <= int(deep) - int(almost) <= 16


def without(pattern: str, result: Result) -> Result:
    return Result(
        re.sub(pattern, "", result.stdout), re.sub(pattern, "", result.stderr), result.status
    )


# What differs, and why that is right.
DIFFERENCES = {
    # ours is an extension module, and is named; from 3.14 on its functions are on the C stack
    "crash_with_faulthandler": r"(?s)\n(Current thread's C stack trace|Extension modules: ).*",
    "stderr_closed": r"object refcount : \d+",
    "unittests_of_the_module": r"(?<= in )\d\.\d+s",
    "error_recursion": DEPTH.pattern,
    "recursion_is_as_deep": DEPTH.pattern,
}


def assert_same(name: str, plain: Result, traced: Result) -> None:
    if DIFFERENCES.get(name) == DEPTH.pattern:
        assert_as_deep(plain.stdout + plain.stderr, traced.stdout + traced.stderr)
    pattern = DIFFERENCES.get(name, r"(?!)")
    assert without(pattern, traced) == without(pattern, plain)


@pytest.mark.parametrize("name", functions_of(ENDINGS))
def test_ending(name):
    plain, traced = run_both(ENDINGS, name)
    assert_same(name, plain, traced)


@pytest.mark.parametrize("name", functions_of(FAILING))
def test_failing(name):
    plain, traced = run_both(FAILING, name)
    assert plain.status in (1, 42)
    assert_same(name, plain, traced)


def test_endings_are_different():
    """The program does run what it is told to."""
    expected = {
        "falls_off_the_end": ("over\n", 0),
        "exit_number": ("", 7),
        "signal_interrupt": ("", -signal.SIGINT),
        "signal_terminate": ("", -signal.SIGTERM),
        "signal_kill": ("before\n", -signal.SIGKILL),
        "exit_of_the_operating_system": ("before\n", 9),
        "stdout_flushed_before_exit_handlers": ("the script is over\n", 0),
    }
    for name, (stdout, status) in expected.items():
        plain = run([sys.executable, ENDINGS, name])
        assert (name, plain.stdout, plain.status) == (name, stdout, status)


@pytest.mark.parametrize("kind", ["-c", "-m", "directory"])
@pytest.mark.parametrize(
    "statement",
    ["raise KeyboardInterrupt", "import os; os.kill(os.getpid(), 2)", "exit('text')", "1 / 0"],
)
def test_ending_of_other_kinds(tmp_path, kind, statement):
    for place in ("-c", "-m", "directory"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "__main__.py").write_text(statement)
    (tmp_path / "module.py").write_text(statement)
    words = {"-c": ("-c", statement), "-m": ("-m", "module"), "directory": ("directory",)}
    plain, traced = run_both(*words[kind], cwd=tmp_path)
    assert plain.status in (1, -signal.SIGINT)
    assert traced == plain


DEEP = """
import sys
def deep(n):
    try: return deep(n + 1)
    except RecursionError: return n
print(deep(0))
for limit in (30, 70, 5000, 1000):
    try: sys.setrecursionlimit(limit)
    except RecursionError as error: print(error)
    print(deep(0))
"""


@pytest.mark.parametrize("kind", ["-c", "-m", "script"])
def test_calls_go_as_deep(tmp_path, kind):
    (tmp_path / "module.py").write_text(DEEP)
    words = {"-c": ("-c", DEEP), "-m": ("-m", "module"), "script": ("module.py",)}
    plain, traced = run_both(*words[kind], cwd=tmp_path)
    assert plain.stdout.startswith("9") and plain.status == 0
    assert traced == plain


def wait_for_sleep(pid: int) -> None:
    """Until the main thread of a process waits in the kernel, and goes on waiting."""
    status, before = Path(f"/proc/{pid}/status"), None
    while True:
        facts = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        now = facts["State"][0], facts["voluntary_ctxt_switches"]
        if now == before and now[0] == "S":
            return
        before = now
        time.sleep(0.2)


def test_interrupt_from_outside():
    """Ctrl-C at a program that sleeps."""
    source = "import time; print('ready', flush=True); time.sleep(120)"
    results = []
    for memprof in ([], ["-m", "memprof", "-q"]):
        process = subprocess.Popen(
            [sys.executable, *memprof, "-c", source],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert process.stdout.readline() == "ready\n"
        wait_for_sleep(process.pid)
        process.send_signal(signal.SIGINT)
        results.append((*process.communicate(timeout=120), process.returncode))
    assert results[0][2] == -signal.SIGINT
    assert results[1] == results[0]


# ---- what programs see -------------------------------------------------------------------

EXPECTED_STATUS = {"caller_past_the_end": 1, "unittests_of_the_module": 1}


@pytest.mark.parametrize("name", functions_of(INSIDES))
def test_inside(name):
    plain, traced = run_both(INSIDES, name, stdin="number\ncontinue\nlast\n")
    assert plain.status == EXPECTED_STATUS.get(name, 0)
    assert plain.stdout or plain.stderr
    assert_same(name, plain, traced)


@pytest.mark.parametrize("name", ["pool_of_spawn", "pool_of_forkserver", "executor_of_processes"])
def test_processes_of_a_module(name):
    """A child imports the main module by its name, not by its path."""
    plain, traced = run_both("-m", "insides", name, cwd=PROGRAMS)
    assert plain.status == 0 and plain.stdout
    assert traced == plain


@pytest.mark.parametrize("tool", [("-m", "pdb"), ("-m", "cProfile", "-o", os.devnull)])
def test_tool_that_runs_the_script(tool):
    """memprof -m pdb script.py and the like."""
    plain, traced = run_both(*tool, INSIDES, "modules_of_classes", stdin="next\ncontinue\n")
    assert "__main__" in plain.stdout
    assert traced == plain
