"""``memprof lines``: run a program and show what the lines of functions allocate."""

from __future__ import annotations

import argparse
import builtins
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable

from .. import export
from ..control.line_profiler import LineProfiler
from ..model import source_text
from ..model.backends import BACKENDS
from ..programs import outputs, program, wrapping
from ..quiet import quiet
from ..views import console
from . import options

_DESCRIPTION = """\
Run a program and show, line by line, what the functions allocate that it marks with @profile
(found in builtins: nothing to import) or that -f selects. The program runs as without memprof; the
tables go to stdout when it is over."""

_EXAMPLES = """\
examples:
  memprof lines script.py                     functions marked with @profile
  memprof lines -f work script.py             a function of the script
  memprof lines -f package.module:Class.method -m package
  memprof lines --table memory_profiler --precision 3 script.py
"""

_VALUE_OPTIONS = {"-f", "--function", "-o", "--output", "--table", "--precision", "--backend"}
_VALUE_OPTIONS |= {"--format"}


def _parser() -> options.Parser:
    parser = options.Parser(
        prog="memprof lines",
        usage="memprof lines [options] (script.py | -m module | -c code) [arguments]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "-f",
        "--function",
        action="append",
        default=[],
        metavar="[MODULE:]NAME",
        help="a function, method or class (its methods); without MODULE, of the script, module or "
        "code that is run. Another module is imported before the program runs",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the tables to FILE instead of stdout"
    )
    options.add_format_option(parser, "lines")
    parser.add_argument(
        "--table",
        choices=("memprof", "memory_profiler"),
        default="memprof",
        help="memory_profiler: its Mem usage, Increment and Occurrences (default: memprof)",
    )
    parser.add_argument(
        "--precision", type=_digits, metavar="N", help="sizes in MiB with N digits after the point"
    )
    parser.add_argument(
        "--include-children",
        action="store_true",
        help="resident memory with that of child processes",
    )
    parser.add_argument(
        "--every-line", action="store_true", help="read resident memory at the end of every line"
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, default="psutil", help="for memory_profiler's table"
    )
    return parser


def _digits(text: str) -> int:
    if not text.isdecimal() or int(text) > 20:
        raise argparse.ArgumentTypeError(f"not a number of digits: '{text}'")
    return int(text)


# ---- which functions -------------------------------------------------------------------------


def _codes_within(code: types.CodeType, name: str):
    """The code of a function or of a class's methods in a script that has not run yet."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_qualname == name:
                is_class = not constant.co_flags & inspect.CO_OPTIMIZED
                yield from _methods(constant) if is_class else [constant]
            else:
                yield from _codes_within(constant, name)


def _methods(body: types.CodeType):
    return [
        constant
        for constant in body.co_consts
        if isinstance(constant, types.CodeType) and constant.co_flags & inspect.CO_OPTIMIZED
    ]


def _is_of_main(module: str, traced: program.Program) -> bool:
    """Is the module the program itself, of which an imported one would be a copy?"""
    if module in ("", "__main__"):
        return True
    if traced.kind == "script":
        name, end = os.path.splitext(os.path.basename(traced.target))
        return end == ".py" and name == module
    if module == traced.target:  # a package's functions are not in its __main__.py
        spec = importlib.util.find_spec(module)
        return spec is not None and spec.submodule_search_locations is None
    return traced.kind == "module" and module == f"{traced.target}.__main__"


def _select_of_main(prof: LineProfiler, wanted: str, code: types.CodeType) -> None:
    _add(prof, wanted, _codes_within(code, wanted.rpartition(":")[2]))


def _select_imported(prof: LineProfiler, wanted: str) -> None:
    module, _, name = wanted.rpartition(":")
    try:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = inspect.getattr_static(thing, part)
    except ImportError as error:
        raise program.ProgramError(f"-f {wanted}: {error}") from None
    except AttributeError:
        thing = None
    _add(prof, wanted, wrapping.codes_of(thing))


def _add(prof: LineProfiler, wanted: str, codes: Iterable[types.CodeType]) -> None:
    codes = list(codes)
    if not codes:
        raise program.ProgramError(f"-f {wanted}: there is no such function")
    for code in codes:
        prof.add_code(code)


def _prepare(prof: LineProfiler, wanted: list[str], traced: program.Program) -> Callable:
    """The program, to be run, with the wanted functions selected. ProgramError."""
    split = [(one, one.rpartition(":")[0]) for one in wanted]
    of_main = [one for one, module in split if _is_of_main(module, traced)]

    def watch(code: types.CodeType) -> None:
        if traced.kind == "code":
            source_text.learn(code, program.text_of_code(traced))
        for one in of_main:
            _select_of_main(prof, one, code)

    run = program.prepare(traced, watch if of_main or traced.kind == "code" else None)
    for one in wanted:
        if one not in of_main:
            _select_imported(prof, one)
    return run


# ---- the run ------------------------------------------------------------------------------------


def _output(path: str | None) -> str | None:
    """Absolute: the program may go elsewhere. One that cannot be written ends us."""
    if path is None:
        return None
    if problem := outputs.problem_with(path):
        options.fail(problem)
    return os.path.abspath(path)


def main(arguments: list[str]) -> int:
    """Ends as the program does."""
    parser = _parser()
    own, traced = options.split(arguments, _VALUE_OPTIONS)
    settings = parser.parse_args(own)
    if traced is None:
        options.fail("no program to run: give a script, -m module or -c code (see --help)")
    prof = LineProfiler(
        include_children=settings.include_children,
        backend=settings.backend,
        every_line=settings.every_line,
    )
    output = _output(settings.output)
    export.find(settings.format, "lines")  # later a module of the program could stand in for one
    try:
        run = _prepare(prof, settings.function, traced)
    except program.ProgramError as error:
        options.fail(str(error))
    pid, stdout, has_begun = os.getpid(), sys.stdout, True
    builtins.profile = prof
    # On 3.11 calls between functions cost more while a profiler is on
    # (lib/py/lines/events_settrace.c). There a marked function turns it on by itself.
    is_on = bool(settings.function) or hasattr(sys, "monitoring")
    if is_on:
        prof.enable_by_count()
    try:
        program.run(run)
    except program.ProgramError as error:
        has_begun = False
        options.fail(str(error))
    finally:
        if is_on:
            prof.disable_by_count()
        if has_begun and os.getpid() == pid:
            with quiet:
                _report(prof, settings, output, stdout)
    return 0


def _report(prof: LineProfiler, settings: argparse.Namespace, output: str | None, stdout) -> None:
    try:
        if output is None:
            _write(prof, settings, stdout)
            return
        with open(output, "w", encoding="utf-8") as file:
            _write(prof, settings, file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"memprof: cannot write the tables: {reason}", file=sys.stderr)


def _write(prof: LineProfiler, settings: argparse.Namespace, stream) -> None:
    if stream is None:  # closed before Python began
        return
    content = export.Lines(prof, settings.table, settings.precision, console.width(stream))
    console.write_all(export.make(content, settings.format), stream)
