"""lib/base/linetable.c against co_positions() and co_lines() of all of the standard library."""

import ctypes
import os
import subprocess
import types
import warnings
from array import array
from pathlib import Path

import pytest
from conftest import ROOT

SOURCE = r"""
#include "base/linetable.h"
void lines_of(const uint8_t *table, size_t length, int first, size_t count, uint32_t *lines)
{
    struct mp_line_cursor cursor = {0};
    for (size_t i = 0; i < count; i++)
        lines[i] = mp_linetable_seek(&cursor, table, length, first, (int64_t)i * 2);
}
"""
LIBRARY = Path(os.__file__).parent
LEFT_OUT = {"test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linetable")
    (folder / "lines.c").write_text(SOURCE)
    subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-O2",
            "-shared",
            "-fPIC",
            "-I",
            ROOT / "lib",
            "lines.c",
            ROOT / "lib" / "base" / "linetable.c",
            "-o",
            "lines.so",
        ],
        cwd=folder,
        check=True,
    )
    library = ctypes.CDLL(folder / "lines.so")
    library.lines_of.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_size_t,
        ctypes.c_void_p,
    ]
    library.mp_linetable_line.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    library.mp_linetable_line.restype = ctypes.c_uint32
    return library


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def all_code():
    """Of each module: compiled anew, for a .pyc may be of another micro version."""
    for path in sorted(LIBRARY.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(LIBRARY).parts):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
                except SyntaxError:  # some are for tests
                    continue
            yield from code_objects(code)


def lines_of(reader, code):
    table, count = code.co_linetable, len(code.co_code) // 2
    lines = array("I", bytes(4 * count))
    reader.lines_of(table, len(table), code.co_firstlineno, count, lines.buffer_info()[0])
    return lines


def test_every_instruction_of_the_standard_library(reader):
    objects = instructions = 0
    for code in all_code():
        found = lines_of(reader, code)
        expected = array("I", [position[0] or 0 for position in code.co_positions()])
        assert found == expected, code
        table = code.co_linetable
        for begin, end, line in code.co_lines():
            at = (begin + end) // 4 * 2
            one = reader.mp_linetable_line(table, len(table), code.co_firstlineno, at)
            assert one == (line or 0), (code, begin)
            if objects % 20:  # each is read from the table's start
                break
        objects += 1
        instructions += len(found)
    assert objects > 10_000 and instructions > 500_000


@pytest.mark.parametrize("lines", [1, 2, 63, 64, 128, 4096, 100_000])
def test_code_with_far_jumps_of_lines(reader, lines):
    gap = "\n" * lines
    text = f"a = 1{gap}def f(x):{gap} return [{gap}y for y in x{gap} if (lambda: {gap}y)]{gap}f(a)"
    for code in code_objects(compile(text, "gaps", "exec")):
        expected = array("I", [position[0] or 0 for position in code.co_positions()])
        assert lines_of(reader, code) == expected
