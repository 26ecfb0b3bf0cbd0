"""The leak report of a running program, when SIGUSR1 asks for it."""

from __future__ import annotations

import _signal  # signal itself would import enum, which the program may not have
import gc
import os

from .. import _core
from ..control import tracing
from ..control.growth import find_growth
from ..quiet import quiet
from ..views import console, leak_report


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
    with quiet:
        try:
            gc.collect()
            _core.clear_type_cache()
            growth = find_growth(tracing.snapshot_so_far(), explain=True)
            title = console.line(("memprof: leaks so far", console.TITLE))
            lines = [[], title, *leak_report.lines(growth, session.settings.top)]
        except MemoryError:
            lines = [console.line("memprof: not enough memory for a report")]
        console.write(lines, session.stderr)
