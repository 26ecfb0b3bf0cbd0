"""Bad input: one line that names what is wrong, exit status 2, and nothing left behind."""

from __future__ import annotations

import os
import re
import sys

import pytest
from conftest import PROGRAMS, run, run_memprof, run_plain, run_traced
from memprof.programs import outputs


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "sound.mprof"
    program = PROGRAMS / "known_amounts.py"
    assert run_traced(program, memprof=("-q", "-o", path)).status == 0
    return path


@pytest.fixture
def folder(tmp_path, profile):
    """Programs and profiles with something wrong, in the working directory."""
    sound = profile.read_bytes()
    middle = len(sound) // 2
    files = {
        "fine.py": b"print('ran')\n",
        "syntax.py": b"fine = 1\nnot fine = 2\n",
        "null.py": b"a = 1\0\n",
        "encoding.py": b"# -*- coding: klingon -*-\n",
        "latin.py": b"name = '\xe9'\n",
        "foreign.pyc": b"\x01\x02\r\n" + bytes(100),
        "archive.zip": b"PK\5\6" + bytes(18),
        "old.mprof": sound,
        "empty.mprof": b"",
        "truncated.mprof": sound[:middle],
        "one_byte_short.mprof": sound[:-1],
        "corrupt.mprof": sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :],
        "newer.mprof": sound[:8] + b"\x09" + sound[9:],
        "foreign.mprof": b"SQLite format 3\0" + bytes(200),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "directory").mkdir()
    return tmp_path


def content_of(folder) -> dict:
    return {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}


def assert_refused(folder, words, named) -> None:
    before = content_of(folder)
    result = run_memprof(*words, cwd=folder)
    assert re.fullmatch(r"memprof: error: [^\n]+\n", result.stderr)
    assert named in result.stderr
    assert (result.stdout, result.status) == ("", 2)
    assert content_of(folder) == before


BAD_PROGRAMS = [
    (("missing.py",), "missing.py"),
    (("missing/fine.py",), "missing/fine.py"),
    (("",), "''"),
    (("directory",), "'directory'"),
    (("archive.zip",), "archive.zip"),
    (("syntax.py",), "syntax.py, line 2"),
    (("null.py",), "null.py"),
    (("encoding.py",), "klingon"),
    (("latin.py",), "latin.py"),
    (("foreign.pyc",), "foreign.pyc"),
    (("-c", "a b"), "<string>, line 1"),
    (("-m", "missing_module"), "missing_module"),
    (("-m", "json.missing"), "json.missing"),
    (("-m", "wsgiref"), "wsgiref"),
    (("-m", ".relative"), "Relative"),
    (("-m",), "-m"),
    (("-c",), "-c"),
    ((), "no program"),
]


@pytest.mark.parametrize(("words", "named"), BAD_PROGRAMS)
def test_bad_program(folder, words, named):
    """Nothing is written, whatever the output would have been."""
    assert_refused(folder, words, named)
    assert_refused(folder, ("-o", "new.mprof", *words), named)
    assert_refused(folder, ("--format", "json", "-o", "new.json", *words), named)


BAD_OPTIONS = [
    "--unknown",
    "-x",
    "--by size",
    "--metric size",
    "--top 0",
    "--top -1",
    "--top many",
    "--format xml",
    "--malloc tcmalloc",
    "--checkpoint 0",
    "--checkpoint -1",
    "--checkpoint nan",
    "--checkpoint inf",
    "--checkpoint soon",
    "--leaks=yes",
    "-o directory",
    "-o missing/run.mprof",
    "-o /proc/run.mprof",
    "-o fine.py/run.mprof",
    "--format json -o directory",
    "--format json -o missing/run.json",
]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_option(folder, options):
    words = options.split()
    assert_refused(folder, (*words, "fine.py"), words[-1].partition("=")[0])


def test_empty_output(folder):
    assert_refused(folder, ("-o", "", "fine.py"), "''")
    assert_refused(folder, ("--format", "json", "-o", "", "fine.py"), "''")


