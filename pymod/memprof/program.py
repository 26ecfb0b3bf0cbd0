"""Running somebody else's program as if it were run by Python itself.

The program finds the ``sys.argv``, ``sys.path[0]``, ``__main__`` and caller (none) that a
plain run gives it, and its exceptions are printed by the interpreter's own machinery.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

from . import _core


class ProgramError(Exception):
    """The program cannot be started; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: ``kind`` is script, module or code."""

    kind: str
    target: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        flag = {"script": [], "module": ["-m"], "code": ["-c"]}[self.kind]
        return ["python", *flag, self.target, *self.arguments]


def prepare(program: Program) -> Callable[[], object]:
    """Set up the process for the program; a function that runs it. ProgramError."""
    if program.kind == "module":
        return _prepare_module(program)
    if program.kind == "code":
        return _prepare_code(program)
    return _prepare_script(program)


def _set_path0(directory: str) -> None:
    """Replace the entry that Python made for our own start-up, as it would for the program."""
    if not sys.flags.safe_path:
        sys.path[0] = directory


def _new_main(**attributes: object) -> dict:
    module = types.ModuleType("__main__")
    module.__builtins__ = builtins
    vars(module).update(attributes)
    sys.modules["__main__"] = module
    return vars(module)


def _compile(source: bytes | str, filename: str) -> types.CodeType:
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}" if error.lineno else filename
        raise ProgramError(f"{where}: {type(error).__name__}: {error.msg}") from None
    except ValueError as error:  # null bytes, on some versions
        raise ProgramError(f"{filename}: {error}") from None


# ---- the three kinds -----------------------------------------------------------------------


def _prepare_code(program: Program) -> Callable[[], object]:
    code = _compile(program.target, "<string>")
    sys.argv[:] = ["-c", *program.arguments]
    _set_path0("")
    main = _new_main(__loader__=importlib.machinery.BuiltinImporter)
    return lambda: _core.run_code(code, main)


def _prepare_module(program: Program) -> Callable[[], object]:
    sys.argv[:] = ["-m", *program.arguments]
    _set_path0(os.getcwd())
    return lambda: _run_module(program.target, True)


def _run_module(name: str, alter_argv: bool) -> object:
    """What ``python -m`` does, by the same function of the standard library."""
    _new_main()
    try:
        return _core.run_call(runpy._run_module_as_main, (name, alter_argv))
    except SystemExit as error:
        if _is_from_runpy(error):
            message = str(error.code).removeprefix(f"{sys.executable}: ")
            raise ProgramError(message) from None
        raise


def _is_from_runpy(error: BaseException) -> bool:
    """Did runpy itself raise it, before any code of the program ran?"""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code is runpy._run_module_as_main.__code__


def _prepare_script(program: Program) -> Callable[[], object]:
    path = program.target
    sys.argv[:] = [path, *program.arguments]
    if _is_package_or_archive(path):
        if not sys.flags.safe_path:
            sys.path[0] = path
        else:
            sys.path.insert(0, path)
        return lambda: _run_module("__main__", False)
    filename = os.path.abspath(path)
    code = _read_script(path, filename)
    _set_path0(os.path.dirname(os.path.realpath(path)))
    loader = importlib.machinery.SourceFileLoader("__main__", filename)
    main = _new_main(__file__=filename, __cached__=None, __loader__=loader)
    return lambda: _core.run_code(code, main)


def _is_package_or_archive(path: str) -> bool:
    """A directory or zip file with a __main__.py, which Python runs too."""
    if not os.path.exists(path):
        return False
    importer = pkgutil.get_importer(path)
    if importer is None:
        if os.path.isdir(path):
            raise ProgramError(f"cannot run directory '{path}': it cannot be read")
        return False
    if importer.find_spec("__main__") is None:
        if os.path.isdir(path):
            raise ProgramError(f"cannot run directory '{path}': it has no __main__.py")
        raise ProgramError(f"cannot run archive '{path}': it has no __main__.py")
    return True


def _read_script(path: str, filename: str) -> types.CodeType:
    try:
        with io.open_code(filename) as file:
            code = pkgutil.read_code(file)
            if code is not None:
                return code
            file.seek(0)
            return _compile(file.read(), filename)
    except OSError as error:
        raise ProgramError(f"cannot open '{path}': {error.strerror}") from None


# ---- how it ends ------------------------------------------------------------------------------


def run(start: Callable[[], object]) -> None:
    """Run a prepared program and end as it does: returns, or raises SystemExit or
    KeyboardInterrupt for the interpreter to act on. ProgramError passes through."""
    try:
        start()
    except (SystemExit, ProgramError):
        raise
    except BaseException as error:
        traceback = error.__traceback__
        for _ in range(_frames_to_drop(traceback)):
            traceback = traceback.tb_next
        _core.print_exception(error.with_traceback(traceback))
        if isinstance(error, KeyboardInterrupt):
            sys.excepthook = lambda *_: None  # it has been shown; what is left is to die of it
            raise KeyboardInterrupt from None
        raise SystemExit(1) from None


def _frames_to_drop(traceback: types.TracebackType | None) -> int:
    """How many of the outermost frames of a traceback are of this file."""
    count = 0
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        count += 1
        traceback = traceback.tb_next
    return count
