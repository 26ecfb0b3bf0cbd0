"""``memprof show``: the report of a profile file."""

from __future__ import annotations

import sys

from .. import export
from ..control.growth import find_growth
from ..model.snapshot import Snapshot
from ..views import console
from . import options


def load(path: str) -> Snapshot:
    """Read a profile, or end with one line."""
    try:
        with console.progress(f"memprof: reading {path} ...", sys.stderr):
            return Snapshot.load(path)
    except OSError as error:
        options.fail(f"cannot read '{path}': {error.strerror}")
    except (ValueError, MemoryError) as error:
        options.fail(str(error) or f"cannot read '{path}': there is not enough memory for it")


def main(arguments: list[str]) -> int:
    parser = options.Parser(
        prog="memprof show", description="Print the report of a profile file to stdout."
    )
    parser.add_argument("file", metavar="FILE", help="written by memprof -o FILE")
    parser.add_argument(
        "--leaks",
        action="store_true",
        help="what grew through the whole run (of a profile written with --leaks)",
    )
    options.add_report_options(parser, "summary", "leaks", metric="peak")
    settings = parser.parse_args(arguments)
    options.check_format(settings.format, "leaks" if settings.leaks else "summary")
    snapshot = load(settings.file)
    if settings.leaks:
        content = _leaks(snapshot, settings)
    else:
        content = export.Summary(snapshot, settings.by, settings.metric, settings.top)
    options.print_report(export.make(content, settings.format))
    return 0


def _leaks(snapshot: Snapshot, settings) -> export.Leaks:
    growth = find_growth(snapshot)
    if not growth.checkpoints:
        options.fail(
            f"'{settings.file}' has no checkpoints: it was written without --leaks, or by a "
            "very short run"
        )
    return export.Leaks(snapshot, growth, settings.top)
