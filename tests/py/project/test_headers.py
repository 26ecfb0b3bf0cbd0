"""The public headers compile alone, in C and in C++, and their examples do what they say."""

import re
import shutil
import subprocess
import sys
import sysconfig

import memprof
import pytest
from conftest import ROOT

INCLUDE = ROOT / "include"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", INCLUDE]
PYTHON = ["-isystem", sysconfig.get_path("include")]
COMPILERS = {
    "gcc C11": ["gcc", "-x", "c", "-std=c11"],
    "gcc C17": ["gcc", "-x", "c", "-std=gnu17"],
    "clang C11": ["clang", "-x", "c", "-std=c11"],
    "g++ C++11": ["g++", "-x", "c++", "-std=c++11"],
    "g++ C++20": ["g++", "-x", "c++", "-std=c++20"],
    "clang++ C++11": ["clang++", "-x", "c++", "-std=c++11"],
}


def find(compiler):
    """Its path, or that of the newest of its versions (Debian has clang-14 without clang)."""
    versions = (f"{compiler}-{number}" for number in range(29, 10, -1))
    return next(filter(None, map(shutil.which, [compiler, *versions])), None)


def compilers(language):
    for name, (compiler, *flags) in COMPILERS.items():
        if language in name:
            path = find(compiler)
            skip = pytest.mark.skipif(path is None, reason=f"{compiler} is not installed")
            yield pytest.param([path, *flags], id=name, marks=skip)


C_COMPILERS = list(compilers("C1"))
ALL_COMPILERS = list(compilers("C"))


def comment_of(header):
    """The text of the comment that a header begins with."""
    text = (INCLUDE / "memprof" / header).read_text()
    comment = text[: text.index("*/")]
    return re.sub(r"^(/\*| \*) ?", "", comment, flags=re.MULTILINE)


def example_of(header, first, indent):
    """The indented lines of the header's comment from `first` on."""
    lines = comment_of(header).splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(first))
    example = []
    for line in lines[start:]:
        if line.strip() and not line.startswith(indent):
            break
        example.append(line[len(indent) :])
    return "\n".join(example).rstrip() + "\n"


def compile_text(compiler, text, *flags):
    command = [*compiler, *STRICT, *flags, "-fsyntax-only", "-"]
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), text


PROFILES = example_of("memprof.h", "memprof_snapshot *before", "    ")
POOL = example_of("extension.h", "static void *", "    ")
PROFILES_PROGRAM = f"""
#include <memprof/memprof.h>
#include <stdio.h>

int
main(void)
{{
{PROFILES}
    return 0;
}}
"""


def test_the_examples_are_found():
    assert PROFILES.count("memprof_") > 10 and PROFILES.endswith("memprof_snapshot_free(before);\n")
    assert POOL.startswith("static void *\npool_take") and POOL.endswith("}\n")


@pytest.mark.parametrize("compiler", ALL_COMPILERS)
def test_memprof_h_compiles_alone(compiler):
    text = "#include <memprof/memprof.h>\n"
    compile_text(compiler, text * 2 + "int used(void); int used(void) { return MEMPROF_OK; }\n")


@pytest.mark.parametrize("compiler", ALL_COMPILERS)
@pytest.mark.parametrize("python", [False, True], ids=["without Python.h", "with Python.h"])
def test_extension_h_compiles_alone(compiler, python):
    text = "#include <memprof/extension.h>\n#include <memprof/memprof.h>\n"
    if python:
        calls = "memprof_ext_import() + memprof_ext_track(1, 2, 3) + memprof_ext_untrack(1, 2)"
        text = "#include <Python.h>\n" + text
        text += f"int f(void); int f(void) {{ return {calls} + memprof_ext_move(1, 2, 3, 4); }}\n"
    compile_text(compiler, text, *PYTHON)


@pytest.mark.parametrize("compiler", ALL_COMPILERS)
def test_the_functions_of_extension_h_need_not_all_be_used(compiler):
    compile_text(compiler, "#include <Python.h>\n#include <memprof/extension.h>\n", *PYTHON)


@pytest.mark.parametrize("compiler", C_COMPILERS)
def test_the_example_of_memprof_h_compiles(compiler):
    compile_text(compiler, PROFILES_PROGRAM)


@pytest.mark.parametrize("compiler", ALL_COMPILERS)
def test_the_example_of_extension_h_compiles(compiler):
    text = f"""
#include <Python.h>
#include <memprof/extension.h>

enum {{ MY_DOMAIN = 1 }};
struct pool {{ char *next; }};

static void *
pool_carve(struct pool *pool, size_t size)
{{
    char *block = pool->next;
    pool->next += size;
    return block;
}}

{POOL}
void *use(struct pool *pool);
void *use(struct pool *pool) {{ return pool_take(pool, 1); }}
"""
    compile_text(compiler, text, *PYTHON)


def test_the_example_of_memprof_h_says_what_grew(tmp_path):
    """Linked with the sources of the library, on two real profiles."""
    sources = [path for path in (ROOT / "lib").rglob("*.c") if "py" not in path.parts]
    (tmp_path / "example.c").write_text(PROFILES_PROGRAM)
    subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-pthread",
            "-I",
            INCLUDE,
            "-I",
            ROOT / "lib",
            "example.c",
            *sources,
            "-o",
            "example",
        ],
        cwd=tmp_path,
        check=True,
    )
    nothing = subprocess.run(["./example"], cwd=tmp_path, capture_output=True)
    assert (nothing.returncode, nothing.stdout) == (1, b"")

    names = {"kept": [None, None]}
    memprof.start()
    try:
        exec(compile("kept[0] = bytes(3000)", "some file.py", "exec"), names)
        memprof.take_snapshot().dump(tmp_path / "old.mprof")
        exec(compile("\nkept[1] = bytes(70_000)", "größer.py", "exec"), names)
        names["kept"][0] = None
        memprof.take_snapshot().dump(tmp_path / "new.mprof")
    finally:
        memprof.stop()
    output = subprocess.run(["./example"], cwd=tmp_path, capture_output=True, check=True).stdout
    lines = output.decode().splitlines()
    assert lines[0] == f"größer.py:2: {sys.getsizeof(bytes(70_000))} bytes more"
    assert lines[1] == f"some file.py:1: -{sys.getsizeof(bytes(3000))} bytes more"
    assert len(lines) <= 10
