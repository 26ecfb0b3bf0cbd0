"""Where report lines go.

A line is a list of (text, style) pairs; styles are rich's. On a terminal they are shown with
``rich`` (https://rich.readthedocs.io), which also honours NO_COLOR and the like; elsewhere
only the text is written, so that a report in a file or a pipe stays plain and whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_MIN_WIDTH = 40

Line = list[tuple[str, str]]

TITLE = "bold"
NUMBER = "cyan"
SITE = "bold green"
SOURCE = "yellow"
QUIET = "dim"
ALARM = "bold red"


def line(*parts: str | tuple[str, str]) -> Line:
    """A line of plain and styled parts."""
    return [(part, "") if isinstance(part, str) else part for part in parts]


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def _is_rich(stream: TextIO) -> bool:
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def width(stream: TextIO) -> int | None:
    """Columns of a terminal; None for what is none, where lines stay whole."""
    if not _is_rich(stream):
        return None
    from rich.console import Console

    return max(Console(file=stream).width, _MIN_WIDTH)


def write(document: Iterable[Line] | str | bytes, stream: TextIO | None) -> None:
    """As write_all(); a stream that is closed or broken is no error: it is not ours."""
    if stream is not None:
        with contextlib.suppress(ValueError, OSError):
            write_all(document, stream)


def write_all(document: Iterable[Line] | str | bytes, stream: TextIO) -> None:
    """Write lines, or what is for tools, as it is. ValueError or OSError when the stream is closed
    or broken."""
    if isinstance(document, bytes):
        stream.buffer.write(document)
    elif isinstance(document, str):
        stream.write(document)
    else:
        _write_lines(document, stream)
    stream.flush()


def _write_lines(lines: Iterable[Line], stream: TextIO) -> None:
    lines = ([(_encodable(text, stream), style) for text, style in line] for line in lines)
    if _is_rich(stream):
        _write_rich(lines, stream)
    else:
        stream.writelines("".join(text for text, _ in line) + "\n" for line in lines)


def _encodable(text: str, stream: TextIO) -> str:
    """What the stream's encoding has no character for is written as an escape."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _write_rich(lines: Iterable[Line], stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)
    width = console.width
    for parts in lines:
        text = Text()
        for part, style in parts:
            text.append(part, style=style or None)
        text.truncate(max(width, _MIN_WIDTH), overflow="ellipsis")
        console.print(text)


@contextlib.contextmanager
def progress(what: str, stream: TextIO | None) -> Iterator[None]:
    """Say that a long piece of work is under way, on a terminal only.

    A moving sign would need a thread, and from Python 3.12 on none can be started when the
    program is over.
    """
    shown = stream is not None and _is_rich(stream)
    if shown:
        _write_quietly(what, stream)
    try:
        yield
    finally:
        if shown:
            _write_quietly("\r\x1b[K", stream)  # erases the line


def _write_quietly(text: str, stream: TextIO) -> None:
    with contextlib.suppress(ValueError, OSError):
        stream.write(text)
        stream.flush()
