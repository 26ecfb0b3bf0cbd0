"""``memprof lines``: run a program and show what the lines of functions allocate."""

from __future__ import annotations

import argparse
import builtins
import importlib
import inspect
import json
import os
import sys
import types

from .. import program, wrapping
from ..lines import BACKENDS, LineProfiler, quiet
from ..report import console, html, html_lines
from ..report import lines as lines_report
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
        "-f", "--function", action="append", default=[], metavar="[MODULE:]NAME",
        help="a function, method or class (its methods); without MODULE, of the script itself. "
        "The module is imported before the program runs",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the tables to FILE instead of stdout"
    )
    parser.add_argument(
        "--format", choices=("text", "html", "json"), default="text", help="default: text"
    )
    parser.add_argument(
        "--table", choices=("memprof", "memory_profiler"), default="memprof",
        help="memory_profiler: its Mem usage, Increment and Occurrences (default: memprof)",
    )  # fmt: skip
    parser.add_argument("--precision", type=int, help="digits after the point, in MiB")
    parser.add_argument(
        "--include-children", action="store_true",
        help="resident memory with that of child processes",
    )  # fmt: skip
    parser.add_argument(
        "--every-line", action="store_true", help="read resident memory at the end of every line"
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, default="psutil", help="for memory_profiler's table"
    )
    return parser


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
        constant for constant in body.co_consts
        if isinstance(constant, types.CodeType) and constant.co_flags & inspect.CO_OPTIMIZED
    ]  # fmt: skip


def _select(prof: LineProfiler, wanted: str, run) -> None:
    module, _, name = wanted.rpartition(":")
    if module:
        codes = _codes_of_module(module, name)
    else:
        code = inspect.getclosurevars(run).nonlocals.get("code")
        codes = list(_codes_within(code, name)) if code is not None else []
        if code is None:
            options.fail(f"-f {wanted}: say MODULE:NAME, where a module is run")
    if not codes:
        options.fail(f"-f {wanted}: there is no such function")
    for code in codes:
        prof.add_code(code)


def _codes_of_module(module: str, name: str) -> list[types.CodeType]:
    try:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = inspect.getattr_static(thing, part)
    except ImportError as error:
        options.fail(f"-f {module}:{name}: {error}")
    except AttributeError:
        return []
    return list(wrapping.codes_of(thing))


# ---- the run ------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Ends as the program does."""
    parser = _parser()
    own, traced = options.split(arguments, _VALUE_OPTIONS)
    settings = parser.parse_args(own)
    if traced is None:
        options.fail("no program to run: give a script, -m module or -c code (see --help)")
    prof = LineProfiler(
        include_children=settings.include_children, backend=settings.backend,
        every_line=settings.every_line,
    )  # fmt: skip
    output = settings.output and os.path.abspath(settings.output)
    try:
        run = program.prepare(traced)
        for wanted in settings.function:
            _select(prof, wanted, run)
    except program.ProgramError as error:
        options.fail(str(error))
    pid, stdout = os.getpid(), sys.stdout
    builtins.profile = prof
    prof.enable_by_count()
    try:
        program.run(run)
    except program.ProgramError as error:
        options.fail(str(error))
    finally:
        prof.disable_by_count()
        if os.getpid() == pid:
            with quiet():
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
    if settings.format == "json":
        stream.write(json.dumps({"lines": prof.rows()}, indent=2) + "\n")
    elif settings.format == "html":
        stream.write(html.page("memprof lines", html_lines.document_part(prof)))
    elif settings.table == "memory_profiler":
        lines_report.write_compatible(prof, stream, settings.precision or 1)
    else:
        console.write_all(lines_report.report_lines(prof, settings.precision), stream)
