"""The magics in a terminal and in a kernel: top-level await, Ctrl-C, a notebook."""

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import PYMOD, environment
from magics_helpers import MEMIT, NOTEBOOK, STATE, columns, session

pytest.importorskip("IPython")

# ---- top-level await -----------------------------------------------------------------------------

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
        tmp_path,
        monkeypatch,
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
    )
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


# ---- a terminal and a kernel ---------------------------------------------------------------------


def test_a_real_terminal_and_ctrl_c():
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        env=environment(TERM="xterm-256color", COLUMNS="200"),
        encoding="utf-8",
        timeout=120,
        dimensions=(60, 200),
    )

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
    say("%mprun -f f f(); print('go', 1); time.sleep(120)", "go 1")
    child.sendintr()
    child.expect(re.escape("*** KeyboardInterrupt exception caught in code being profiled."))
    say("import asyncio", r"\n")
    say("async def g(): print('went', 1); await asyncio.sleep(120)\n", r"\n")
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
        notebook,
        timeout=240,
        kernel_name=_kernel(tmp_path, monkeypatch),
        resources={"metadata": {"path": str(tmp_path)}},
    )
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
        notebook,
        timeout=240,
        kernel_name=_kernel(tmp_path, monkeypatch),
        allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
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
