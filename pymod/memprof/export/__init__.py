"""Reports as text and as files for tools: which formats there are.

A format is a module beside this one and a row of FORMATS, which ``--format``, ``-o`` and this
interface read. Its module is imported when it is used.

>>> from memprof import export
>>> export.write(export.Summary(snapshot, by="stack"), "report.json")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.leaks import Growth
    from ..model.line_table import LineTables
    from ..model.snapshot import Snapshot, StatisticDiff
    from ..views.console import Line

    Document = str | bytes | list[Line]

TEXT = "text"  # for people: styled lines, the only format that is no file

# ---- what there is to export ---------------------------------------------------------------------


class Summary:
    """A snapshot, its largest groups first: ``by``, ``metric`` as of Snapshot.statistics()."""

    kind = "summary"
    __slots__ = ("by", "metric", "snapshot", "top")

    def __init__(self, snapshot: Snapshot, by: str = "line", metric: str = "peak", top: int = 10):
        self.snapshot, self.by, self.metric, self.top = snapshot, by, metric, top


class Leaks:
    """What find_growth() says of a snapshot."""

    kind = "leaks"
    __slots__ = ("growth", "snapshot", "top")

    def __init__(self, snapshot: Snapshot, growth: Growth, top: int = 10):
        self.snapshot, self.growth, self.top = snapshot, growth, top


class Changes:
    """What Snapshot.compare_to() says, with its arguments."""

    kind = "changes"
    __slots__ = ("by", "metric", "rows", "top")

    def __init__(
        self, rows: list[StatisticDiff], by: str = "line", metric: str = "live", top: int = 10
    ):
        self.rows, self.by, self.metric, self.top = rows, by, metric, top


class Lines:
    """Line tables (a LineProfiler). As text: ``table``, ``precision`` as of show_results(),
    ``width`` of a terminal or None."""

    kind = "lines"
    __slots__ = ("precision", "table", "tables", "width")

    def __init__(
        self,
        tables: LineTables,
        table: str = "memprof",
        precision: int | None = None,
        width: int | None = None,
    ):
        self.tables, self.table, self.precision, self.width = tables, table, precision, width


# ---- how -----------------------------------------------------------------------------------------


class Format:
    """``needs``: what it can be made of, kinds of the above. ``module``: has a function for each of
    those, by that name, which takes the content and returns the document: str, bytes, or for
    text, styled lines."""

    __slots__ = ("module", "name", "needs", "suffix")

    def __init__(self, name: str, suffix: str, needs: str, module: str):
        self.name, self.suffix, self.needs, self.module = name, suffix, needs.split(), module


FORMATS = (
    Format(TEXT, ".txt", "summary changes", "text_report"),
    Format(TEXT, ".txt", "leaks", "text_leaks"),
    Format(TEXT, ".txt", "lines", "text_lines"),
    Format("html", ".html", "lines", "html_page"),
    Format("json", ".json", "summary leaks changes lines", "json_report"),
)


def _formats_of(kind: str) -> Iterator[Format]:
    return (row for row in FORMATS if kind in row.needs)


def names(*kinds: str) -> list[str]:
    """The formats for contents of any of these kinds."""
    found = (row.name for row in FORMATS if any(kind in row.needs for kind in kinds))
    return list(dict.fromkeys(found))


def find(name: str, kind: str) -> Callable[..., Document]:
    """The function that makes a format of a kind of content. ValueError when there is none."""
    for row in _formats_of(kind):
        if row.name == name:
            return getattr(import_module(f".{row.module}", __name__), kind)
    raise ValueError(f"no format {name!r} of {kind} (one of: {', '.join(names(kind))})")


def find_by_suffix(path: str | os.PathLike, kind: str) -> str:
    """The name of the format that a file's name stands for. ValueError when there is none."""
    known = {row.suffix: row.name for row in _formats_of(kind)}
    for suffix, name in known.items():
        if os.fspath(path).endswith(suffix):
            return name
    raise ValueError(f"{os.fspath(path)!r} ends in none of: {', '.join(known)}")


def make(content: Summary | Leaks | Changes | Lines, name: str) -> Document:
    """The document in a format. ValueError when there is none for such a content."""
    return find(name, content.kind)(content)


def write(
    content: Summary | Leaks | Changes | Lines, path: str | os.PathLike, name: str | None = None
) -> None:
    """Write a file in a format, by default the one that its name ends in; an older one is replaced
    at once or not at all. ValueError, OSError."""
    replace(path, make(content, name or find_by_suffix(path, content.kind)))


def replace(path: str | os.PathLike, document: Document) -> None:
    """Write a document to a file: all of it or nothing; to a pipe or device as it is. OSError."""
    path, data = os.fspath(path), _encode(document)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    path = os.path.realpath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _encode(document: Document) -> bytes:
    if isinstance(document, bytes):
        return document
    if not isinstance(document, str):
        document = "".join("".join(text for text, _ in line) + "\n" for line in document)
    return document.encode("utf-8", "backslashreplace")
