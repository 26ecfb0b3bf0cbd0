"""Source text of code that is in no file: what stands after ``-c``.

Its name, ``<string>``, is that of all code made by ``exec``, too, and what linecache has under it
is in the tracebacks of the program: the text is known for the code objects themselves.
"""

from __future__ import annotations

import io
from types import CodeType

_texts: dict[int, tuple[CodeType, list[str]]] = {}  # id() of code that is kept alive


def learn(code: CodeType, text: str) -> None:
    """The text that this code, and all code in it, was compiled of."""
    _learn(code, io.StringIO(text, newline=None).readlines())  # lines as Python counts them


def _learn(code: CodeType, lines: list[str]) -> None:
    _texts[id(code)] = (code, lines)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _learn(constant, lines)


def lines_of(code: CodeType) -> list[str] | None:
    """What was learnt, or None."""
    return _texts[id(code)][1] if id(code) in _texts else None
