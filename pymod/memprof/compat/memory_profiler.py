"""memory_profiler's module over memprof's engine: ``import memprof.compat.memory_profiler as
memory_profiler``, or ``python -m memprof.compat.memory_profiler script.py``.

Names, shapes and text are those of memory_profiler 0.61. What differs: numbers are per
activation and thread; functions from notebooks and ``exec`` have lines; a function given to
``memory_usage`` is called once; no helper process is started and none is killed.
"""

from __future__ import annotations

import argparse
import builtins
import os
import sys

from .. import load_ipython_extension
from ..control import decorators
from ..control.line_profiler import LineProfiler
from ..control.measuring import MemitResult
from ..control.memory_usage import LogFile, TimeStamper, memory_usage
from ..model.backends import BACKENDS, choose_backend
from ..model.line_table import CodeMap
from ..programs import outputs, program

__version__ = "0.61.0"

__all__ = [
    "CodeMap",
    "LineProfiler",
    "LogFile",
    "MemitResult",
    "TimeStamper",
    "choose_backend",
    "load_ipython_extension",
    "memory_usage",
    "profile",
    "show_results",
]

_USAGE = "python -m memory_profiler script_file.py"


def show_results(prof, stream=None, precision: int = 1) -> None:
    """Print memory_profiler's table to ``stream`` (stdout)."""
    decorators.show_results(prof, stream, precision, table="memory_profiler")


def profile(func=None, stream=None, precision: int = 1, backend: str = "psutil"):
    """Decorator: print memory_profiler's table of the function after each call."""
    return decorators.profile(func, stream, precision, backend, table="memory_profiler")


# ---- python -m ... ------------------------------------------------------------------------------


def _find_script(name: str) -> str:
    if os.path.isfile(name):
        return name
    for folder in os.getenv("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path):
            return path
    sys.stderr.write(f"Could not find script {name}\n")
    raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(usage=_USAGE)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--pdb-mmem",
        dest="max_mem",
        metavar="MAXMEM",
        type=float,
        help="step into the debugger when memory exceeds MAXMEM",
    )
    parser.add_argument(
        "--precision",
        type=int,
        default=3,
        help="precision of memory output in number of significant digits",
    )
    parser.add_argument(
        "-o", dest="out_filename", help="path to a file where results will be written"
    )
    parser.add_argument(
        "--timestamp",
        action="store_true",
        help="print timestamp instead of memory measurement for decorated functions",
    )
    parser.add_argument(
        "--include-children",
        action="store_true",
        help="also include memory used by child processes",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="psutil")
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        help="python script or module followed by command line arguments to run",
    )
    return parser


def _prepare(words: list[str]):
    """The program, ready to run: a file name that ends in .py, or a module."""
    kind, target = "module", words[0]
    if target.endswith(".py"):
        kind, target = "script", _find_script(target)
    return program.prepare(program.Program(kind, target, tuple(words[1:])))


def main(arguments: list[str] | None = None) -> None:
    """Run a program with ``profile`` in builtins, and print what it marks when it is over."""
    settings = _parser().parse_args(arguments)
    if not settings.program:
        print("A program to run must be provided. Use -h for help")
        raise SystemExit(1)
    if settings.timestamp:
        prof = TimeStamper(settings.backend, include_children=settings.include_children)
    else:
        prof = LineProfiler(
            max_mem=settings.max_mem,
            backend=settings.backend,
            include_children=settings.include_children,
        )
    try:
        path = settings.out_filename
        if path is not None and (problem := outputs.problem_with(path)):
            raise program.ProgramError(problem)
        run = _prepare(settings.program)
    except program.ProgramError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    builtins.profile = prof
    try:
        program.run(run)
    finally:
        _write(prof, settings)


def _write(prof, settings) -> None:
    if settings.out_filename is None:
        show_results(prof, sys.stdout, settings.precision)
        return
    with open(settings.out_filename, "a", encoding="utf-8") as file:
        show_results(prof, file, settings.precision)


if __name__ == "__main__":
    main()
