"""The rules of the house that a script can check. Exit status 1 and a line for each breach.

The dependency law of lib/README.md: base <- tables <- record <- lib/py, tables <- analyse;
record and analyse never include each other but in freeze.c and api.c; Python.h only in
lib/py/ and pymod/; PY_VERSION_HEX only in lib/py/compat.h; memory only from mem.c.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 500

ROOMS = {
    "base": {"mem", "thread", "table", "names", "bytes", "linetable", "places"},
    "tables": {"depot", "shadow", "side", "tally", "series"},
    "record": {"tracer", "lanes", "sampler", "watch"},
    "analyse": {
        "symbols", "snapshot", "group", "diff", "growth", "profile_file", "profile_sections",
        "graph", "dominators",
    },
    "border": {"freeze", "api"},
}  # fmt: skip
ALLOWED = {
    "base": {"base"},
    "tables": {"base", "tables"},
    "record": {"base", "tables", "record", "os"},
    "analyse": {"base", "tables", "analyse"},
    "border": {"base", "tables", "record", "analyse", "border", "os", "public"},
    "os": {"os"},
    "py": {"base", "tables", "record", "analyse", "border", "os", "py"},
}


def room_of(path: Path) -> str:
    if path.parent.name in ("os", "py"):
        return path.parent.name
    return next((room for room, names in ROOMS.items() if path.stem in names), "?")


def includes(text: str):
    return re.findall(r'^#include "([^"]+)"', text, re.MULTILINE)


def check_includes(path: Path, text: str):
    room = room_of(path)
    if room == "?":
        yield f"{path}: in no room of tests/lint/house.py"
        return
    for name in includes(text):
        target = "public" if name.startswith("memprof/") else room_of(path.parent / name)
        if target == "?" and name.startswith("../"):
            target = room_of(Path(name))
        if target not in ALLOWED[room]:
            yield f"{path}: {room} may not include {name} ({target})"


def check_words(path: Path, text: str):
    relative = str(path.relative_to(ROOT))
    if "PY_VERSION_HEX" in text and relative != "lib/py/compat.h":
        yield f"{path}: PY_VERSION_HEX belongs in lib/py/compat.h"
    if "#include <Python.h>" in text and not relative.startswith(("lib/py/", "pymod/", "tests/")):
        yield f"{path}: Python.h outside lib/py and pymod"
    if relative.startswith("lib/") and relative != "lib/mem.c":
        if re.search(r"\b(malloc|calloc|realloc|mmap)\(", strip_comments(text)):
            if not relative.startswith("lib/py/"):
                yield f"{path}: memory comes from mem.c only"


def strip_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def main() -> int:
    breaches = []
    names: dict[str, Path] = {}
    sources = sorted([*ROOT.glob("lib/**/*.[ch]"), *ROOT.glob("pymod/memprof/*.[ch]")])
    for path in sources:
        text = path.read_text()
        breaches += check_words(path, text)
        if "lib" in path.relative_to(ROOT).parts:
            breaches += check_includes(path, text)
        if path.name in names:
            breaches.append(f"{path}: another file has this name: {names[path.name]}")
        names[path.name] = path
    everything = [*sources, *ROOT.glob("pymod/**/*.py"), *ROOT.glob("tests/py/*.py")]
    for path in [*everything, *ROOT.glob("tests/c/*.[ch]")]:
        lines = path.read_text().count("\n")
        if lines > MAX_LINES:
            breaches.append(f"{path}: {lines} lines, more than {MAX_LINES}")
    print("\n".join(breaches) or f"house: {len(sources)} C files, no breach")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
