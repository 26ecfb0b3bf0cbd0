"""Frames and source lines in reports."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable

from ..model.frames import Frame
from . import console

_MAX_SOURCE = 100  # columns


def name_of_cell(filename: str) -> str | None:
    """In IPython, whose extension replaces this: what it calls the cell."""
    return None


def short_path(filename: str) -> str:
    """A path as short as it stays clear: relative to here, or to where modules are found."""
    if cell := name_of_cell(filename):
        return cell
    if not os.path.isabs(filename):
        return filename
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    for folder in [here, *sorted((p for p in sys.path if p), key=len, reverse=True)]:
        prefix = folder.rstrip(os.sep) + os.sep
        if folder and filename.startswith(prefix):
            return filename[len(prefix) :]
    return filename


def site_text(frame: Frame, by: str = "line") -> str:
    """``app.py:88 in open_session``"""
    path = short_path(frame.filename)
    if by == "file":
        return path
    place = f"{path}:{frame.lineno}" if frame.lineno else path
    if frame.function != "<unknown>":
        place += f" in {frame.function}"
    return place + (" (recursion folded)" if frame.folded else "")


def source_text(frame: Frame) -> str:
    """The source line of a frame, stripped and cut; empty when it cannot be found."""
    if not frame.lineno:
        return ""
    text = linecache.getline(frame.filename, frame.lineno).strip()
    return text if len(text) <= _MAX_SOURCE else text[: _MAX_SOURCE - 1] + "…"


def stack_lines(frames: Iterable[Frame], indent: str, mark: str = "") -> list[console.Line]:
    """Call stack with source, in the order given; ``mark`` goes before each frame."""
    lines = []
    for frame in frames:
        lines.append(console.line(indent, mark, site_text(frame)))
        if text := source_text(frame):
            lines.append(console.line(indent + " " * len(mark) + "    ", (text, console.SOURCE)))
    return lines
