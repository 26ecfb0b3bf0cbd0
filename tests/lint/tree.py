"""The files that the rules are about, and what a script can see in C without a compiler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

FOLDERS = ("lib", "include", "pymod", "tests", "bench")
SUFFIXES = (".c", ".h", ".py")


class Function(NamedTuple):
    name: str
    lines: int  # from that of its name to the closing brace
    parameters: int
    is_static: bool


class File:
    """``path`` is relative to the root."""

    def __init__(self, root: Path, path: Path):
        self.path = path
        self.text = (root / path).read_text("utf-8")

    def __str__(self) -> str:
        return self.path.as_posix()

    def is_in(self, *folders: str) -> bool:
        """Is it one of these files, or in one of these folders?"""
        return any(self.path.is_relative_to(folder) for folder in folders)

    @property
    def is_c(self) -> bool:
        return self.path.suffix != ".py"

    @property
    def is_of_a_system(self) -> bool:
        """lib/os/linux/clock.c: one of several with the same name."""
        return self.path.match("lib/os/*/*")

    @cached_property
    def code(self) -> str:
        """A C file without its comments; the lines keep their numbers."""
        return re.sub(
            r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), self.text, flags=re.DOTALL
        )

    @cached_property
    def includes(self) -> list[str]:
        return re.findall(r'^#include "([^"]+)"', self.text, re.MULTILINE)

    @cached_property
    def functions(self) -> list[Function]:
        """Of a C file: in this house a body begins and ends with a brace in the first column."""
        return list(find_functions(self.code.splitlines()))


HEAD = re.compile(r"(?:\w.*[ *])?(\w+)\(")  # the line with a function's name
SHORT = re.compile(r"(\w.*[ *])(\w+)\((.*)\) \{.*\}$")  # one on a line


def find_functions(lines: list[str]) -> Iterator[Function]:
    for brace, line in enumerate(lines):
        if short := SHORT.match(line):
            yield Function(short[2], 1, count_parameters(short[3]), "static" in short[1])
        first = next((i for i in range(brace - 1, -1, -1) if HEAD.match(lines[i])), None)
        if line == "{" and first is not None:
            yield read_function(lines, first, brace)


def read_function(lines: list[str], first: int, brace: int) -> Function:
    end = next(i for i in range(brace, len(lines)) if lines[i].startswith("}"))
    above = " ".join(lines[max(first - 2, 0) : first + 1]).rpartition("}")[2].rpartition(";")[2]
    signature = " ".join(lines[first:brace])
    head = HEAD.match(signature)
    count = count_parameters(signature[head.end() : signature.rindex(")")])
    is_static = re.search(r"\bstatic\b", above) is not None
    return Function(head[1], end - first + 1, count, is_static)


def count_parameters(text: str) -> int:
    """Of what stands between the parentheses; those of a pointer to a function are its own."""
    depth = count = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        count += letter == "," and depth == 0
    return 0 if text.strip() in ("", "void") else count + 1


class Tree:
    def __init__(self, root: Path):
        self.root = root
        paths = (path for folder in FOLDERS for path in (root / folder).rglob("*"))
        self.files = [
            File(root, path.relative_to(root))
            for path in sorted(paths)
            if path.suffix in SUFFIXES and path.is_file()
        ]

    @cached_property
    def core(self) -> list[File]:
        """The C of the library and of the extension."""
        return [it for it in self.files if it.is_c and it.is_in("lib", "include", "pymod")]

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()
