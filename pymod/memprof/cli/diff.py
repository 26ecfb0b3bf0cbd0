"""``memprof diff``: what changed between two profile files."""

from __future__ import annotations

import argparse
import sys

from .. import export
from ..model import units
from ..views import console
from . import options
from .show import load


def _size(text: str) -> int:
    try:
        return units.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: list[str]) -> int:
    """Exit status 3 when memory grew by more than --fail-on-growth."""
    parser = options.Parser(
        prog="memprof diff",
        description="Compare two profile files; the largest changes go to stdout.",
    )
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument(
        "--fail-on-growth",
        type=_size,
        metavar="SIZE",
        help="end with exit status 3 when the sum grew by more than SIZE (24MB, 1.5GiB, 4096)",
    )
    options.add_report_options(parser, "changes", metric="live")
    settings = parser.parse_args(arguments)
    old, new = load(settings.old), load(settings.new)
    with console.progress("memprof: comparing ...", sys.stderr):
        rows = new.compare_to(old, settings.by, metric=settings.metric)
    content = export.Changes(rows, settings.by, settings.metric, settings.top)
    options.print_report(export.make(content, settings.format))
    grown = sum(row.size_diff for row in rows)
    if settings.fail_on_growth is not None and grown > settings.fail_on_growth:
        print(
            f"memprof: {settings.metric} memory grew by {units.size(grown)}, "
            f"more than {units.size(settings.fail_on_growth)}",
            file=sys.stderr,
        )
        return options.GREW
    return 0
