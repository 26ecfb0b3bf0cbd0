"""--every, --fail-on-leak, SIGUSR1 and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from conftest import PROGRAMS, environment, run_traced

WORK = """
import memprof, sys
kept = []
class Request: pass
for number in range(600):
    if sys.argv[1] == "leak":
        kept.append(Request())
    Request()
    memprof.mark("request")
if len(sys.argv) > 2:
    sys.exit(int(sys.argv[2]))
"""
# The demo service, which says when it has served for two seconds, whatever the machine's load.
SERVICE = f"""
import sys, time
sys.path.insert(0, {os.fspath(PROGRAMS)!r})
import service
begin = time.monotonic()
for number in range(120_000):
    while number * 0.001 > time.monotonic() - begin: time.sleep(0.001)
    service.handle(number)
    if number == 2000: print("ready", flush=True)
"""


def work(*arguments, options=("--every", "10")):
    return run_traced("-c", WORK, *arguments, memprof=("--leaks", *options))


# ---- units of work -----------------------------------------------------------------------------


def test_growth_by_units_of_work():
    result = work("leak", options=("--every", "10", "--format", "json"))
    report = json.loads(result.stderr)
    (leak,) = report["leaks"]
    assert (report["unit"], report["seconds"], report["checkpoints"]) == ("request", 600.0, 60)
    assert leak["types"] == {"__main__.Request": 600}
    assert leak["objects"] == 600
    per_object = leak["live_blocks"] // 600  # 3.11 and 3.12 have a block of attributes beside it
    assert abs(leak["growth"]["blocks_per_second"] - per_object) < 0.01
    assert leak["growth"]["points"][0][0] == 10.0


def test_text_is_in_units_of_work():
    text = work("leak").stderr
    assert "grew through the whole run (600 requests)" in text
    assert "600 __main__.Request objects (+1/request, " in text
    assert "through 600 requests: 10 -> 600, no drop at any collection" in text


def test_more_units_than_checkpoints_are_thinned():
    result = work("leak", options=("--every", "1", "--format", "json"))
    report = json.loads(result.stderr)
    assert 32 <= report["checkpoints"] <= 64
    assert report["leaks"][0]["objects"] == 600


def test_marks_without_every_do_nothing():
    import memprof

    memprof.mark("request")
    result = work("clean", options=("--format", "json"))
    assert json.loads(result.stderr)["unit"] == "second"


# ---- the exit status ---------------------------------------------------------------------------

FAIL = ("--every", "10", "--fail-on-leak", "-q")


def test_fail_on_leak_ends_with_3():
    assert work("leak", options=FAIL).status == 3
    assert work("clean", options=FAIL).status == 0
    assert work("leak").status == 0


def test_programs_own_failure_stands():
    assert work("leak", "7", options=FAIL).status == 7
    assert work("leak", "0", options=FAIL).status == 3


def test_output_is_written_before_the_end():
    program = WORK + "\nimport atexit, sys\natexit.register(print, 'last words')\n"
    result = run_traced("-c", program, "leak", memprof=("--leaks", *FAIL))
    assert (result.stdout, result.status) == ("last words\n", 3)


# ---- while it runs -----------------------------------------------------------------------------


def wait_until(path, text):
    """Until a file has the text; what it has."""
    deadline = time.monotonic() + 60
    while text not in (found := path.read_text()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_sigusr1_prints_the_report_so_far_and_ctrl_c_the_last_one(tmp_path):
    path = tmp_path / "stderr"
    with path.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "memprof", "--leaks", "-c", SERVICE],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        wait_until(path, "Still alive, but not growing")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT
    so_far, last = path.read_text().split("Traceback", 1)
    assert "memprof: leaks so far" in so_far
    for text in (so_far, last):
        assert "service.Session objects" in text
        assert "held   service.SESSIONS[..] (dict) -> Session" in text
    assert last.index("KeyboardInterrupt") < last.index("Leaks: ")


def test_handler_of_the_program_has_the_signal():
    program = (
        "import os, signal\n"
        "signal.signal(signal.SIGUSR1, lambda *a: print('mine'))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    result = run_traced("-c", program, memprof=("--leaks", "-q"))
    assert (result.stdout, result.stderr) == ("mine\n", "")
