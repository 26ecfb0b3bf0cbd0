"""The rules of the house that a script can check. Exit status 1 and a line for each breach.

The law between rooms (law.py) from the include lines; Python.h only in lib/py/ and pymod/;
PY_VERSION_HEX only in lib/py/cpython/compat.h; memory only from lib/base/mem.c. The rules
for imports of the Python package are in imports.py.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from imports import check_package
from law import C_ROOMS

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
MAX_LINES = 500
VERSIONS = LIB / "py" / "cpython" / "compat.h"
MEMORY = LIB / "base" / "mem.c"


def room_of(relative: Path) -> str:
    """The room of a path relative to lib/: its folder, or the name of a file of lib/ itself.
    The systems' folders are the one room os."""
    parts = relative.parts
    if len(parts) == 1:
        return relative.stem
    return "os" if parts[0] == "os" else "/".join(parts[:-1])


def includes(text: str) -> list[str]:
    return re.findall(r'^#include "([^"]+)"', text, re.MULTILINE)


def check_includes(path: Path, text: str) -> Iterator[str]:
    room = room_of(path.relative_to(LIB))
    if room not in C_ROOMS:
        yield f"{path}: {room} is no room of tests/lint/law.py"
        return
    for name in includes(text):
        target = room_of(Path(name))
        if target != room and target not in C_ROOMS[room].split():
            yield f"{path}: {room} may not include {name} ({target})"
        if not any((folder / name).exists() for folder in (LIB, ROOT / "include")):
            yield f"{path}: {name} is not named from lib/ on"


def check_words(path: Path, text: str) -> Iterator[str]:
    in_python = path.is_relative_to(LIB / "py") or not path.is_relative_to(LIB)
    if "PY_VERSION_HEX" in text and path != VERSIONS:
        yield f"{path}: PY_VERSION_HEX belongs in {VERSIONS.name}"
    if "#include <Python.h>" in text and not in_python:
        yield f"{path}: Python.h outside lib/py and pymod"
    if path.is_relative_to(LIB) and path != MEMORY and not in_python:
        if re.search(r"\b(malloc|calloc|realloc|mmap)\(", strip_comments(text)):
            yield f"{path}: memory comes from {MEMORY.name} only"


def strip_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def main() -> int:
    breaches = []
    names: dict[str, Path] = {}
    sources = sorted([*ROOT.glob("lib/**/*.[ch]"), *ROOT.glob("pymod/**/*.[ch]")])
    for path in sources:
        text = path.read_text()
        breaches += check_words(path, text)
        if path.is_relative_to(LIB):
            breaches += check_includes(path, text)
        if names.setdefault(path.name, path) != path and "linux" not in path.parts:
            breaches.append(f"{path}: another file has this name: {names[path.name]}")
    everything = [*sources, *ROOT.glob("pymod/**/*.py"), *ROOT.glob("tests/py/**/*.py")]
    for path in [*everything, *ROOT.glob("tests/c/*.[ch]")]:
        lines = path.read_text().count("\n")
        if lines > MAX_LINES:
            breaches.append(f"{path}: {lines} lines, more than {MAX_LINES}")
    of_python, circles = check_package(ROOT / "pymod" / "memprof")
    breaches += of_python
    print("\n".join(breaches) or f"house: {len(sources)} C files, no breach")
    print(f"circles: {circles}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
