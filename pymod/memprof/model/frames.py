"""Frames and call stacks: views of the tuples that come out of the core.

Names and string formats are tracemalloc's (https://docs.python.org/3/library/tracemalloc.html),
with functions added.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence


class Frame(namedtuple("Frame", "filename lineno function folded", defaults=("<unknown>", False))):
    """One call on a stack: a tuple (filename, lineno, function, folded).

    ``lineno`` is 0 where the code has no line and in groups by file, and the first line
    of the function in groups by function. ``folded`` is true where recursion was folded:
    calls of the same functions, further out, were left out.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.filename}:{self.lineno}"

    def __repr__(self) -> str:
        return (
            f"<Frame filename={self.filename!r} lineno={self.lineno!r} function={self.function!r}>"
        )


class Traceback(Sequence[Frame]):
    """Frames of a call stack, the oldest first and the most recent last."""

    __slots__ = ("_frames",)

    def __init__(self, frames: Iterable[tuple]):
        self._frames = tuple(frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        if isinstance(index, slice):
            return tuple(Frame(*frame) for frame in self._frames[index])
        return Frame(*self._frames[index])

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(*frame) for frame in self._frames)

    def __hash__(self) -> int:
        return hash(self._frames)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Traceback):
            return NotImplemented
        return self._frames == other._frames

    def __lt__(self, other: Traceback) -> bool:
        if not isinstance(other, Traceback):
            return NotImplemented
        return self._frames < other._frames

    def __str__(self) -> str:
        return str(self[-1])

    def __repr__(self) -> str:
        return f"<Traceback {tuple(self)!r}>"

    def format(self, limit: int | None = None, most_recent_first: bool = False) -> list[str]:
        """Lines as the traceback module prints them, with source where it can be found.

        A positive ``limit`` keeps that many of the most recent frames, a negative one that
        many of the oldest.
        """
        import linecache

        frames = list(self)
        if limit is not None:
            frames = frames[-limit:] if limit > 0 else frames[: abs(limit)]
        if most_recent_first:
            frames.reverse()
        lines = []
        for frame in frames:
            lines.append(f'  File "{frame.filename}", line {frame.lineno}')
            source = linecache.getline(frame.filename, frame.lineno).strip()
            if source:
                lines.append(f"    {source}")
        return lines
