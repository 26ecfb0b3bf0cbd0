"""Options that the verbs share, and how errors are told."""

from __future__ import annotations

import argparse
import os
import sys

from .. import export
from ..model.snapshot import METRICS
from ..programs import program
from ..views import console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

USAGE_ERROR = 2
GREW = 3
LEAKED = 3

_WIDTH = 90  # columns of help

BYS = ("line", "file", "function", "stack")


def fail(message: str) -> Never:
    """One line on stderr, exit status 2."""
    print(f"memprof: error: {message}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


def _formatter(prog: str) -> argparse.HelpFormatter:
    """With its width given, argparse does not import what it takes to find the terminal's."""
    return argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH, max_help_position=26)


def check_format(name: str, kind: str) -> None:
    """Ends with a line when there is no such format of what is asked for."""
    if name not in (known := export.names(kind)):
        fail(f"--format {name}: not of {kind} (choose from {', '.join(known)})")


def print_report(document: export.Document) -> None:
    """To stdout. A reader that has gone away is no error."""
    if sys.stdout is None:  # it was closed before we started
        return
    try:
        console.write_all(document, sys.stdout)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in it
        if not isinstance(error, BrokenPipeError):
            fail(f"cannot write the report: {error.strerror}")


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def __init__(self, **options):
        super().__init__(formatter_class=_formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> Never:
        fail(f"{message} (see {self.prog} --help)")


def positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"not a positive number: '{text}'")
    return value


def seconds(text: str) -> float:
    """The type of an option: from a millisecond to years."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"not a number of seconds: '{text}'")
    return value


def add_report_options(parser: argparse.ArgumentParser, *kinds: str, metric: str) -> None:
    """``kinds``: of what is reported (export.FORMATS)."""
    group = parser.add_argument_group("report")
    group.add_argument(
        "--by", choices=BYS, default="line", help="what to sum up by (default: %(default)s)"
    )
    group.add_argument(
        "--metric",
        choices=METRICS,
        default=metric,
        help="peak: live when traced memory was at its maximum; live: still alive at the end; "
        "total: all allocations (default: %(default)s)",
    )
    group.add_argument(
        "--top", type=positive, default=10, metavar="N", help="rows to show (default: 10)"
    )
    add_format_option(group, *kinds)


def add_format_option(parser, *kinds: str) -> None:
    choices = export.names(*kinds)
    parser.add_argument(
        "--format", choices=choices, default=export.TEXT, help="default: %(default)s"
    )


def split(arguments: list[str], with_value: set[str]) -> tuple[list[str], program.Program | None]:
    """Our own options, and the program with its arguments, where the first ends ours.
    ``with_value``: the options whose value is a word of its own."""
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word[:2] in ("-m", "-c") and not word.startswith("--"):
            return arguments[:at], _flagged(word, arguments[at + 1 :])
        if word == "--" or not word.startswith("-") or word == "-":
            break
        at += 2 if word in with_value else 1
    own, rest = arguments[:at], arguments[at:]
    if rest[:1] == ["--"]:
        del rest[0]
    return own, program.Program("script", rest[0], tuple(rest[1:])) if rest else None


def _flagged(word: str, rest: list[str]) -> program.Program:
    kind = "module" if word[1] == "m" else "code"
    words = ([word[2:]] if word[2:] else []) + rest
    if not words:
        fail(f"argument expected for the {word} option")
    return program.Program(kind, words[0], tuple(words[1:]))
