"""What can be counted: each thing has a limit, and what exceeds it is in exceptions.toml with its
size. That list may only shrink."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tree import File, Tree

LIMITS = {
    "lines of a file": 500,
    "columns": 100,
    "lines of a function": 40,
    "parameters": 4,
}


class Measure(NamedTuple):
    """``what``: the file, and within it which thing. Without a limit none is allowed."""

    rule: str
    what: str
    size: int


def measure_c(file: File) -> Iterator[Measure]:
    for function in file.functions:
        what = f"{file}: {function.name}"
        yield Measure("lines of a function", what, function.lines)
        yield Measure("parameters", what, function.parameters)


def measure_python(file: File) -> Iterator[Measure]:
    """Lines without the docstring; parameters that can be given by position."""
    for node in ast.walk(ast.parse(file.text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
        text = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
        arguments = [it.arg for it in (*node.args.posonlyargs, *node.args.args)]
        count = len(arguments) - (arguments[:1] in (["self"], ["cls"]))
        what = f"{file}: {node.name}"
        yield Measure("lines of a function", what, node.end_lineno - node.lineno + 1 - text)
        yield Measure("parameters", what, count)


def measure(tree: Tree) -> Iterator[Measure]:
    for file in tree.files:
        lines = file.text.splitlines()
        yield Measure("lines of a file", str(file), len(lines))
        for line in lines:
            if len(line) > LIMITS["columns"]:
                yield Measure("columns", str(file), len(line))
        yield from measure_c(file) if file.is_c else measure_python(file)


def excess(measures: Iterable[Measure]) -> dict[str, dict[str, int]]:
    """By rule and thing, what exceeds its limit: the largest size (two functions of a file may
    have one name), or how many there are of what there should be none of."""
    largest: dict[str, dict[str, int]] = {}
    for it in measures:
        sizes = largest.setdefault(it.rule, Counter())
        if it.rule not in LIMITS:
            sizes[it.what] += it.size
        elif it.size > LIMITS[it.rule]:
            sizes[it.what] = max(sizes[it.what], it.size)
    return {rule: dict(sorted(sizes.items())) for rule, sizes in sorted(largest.items()) if sizes}


def read(path: Path) -> dict[str, dict[str, int]]:
    return tomllib.loads(path.read_text()) if path.exists() else {}


def compare(found: dict, listed: dict) -> Iterator[str]:
    """What is too large, and entries of the list that say more than is true."""
    for rule in sorted(found.keys() | listed.keys()):
        sizes, allowed = found.get(rule, {}), listed.get(rule, {})
        limit = LIMITS.get(rule, 0)
        for what in sorted(sizes.keys() | allowed.keys()):
            size, most = sizes.get(what, 0), allowed.get(what, limit)
            if size > most:
                yield f"{what}: {rule}: {size}, more than {most}"
            elif size == 0:
                yield f"{what}: {rule}: is listed in exceptions.toml, and need not be any more"
            elif size < most:
                yield f"{what}: {rule}: {size}, which is less than exceptions.toml says ({most})"


def shrunk(found: dict, listed: dict) -> dict[str, dict[str, int]]:
    """The list without what is not needed any more. Nothing is added or made larger."""
    both = {rule: found.get(rule, {}).keys() & sizes.keys() for rule, sizes in listed.items()}
    return {
        rule: {what: min(found[rule][what], listed[rule][what]) for what in sorted(names)}
        for rule, names in both.items()
        if names
    }


def write(path: Path, listed: dict) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    lines = [*head]
    for rule, sizes in listed.items():
        lines += ["", f'["{rule}"]', *(f'"{what}" = {size}' for what, size in sizes.items())]
    path.write_text("\n".join(lines) + "\n")
