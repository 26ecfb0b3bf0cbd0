"""Running somebody else's program as if it were run by Python itself.

The program finds the ``sys.argv``, ``sys.path[0]``, ``__main__`` and caller (none) that a
plain run gives it, and its exceptions are printed by the interpreter's own machinery.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.machinery
import importlib.util
import io
import marshal
import os
import runpy
import sys
import types
from collections import namedtuple
from collections.abc import Callable

from .. import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class ProgramError(Exception):
    """The program cannot be started; the message is one line for the user."""


class Program(namedtuple("Program", "kind target arguments")):
    """What to run: ``kind`` is script, module or code; ``arguments`` a tuple."""

    __slots__ = ()

    @property
    def command(self) -> list[str]:
        flag = {"script": [], "module": ["-m"], "code": ["-c"]}[self.kind]
        return ["python", *flag, self.target, *self.arguments]


def prepare(
    program: Program, watch: Callable[[types.CodeType], None] | None = None
) -> Callable[[], object]:
    """Set up the process for the program; a function that runs it. ProgramError.

    ``watch`` is called with the code of ``__main__`` before that runs: here, or for a module when
    it is run and has been found. It may raise ProgramError.
    """
    if program.kind == "module":
        return _prepare_module(program, watch)
    if program.kind == "code":
        return _prepare_code(program, watch)
    return _prepare_script(program, watch)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _set_path0(directory: str | None) -> None:
    """Replace the entry that Python made for our own start-up, as it would for the program.

    Python makes none for ``-m`` where the working directory is gone.
    """
    if sys.flags.safe_path:
        return
    if _working_directory() is not None or sys.modules["__main__"].__spec__ is None:
        del sys.path[0]
    if directory is not None:
        sys.path.insert(0, directory)


def _absolute(path: str) -> str:
    """As Python makes the name of a script absolute: nothing in it is resolved."""
    directory = _working_directory()
    if os.path.isabs(path) or directory is None:
        return path
    return directory if path == "." else directory + os.sep + path


def _new_main(**attributes: object) -> dict:
    module = types.ModuleType("__main__")
    if "__annotations__" in vars(sys.modules["__main__"]):  # so in every __main__ up to 3.13
        module.__annotations__ = {}
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


_CODE_NAME = "<string>"


def _show_source(code: types.CodeType, source: str) -> None:
    """Let tracebacks show the lines of ``-c`` code, as Python does from 3.13 on."""
    import linecache

    register = getattr(linecache, "_register_code", None)
    if register is not None:
        by_code = hasattr(linecache, "_interactive_cache")  # not yet in 3.13.0
        register(code if by_code else _CODE_NAME, source, _CODE_NAME)


def text_of_code(program: Program) -> str:
    """What Python compiles of the text after ``-c``: from 3.14 on without a common indent."""
    text = program.target
    lines = text.split("\n")
    filled = [line for line in lines if line.strip(" \t")]
    prefix = os.path.commonprefix(filled)
    indent = len(prefix) - len(prefix.lstrip(" \t"))
    if indent == 0 or sys.version_info < (3, 14):
        return text
    return "\n".join(line[indent:] if line.strip(" \t") else "" for line in lines)


def _prepare_code(program: Program, watch: Callable | None) -> Callable[[], object]:
    text = text_of_code(program)
    code = _compile(text, _CODE_NAME)
    _show_source(code, text)
    sys.argv[:] = ["-c", *program.arguments]
    _set_path0("")
    main = _new_main(__loader__=importlib.machinery.BuiltinImporter)
    if watch is not None:
        watch(code)
    return lambda: _core.run_code(code, main)


def _prepare_module(program: Program, watch: Callable | None) -> Callable[[], object]:
    sys.argv[:] = ["-m", *program.arguments]
    _set_path0(_working_directory())
    _find_package(program.target.partition(".")[0])
    return lambda: _run_module(program.target, True, watch)


def _find_package(name: str) -> None:
    """ProgramError for what runpy would not find either, before anything is written."""
    try:
        found = not name or importlib.util.find_spec(name)
    except Exception:
        return  # runpy has words for it
    if not found:
        raise ProgramError(f"No module named {name}")


def _let_watch_see_module(watch: Callable, search: str) -> None:
    """The next ``search`` of runpy for a module tells ``watch`` of the code that it has found."""
    original = getattr(runpy, search)

    def search_and_tell(*arguments):
        setattr(runpy, search, original)
        details = original(*arguments)
        watch(details[2])
        return details

    setattr(runpy, search, search_and_tell)


def _run_module(name: str, alter_argv: bool, watch: Callable | None) -> object:
    """What ``python -m`` does, by the same function of the standard library."""
    _new_main()
    if watch is not None:
        _let_watch_see_module(
            watch, "_get_module_details" if alter_argv else "_get_main_module_details"
        )
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


def _prepare_script(program: Program, watch: Callable | None) -> Callable[[], object]:
    path = program.target
    sys.argv[:] = [path, *program.arguments]
    filename = _absolute(path)
    if _is_package_or_archive(path, filename):
        _set_path0(None)
        sys.path.insert(0, filename)  # with -P as well
        return lambda: _run_module("__main__", False, watch)
    code, loader = _read_script(path, filename)
    _set_path0(_script_directory(path))
    cached = {} if sys.version_info >= (3, 15) else {"__cached__": None}
    main = _new_main(__file__=filename, **cached, __loader__=loader)
    if watch is not None:
        watch(code)
    return lambda: _run_script(code, main)


def _script_directory(path: str) -> str:
    with contextlib.suppress(OSError):  # a pipe has no real path
        path = os.path.realpath(path, strict=True)
    return os.path.dirname(path)


def _run_script(code: types.CodeType, main: dict) -> object:
    try:
        return _core.run_code(code, main)
    finally:
        # Python does so when a script is over, before its threads and exit handlers are. No
        # Python function is called here: the program may have left a trace function on.
        for name in ("stderr", "stdout"):
            try:
                _core.run_call(getattr(sys, name).flush, ())
            except BaseException:
                pass


def _is_package_or_archive(path: str, filename: str) -> bool:
    """A directory or zip file with a __main__.py, which Python runs too."""
    if not os.path.exists(path):
        return False
    importer = _importer_of(filename)
    if importer is None:
        if os.path.isdir(path):
            raise ProgramError(f"cannot run directory '{path}': it cannot be read")
        return False
    if importer.find_spec("__main__") is None:
        if os.path.isdir(path):
            raise ProgramError(f"cannot run directory '{path}': it has no __main__.py")
        raise ProgramError(f"cannot run archive '{path}': it has no __main__.py")
    return True


def _importer_of(path: str) -> object | None:
    """As pkgutil.get_importer(): that module takes longer to import than memprof itself."""
    if path not in sys.path_importer_cache:
        for hook in sys.path_hooks:
            with contextlib.suppress(ImportError):
                sys.path_importer_cache.setdefault(path, hook(path))
                break
    return sys.path_importer_cache.get(path)


def _code_of_pyc(content: bytes) -> types.CodeType | None:
    """None for what is no .pyc file of this Python."""
    return marshal.loads(content[16:]) if content[:4] == importlib.util.MAGIC_NUMBER else None


def _read_script(path: str, filename: str) -> tuple[types.CodeType, object]:
    """The code of a source file or a .pyc file, and the loader that Python gives it."""
    try:
        with io.open_code(filename) as file:
            content = file.read()
    except OSError as error:
        raise ProgramError(f"cannot open '{path}': {error.strerror}") from None
    code = _code_of_pyc(content)
    if code is not None:
        return code, importlib.machinery.SourcelessFileLoader("__main__", filename)
    if filename.endswith(".pyc"):
        raise ProgramError(f"cannot run '{path}': compiled for another version of Python")
    loader = importlib.machinery.SourceFileLoader("__main__", filename)
    return _compile(content, filename), loader


# ---- how it ends ------------------------------------------------------------------------------


def run(start: Callable[[], object]) -> None:
    """Run a prepared program and end as it does: returns, or raises SystemExit or
    KeyboardInterrupt for the interpreter to act on. ProgramError passes through."""
    try:
        start()
        return
    except (SystemExit, ProgramError):
        raise
    except BaseException as error:
        failed = error
    traceback = failed.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next  # frames of ours
    _core.print_exception(failed.with_traceback(traceback))
    if type(failed) is KeyboardInterrupt:  # not a subclass: so does Python
        _die_of_interrupt()
    raise SystemExit(1)


_LAST = ("last_exc", "last_type", "last_value", "last_traceback")


def _die_of_interrupt() -> NoReturn:
    """Let the interpreter end as after any KeyboardInterrupt, of which it prints nothing: the
    program's own has been shown."""
    hook = sys.excepthook
    last = {name: getattr(sys, name) for name in _LAST if hasattr(sys, name)}

    def restore(*_: object) -> None:
        sys.excepthook = hook
        vars(sys).update(last)

    sys.excepthook = restore
    raise KeyboardInterrupt
