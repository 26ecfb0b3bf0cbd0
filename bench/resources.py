"""One process, run to its end, with what it and its children used."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

from environment import TooLong


@dataclass(frozen=True)
class Used:
    """cpu: seconds of user and system; wall: seconds; rss: bytes, the most resident at once.

    cpu and rss include children that were waited for: the sum of their times, the peak of the
    largest one process. A process that is started has the peak of the one that started it as
    its least, so nothing below the 20 MiB or so of bench/real.py itself can be seen.
    """

    cpu: float
    wall: float
    rss: int
    status: int
    output: str
    """What it wrote to stdout and stderr."""


def run(command: list[str], folder: str, variables: dict[str, str], seconds: float) -> Used:
    """Raises TooLong after so many seconds, when the process has been ended with its children."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = False
        try:
            ended = _ends_within(process.pid, seconds)
        finally:
            wall = time.perf_counter() - began
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # children that it left, too
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if not ended:
            raise TooLong(f"took more than {seconds:.0f} s")
        output.seek(0)
        text = output.read().decode(errors="replace")
    cpu = usage.ru_utime + usage.ru_stime
    return Used(cpu, wall, usage.ru_maxrss * 1024, process.returncode, text)


def _ends_within(pid: int, seconds: float) -> bool:
    """Wait without reaping: its usage is asked for afterwards."""
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
