"""Sessions of a real IPython."""

import re

import pytest
from conftest import ROOT, run_plain

NOTEBOOK = ROOT / "tests" / "notebooks" / "magics.ipynb"

MEMIT = re.compile(r"peak memory: ([\d.]+) MiB, increment: ([\d.]+) MiB")

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
