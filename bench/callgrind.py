"""Reader of callgrind's profiles: instructions by object file, source line and function.

Only what bench/instructions.py asks for: self cost of each line with the source file it was
inlined from, and the number of calls of each function. A profile that was cut into parts
(--dump-before) has one file for each.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_FUNCTION = re.compile(r"^(?:\w[\w *()]*[ *])?(\w+)\([^;]*$")


@dataclass
class Profile:
    """Instructions of one part of a run."""

    total: int = 0
    lines: dict[tuple[str, str], Counter] = field(default_factory=lambda: defaultdict(Counter))
    """By (object file, source file): Counter of line number -> instructions."""
    functions: Counter = field(default_factory=Counter)
    """By (object file, function): instructions, without those of calls that were not inlined."""
    calls: Counter = field(default_factory=Counter)
    """By (object file, function): calls."""


def read(path: Path) -> Profile:
    """The profile in a file of callgrind's output format, version 1."""
    profile = Profile()
    names: dict[str, dict[str, str]] = {"ob": {}, "fl": {}, "fn": {}}
    now = {"ob": "", "fl": "", "fn": "", "cob": "", "cfn": ""}
    line = 0
    called = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            if text[0] in "+-*0123456789":
                where, cost = text.split()[:2]
                line = _position(where, line)
                if not called:
                    profile.total += int(cost)
                    profile.lines[now["ob"], now["fl"]][line] += int(cost)
                    profile.functions[now["ob"], now["fn"]] += int(cost)
                called = False
            elif text.startswith("calls="):
                profile.calls[now["cob"] or now["ob"], now["cfn"]] += int(text[6:].split()[0])
                now["cob"] = now["cfn"] = ""
                called = True
            else:
                _name(text, names, now)
    return profile


def _position(where: str, line: int) -> int:
    if where == "*":
        return line
    return line + int(where) if where[0] in "+-" else int(where)


_KINDS = {
    "ob": "ob",
    "cob": "ob",
    "fl": "fl",
    "fi": "fl",
    "fe": "fl",
    "cfi": "fl",
    "cfl": "fl",
    "fn": "fn",
    "cfn": "fn",
}


def _name(text: str, names: dict[str, dict[str, str]], now: dict[str, str]) -> None:
    """A line like `fn=(12) name`, or `fn=(12)` for a name that was given before."""
    key, _, value = text.rstrip("\n").partition("=")
    kind = _KINDS.get(key)
    if not kind:
        return
    number, _, name = value.partition(" ")
    if name:
        names[kind][number] = name
    if key in ("cfi", "cfl"):
        return
    now["fl" if kind == "fl" else key] = names[kind].get(number, value)


def functions_of(source: Path) -> list[str]:
    """Name of the function that each line of a C source belongs to ("" outside), by line number.

    Needs the layout of this tree: a function's name, its `{` and its `}` begin lines.
    """
    owners = [""]
    name, inside = "", False
    for text in source.read_text().splitlines():
        if not inside and (found := _FUNCTION.match(text)):
            name = found[1]
        if text.startswith("{"):
            inside = True
        owners.append(name if inside else "")
        if text.startswith("}"):
            name, inside = "", False
    return owners
