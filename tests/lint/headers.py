"""A .c implements its own header: what name.c exports is declared in name.h of the same room."""

from __future__ import annotations

import re
from collections.abc import Iterator

from law import HEADERS
from sizes import Measure
from tree import File, Tree


def header_of(file: File) -> str:
    """lib/os/clock.h for lib/os/linux/clock.c. law.py knows those that have another's."""
    if str(file) in HEADERS:
        return HEADERS[str(file)]
    folder = file.path.parent.parent if file.is_of_a_system else file.path.parent
    return (folder / f"{file.path.stem}.h").as_posix()


def check(tree: Tree) -> Iterator[Measure]:
    headers = {str(file): file for file in tree.core if file.path.suffix == ".h"}
    for file in tree.core:
        if file.path.suffix != ".c":
            continue
        header = headers.get(header_of(file)) or headers.get(f"{file.path.parent}/core.h")
        declared = header.code if header else ""
        for function in file.functions:
            if not function.is_static and not re.search(rf"\b{function.name}\(", declared):
                if not function.name.startswith("PyInit_"):
                    yield Measure("not in its own header", str(file), 1)
