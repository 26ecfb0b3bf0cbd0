"""The check at import: an interpreter with other frames is refused, in one sentence."""

import gc
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest
from conftest import ROOT, environment, run
from memprof import _core

NAMES = ("code", "previous", "ip", "owner")
RIGHT = _core.verify()
# What each frame of this Python may be read at: far too.
WRONG = [0, 4, 8, 16, 24, 32, 40, 48, 56, 64, 69, 70, 71, 74, 78, 80, 4096, 2**24, 2**46]
SENTENCE = (
    r"memprof was compiled for a Python \d\.\d+ with other frames than this Python \S+ \(.+\); "
    "install a memprof that was built for it"
)


def deep(n):
    """Call verify() below functions, a generator, a class body and a constructor."""
    if n:
        return deep(n - 1)

    class Body:
        def __init__(self):
            self.found = next(_core.verify(*RIGHT) for _ in range(1))

        made = [_core.verify(*RIGHT)]

    return Body().found, *Body.made


@pytest.mark.parametrize("depth", [0, 1, 90, 300])
def test_the_frames_that_run_are_found(depth):
    assert deep(depth) == (None, None)


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_offset_is_refused(name, value):
    offsets = list(RIGHT)
    offsets[NAMES.index(name)] = value
    if value == RIGHT[NAMES.index(name)]:
        assert _core.verify(*offsets) is None
    elif name == "owner" and sys.version_info < (3, 13):
        # no table of offsets, and the byte at a wrong place may be as small as an owner
        assert (why := _core.verify(*offsets)) is None or re.fullmatch(SENTENCE, why)
    else:
        assert re.fullmatch(SENTENCE, _core.verify(*offsets))


def test_a_wrong_offset_of_the_owner_is_refused():
    """Below C code, from 3.12 on: the interpreter's own frames would be taken for Python's."""

    def below_c_code(_):
        return _core.verify(*RIGHT[:3], 2**40)

    found = list(map(below_c_code, "x"))
    assert re.fullmatch(SENTENCE, found[0])


def test_verify_leaks_nothing():
    for offsets in (RIGHT, (RIGHT[0] + 8, *RIGHT[1:])):
        deep(10)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(1000):
            _core.verify(*offsets)
        assert sys.getallocatedblocks() - before < 100


@pytest.fixture(scope="module")
def strange_memprof(tmp_path_factory):
    """The package with an extension that was compiled for other frames."""
    folder = tmp_path_factory.mktemp("strange")
    for room in ("lib", "pymod", "include"):
        ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT / room, folder / room, ignore=ignored)
    for header in (folder / "lib").rglob("layout_3*.h"):
        text, count = re.subn(r"(MP_FRAME_PREVIOUS = )(\d+)", r"\1 8 + \2", header.read_text())
        assert count == 1
        header.write_text(text)
    sources = [*folder.glob("lib/**/*.c"), *folder.glob("pymod/core/*.c")]
    target = "_core" + sysconfig.get_config_var("EXT_SUFFIX")
    subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-O0",
            "-shared",
            "-fPIC",
            "-pthread",
            '-DMEMPROF_VERSION="0"',
            f"-I{sysconfig.get_path('include')}",
            f"-I{folder / 'include'}",
            f"-I{folder / 'lib'}",
            *sources,
            "-o",
            folder / "pymod" / "memprof" / target,
        ],
        check=True,
    )
    return folder / "pymod"


def test_a_build_for_other_frames_is_not_imported(strange_memprof):
    source = "try: import memprof\nexcept ImportError as error: print(error)"
    result = run([sys.executable, "-c", source], env=environment(PYTHONPATH=str(strange_memprof)))
    assert (result.status, result.stderr) == (0, "")
    assert re.fullmatch(SENTENCE, result.stdout.strip())


def test_a_build_for_other_frames_runs_no_program(strange_memprof):
    command = [sys.executable, "-m", "memprof", "-c", "print('ran')"]
    result = run(command, env=environment(PYTHONPATH=str(strange_memprof)))
    assert (result.status, result.stdout) == (1, "")
    assert re.search(SENTENCE, result.stderr) and result.stderr.count("\n") == 1
