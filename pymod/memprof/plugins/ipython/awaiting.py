"""Top-level ``await`` in what IPython's magics run.

In a terminal no event loop runs while a cell does: the magic runs one, as IPython would. In a
kernel one does, and only the cell itself can wait: there a magic with an ``await`` in its code
gives something to be awaited, and an input transformer puts the ``await`` in front of it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable, Coroutine
from types import CodeType

from IPython.core.error import UsageError

from .errors import hides_us_awaited

_CALL = re.compile(r"get_ipython\(\)\.run_(cell|line)_magic\('(mprun|memit|memprof)', ")
_WORD = re.compile(r"\b(await|async)\b")


def compile_code(shell, source: str | ast.AST, name: str, mode: str = "exec") -> CodeType:
    """Code that may await, compiled as the shell's cells are. What ``eval`` of it gives must then
    be awaited."""
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(source, name, mode, flags, dont_inherit=True)


def does_await(code: CodeType) -> bool:
    """The code has an ``await``, an ``async for`` or an ``async with`` of its own."""
    return bool(code.co_flags & inspect.CO_COROUTINE)


class Waiting:
    """What a magic gives in a kernel, for its cell to await."""

    __slots__ = ("start",)

    def __init__(self, start: Callable[[], Coroutine]):
        self.start = start

    def __await__(self):
        return self.start().__await__()

    def __repr__(self) -> str:
        return "<not run: a magic whose code awaits has to be a statement of its own>"


def run(shell, start: Callable[[], Coroutine]):
    """Run the coroutine that ``start`` makes; its result, or where a loop runs already what the
    cell awaits."""
    if not shell.autoawait:
        raise UsageError("'await' outside function (see %autoawait)")
    start = hides_us_awaited(start)
    return Waiting(start) if _is_in_loop() else _run_here(shell, start)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_here(shell, start: Callable[[], Coroutine]):
    """An interrupt ends the coroutine before it goes on, so that nothing stays switched on."""
    tasks = []

    async def steps():
        try:
            tasks.append(asyncio.current_task())
        except RuntimeError:
            pass  # another kind of loop
        return await start()

    async def ended():
        await asyncio.wait(tasks)

    try:
        return shell.loop_runner(steps())
    except BaseException:
        if tasks and tasks[0] is not None and not tasks[0].done():
            tasks[0].cancel()
            shell.loop_runner(ended())
        raise


def transformer(code_of: Callable[[str, list[str]], CodeType]) -> Callable:
    """An input transformer for kernels, which sees lines of Python. ``code_of``: the code that a
    magic of this name runs with these arguments."""

    def await_magics(lines: list[str]) -> list[str]:
        return [f"await {line}" if _is_awaited(line, code_of) else line for line in lines]

    return await_magics


def _is_awaited(line: str, code_of) -> bool:
    if not (_CALL.match(line) and _WORD.search(line)):
        return False
    try:
        name, *arguments = map(ast.literal_eval, ast.parse(line.strip(), mode="eval").body.args)
        return does_await(code_of(name, arguments))
    except (SyntaxError, ValueError, UsageError):
        return False  # the magic itself will say what is wrong