BAD_PROFILES = [
    "empty.mprof",
    "truncated.mprof",
    "one_byte_short.mprof",
    "corrupt.mprof",
    "newer.mprof",
    "foreign.mprof",
    "fine.py",
    "missing.mprof",
    "directory",
    "/dev/null",
]


@pytest.mark.parametrize("name", BAD_PROFILES)
def test_bad_profile(folder, name):
    assert_refused(folder, ("show", name), f"'{name}'")
    assert_refused(folder, ("diff", name, "old.mprof"), f"'{name}'")
    assert_refused(folder, ("diff", "old.mprof", name), f"'{name}'")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("show", "FILE"),
        ("show old.mprof old.mprof", "old.mprof"),
        ("show --by size old.mprof", "size"),
        ("show --leaks old.mprof", "--leaks"),
        ("diff old.mprof", "NEW"),
        ("diff old.mprof old.mprof --fail-on-growth much", "much"),
        ("diff old.mprof old.mprof --fail-on-growth -1", "-1"),
        ("diff old.mprof old.mprof --metric size", "size"),
    ],
)
def test_bad_words_for_show_and_diff(folder, words, named):
    assert_refused(folder, words.split(), named)


def test_report_that_cannot_be_written(profile):
    command = f"{sys.executable} -m memprof show {profile} > /dev/full"
    result = run(["sh", "-c", command])
    assert result.stderr == "memprof: error: cannot write the report: No space left on device\n"
    assert result.status == 2


def test_output_that_fails_at_the_end(tmp_path):
    """The program has run: its exit status stays, and the failure is told."""
    source = "import shutil, sys; shutil.rmtree(sys.argv[1]); exit(4)"
    for options in ((), ("--format", "json")):
        (tmp_path / "gone").mkdir()
        output = tmp_path / "gone" / "run"
        memprof_options = ("-q", *options, "-o", output)
        result = run_traced("-c", source, output.parent, memprof=memprof_options)
        assert result.stderr == f"memprof: cannot write '{output}': No such file or directory\n"
        assert result.status == 4


@pytest.mark.parametrize(
    "words",
    ["lines", "lines --format json", "lines --format html", "mprof run", "--format json", ""],
)
def test_output_that_cannot_be_written_is_told_first(tmp_path, words):
    (tmp_path / "program.py").write_text("open('ran', 'w')")
    result = run_memprof(*words.split(), "-o", "no/x", "program.py", cwd=tmp_path)
    assert result.status == 2 and "no/x" in result.stderr and len(result.stderr.splitlines()) == 1
    assert "No such file or directory" in result.stderr
    assert os.listdir(tmp_path) == ["program.py"]


def test_an_output_of_the_drop_in_module_that_cannot_be_written(tmp_path):
    (tmp_path / "program.py").write_text("open('ran', 'w')")
    module = "memprof.compat.memory_profiler"
    result = run_plain("-m", module, "-o", "no/x", "program.py", cwd=tmp_path)
    assert (result.status, result.stderr) == (1, "cannot write 'no/x': No such file or directory\n")
    assert os.listdir(tmp_path) == ["program.py"]


def test_tables_that_cannot_be_written_at_the_end(tmp_path):
    source = "import shutil; shutil.rmtree('gone'); exit(4)"
    (tmp_path / "gone").mkdir()
    result = run_memprof("lines", "-o", "gone/x", "-c", source, cwd=tmp_path)
    assert result.status == 4
    assert result.stderr == "memprof: cannot write the tables: No such file or directory\n"


def test_looking_whether_a_file_can_be_written(tmp_path):
    """Changes and leaves nothing."""
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    old.write_text("old")
    link.symlink_to(new)
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    before = old.stat().st_mtime_ns
    for path in (old, new, link, pipe):  # the pipe has no reader: opening it would take for ever
        outputs.check_writable(str(path))
    assert old.stat().st_mtime_ns == before and old.read_text() == "old"
    assert not new.exists() and link.is_symlink()
    for path in (tmp_path, loop, old / "x", tmp_path / "no" / "x", f"{new}/", ""):
        with pytest.raises(OSError):
            outputs.check_writable(str(path))
    assert sorted(os.listdir(tmp_path)) == ["link", "loop", "old", "pipe"]
