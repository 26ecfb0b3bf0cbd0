"""The leak report of a running program, when SIGUSR1 asks for it."""

from __future__ import annotations

import _signal  # signal itself would import enum, which the program may not have
import gc
import os

from .. import _core
from ..control import tracing
from ..model import leaks
from ..views import console
from ..views import leak_report as leaks_report


def install(session) -> None:
    """Print the report so far at SIGUSR1, unless somebody else has use for the signal.

    The program may set a handler of its own later, which then has the signal to itself.
    """
    if _signal.getsignal(_signal.SIGUSR1) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGUSR1, lambda number, frame: _report(session))


def _report(session) -> None:
    """In the main thread, between two instructions of the program."""
    if not tracing.is_tracing() or os.getpid() != session.pid:
        return
    before = _core.quiet(True)
    try:
        gc.collect()
        _core.clear_type_cache()
        growth = leaks.find_growth(tracing.snapshot_so_far(), explain=True)
        lines = leaks_report.lines(growth, session.settings.top)
        console.write(
            [[], console.line(("memprof: leaks so far", console.TITLE)), *lines], session.stderr
        )
    except MemoryError:
        console.write([console.line("memprof: not enough memory for a report")], session.stderr)
    finally:
        _core.quiet(before)
