"""The command line: one module for each verb."""

from __future__ import annotations

import sys
from importlib import import_module

VERBS = {
    "run": "trace a program (the default)",
    "show": "print the report of a profile file",
    "diff": "compare two profile files",
    "lines": "what the lines of functions allocate",
    "mprof": "memory over time: run, plot, list, peak, clean",
}


def main(argv: list[str] | None = None) -> int:
    """Run a verb; its exit status. A traced program's own way of ending passes through."""
    arguments = sys.argv[1:] if argv is None else argv
    verb = "run"
    if arguments and arguments[0] in VERBS:
        verb, arguments = arguments[0], arguments[1:]
    try:
        module = import_module(f".{verb}", __name__)
    except MemoryError:
        sys.exit("memprof: error: not enough memory to begin")
    return module.main(arguments)
