"""Syntax errors in what IPython's magics compile and run, shown without our own frames.

IPython hides those of other exceptions (``__tracebackhide__``), but for a SyntaxError it lists
every frame there is.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import TracebackType

from IPython.core.error import UsageError

from ...quiet import OWN_FOLDER

_OF_COMPILER = (OverflowError, SyntaxError, ValueError, TypeError, MemoryError)  # so has IPython


class StatementError(UsageError):
    """A statement that cannot be compiled: IPython shows it as it does a cell that cannot."""

    def __init__(self, shell, error: Exception):
        super().__init__(str(error))
        self.shell = shell
        self.error = error

    def _render_traceback_(self) -> list[str]:
        return self.shell.SyntaxTB.structured_traceback(type(self.error), self.error, [])


@contextlib.contextmanager
def compiling(shell) -> Iterator[None]:
    """Around what compiles a statement."""
    try:
        yield
    except _OF_COMPILER as error:
        # A notebook shows the name of the class beside the text.
        named = type(type(error).__name__, (StatementError,), {})
        raise named(shell, error) from None


def _is_ours(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename.startswith(OWN_FOLDER)


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    if traceback is not None:
        traceback.tb_next = _without_ours(traceback.tb_next)
    return traceback


def hides_us(magic: Callable) -> Callable:
    """A magic whose frames are in no SyntaxError that the user's code raises (``import``)."""

    @functools.wraps(magic)
    def hidden(*arguments, **options):
        __tracebackhide__ = True
        try:
            return magic(*arguments, **options)
        except SyntaxError as error:
            error.__traceback__ = _without_ours(error.__traceback__)
            raise  # which adds no frame again

    return hidden


def hides_us_awaited(start: Callable) -> Callable:
    """The same of a function that makes a coroutine."""

    async def hidden():
        __tracebackhide__ = True
        try:
            return await start()
        except SyntaxError as error:
            error.__traceback__ = _without_ours(error.__traceback__)
            raise

    return hidden
